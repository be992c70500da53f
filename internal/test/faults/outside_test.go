package faults

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	natsd "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

var patience = flag.Bool("faults.patience", false, "whether TestOutside waits a minute, until rollcall drops dead letters that cannot be stored")

// TestStalledService: while the link is stalled, rollcall stays ready, serves its
// metrics, and ends within ten seconds. What it could not store by then, it stores after
// the next start.
func TestStalledService(t *testing.T) {
	kit.Long(t)
	t.Parallel()
	rng := random(t)
	var all []func()
	for name, stalled := range map[string][]direction{
		"both ways": {toServer, toClient}, "to the server": {toServer}, "to the client": {toClient},
	} {
		own := rand.New(rand.NewPCG(rng.Uint64(), 5))
		all = append(all, func() { t.Run(name, func(t *testing.T) { testStalledService(t, own, stalled, false) }) })
		if name != "both ways" {
			own := rand.New(rand.NewPCG(rng.Uint64(), 6))
			all = append(all, func() { t.Run(name+", noticed", func(t *testing.T) { testStalledService(t, own, stalled, true) }) })
		}
	}
	all = append(all, func() { t.Run("from the start", testStalledAtStart) })
	concurrently(all...)
}

// testStalledService stalls the link of a service; if noticed, until the service has
// failed to reconnect at least once.
func testStalledService(t *testing.T, rng *rand.Rand, stalled []direction, noticed bool) {
	url, dir := kit.StartServer(t).URL, t.TempDir()
	link := newProxy(t, url)
	p := serve(t, dir, link.URL)
	p.awaitLog("ready", "place")
	publishNow(t, url, rng, 2000)
	p.awaitPlace(2000)
	link.stall(stalled...)
	publishNow(t, url, rng, 2000) // cannot be read, nor can their dead letters be stored
	for noticed && len(p.lines("nats connection lost, reconnecting")) < 2 {
		<-time.After(100 * time.Millisecond)
	}
	for range 5 {
		<-time.After(500 * time.Millisecond)
		began := time.Now()
		if ready := p.get("/readyz"); !strings.Contains(ready, "ok") {
			t.Errorf("/readyz returned %s", ready)
		}
		if place := p.metric("rollcall_position"); place < 2000 {
			t.Errorf("the place is %d, want at least 2000", place)
		}
		if took := time.Since(began); took > endsWithin {
			t.Errorf("/readyz and /metrics took %v", took)
		}
	}
	before := newest(t, dir)
	began := time.Now()
	state := p.end(syscall.SIGTERM)
	t.Logf("ended with %v after %v", state, time.Since(began))
	if took := time.Since(began); took > endsWithin {
		t.Errorf("it took %v to end", took)
	}
	if after := newest(t, dir); after < before {
		t.Errorf("the newest snapshot is %q, older than %q before", after, before)
	}
	link.heal()
	p = serve(t, dir, link.URL)
	wantUndisturbed(t, p, url)
}

func testStalledAtStart(t *testing.T) {
	dir := t.TempDir()
	link := newProxy(t, kit.StartServer(t).URL)
	link.stall(toServer, toClient)
	p := serve(t, dir, link.URL)
	p.awaitLog("nats is unreachable, retrying", "err")
	<-upTo(random(t), 3*time.Second)
	terminate(t, p, dir)
}

// outsideFaults are faults outside of rollcall: the server's options, what is done
// before rollcall starts, and what is checked after the flood.
var outsideFaults = []struct {
	name    string
	options func(*natsd.Options)
	before  func(t *testing.T, url string)
	after   func(t *testing.T, p *process, url string)
}{
	{"subscriber that reads nothing", nil, stalledSubscriber, nil},
	{"dead letters forbidden", denyPublish(rollcallv1.DefaultSubject + ".deadletters.>"), nil, lettersDropped},
	{"dead letters full", nil, fullStream(rollcallv1.DefaultDeadLettersStream, "rollcall.deadletters.>"), lettersDropped},
	{"reports forbidden", denyPublish(rollcallv1.DefaultSubject+".reports", rollcallv1.DefaultSubject+".reports.>"), nil, nil},
	{"reports full", nil, fullStream(rollcallv1.DefaultReportsStream, "rollcall.reports", "rollcall.reports.>"), reportsRecover},
}

// TestOutside: nothing outside holds up the fold, neither a subscriber that does not
// read, nor dead letters or reports that the server refuses. What could not be stored
// is counted, and the next report is current.
func TestOutside(t *testing.T) {
	t.Parallel()
	rng := random(t)
	var all []func()
	for _, o := range outsideFaults {
		own := rand.New(rand.NewPCG(rng.Uint64(), 4))
		all = append(all, func() {
			t.Run(o.name, func(t *testing.T) {
				s := kit.StartServer(t, withUsers, func(options *natsd.Options) {
					if o.options != nil {
						o.options(options)
					}
				})
				url := as(s.URL, "admin")
				if o.before != nil {
					o.before(t, url)
				}
				p := serve(t, t.TempDir(), as(s.URL, "rollcall"))
				publishFlood(t, own, p, url)
				if o.after != nil {
					o.after(t, p, url)
				}
				began := time.Now()
				p.end(syscall.SIGTERM)
				if took := time.Since(began); took > endsWithin {
					t.Errorf("it took %v to end", took)
				}
			})
		})
	}
	concurrently(all...)
}

// flood is more refused messages than there can be dead letters in flight (10,000).
const flood = 10_500

// publishFlood publishes more messages than any queue holds, most of them invalid, and
// checks that all are read soon.
func publishFlood(t *testing.T, rng *rand.Rand, p *process, url string) {
	t.Helper()
	p.awaitLog("ready", "place")
	publishNow(t, url, rng, 2000)
	js := kit.JetStream(t, kit.Conn(t, url))
	for n := range flood {
		if _, err := js.PublishAsync(rollcallv1.DefaultSubject+".events", []byte("no event")); err != nil {
			t.Fatal(err)
		}
		if n%500 == 499 {
			<-js.PublishAsyncComplete()
		}
	}
	began := time.Now()
	p.awaitPlace(2000 + flood)
	// A dead letter that cannot be stored is dropped after a minute.
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v to read them", took)
	}
	if ready := p.get("/readyz"); !strings.Contains(ready, "ok") {
		t.Errorf("/readyz returned %s", ready)
	}
}

// withUsers adds the users admin, for the test, and rollcall.
func withUsers(o *natsd.Options) {
	o.Users = []*natsd.User{{Username: "admin", Password: "x"}, {Username: "rollcall", Password: "x"}}
}

// denyPublish denies rollcall to publish to these subjects.
func denyPublish(subjects ...string) func(*natsd.Options) {
	return func(o *natsd.Options) {
		o.Users[1].Permissions = &natsd.Permissions{Publish: &natsd.SubjectPermission{Deny: subjects}}
	}
}

// as returns the URL with the login of a user.
func as(url, user string) string {
	return strings.Replace(url, "nats://", "nats://"+user+":x@", 1)
}

// fullStream creates a stream that accepts no messages.
func fullStream(stream string, subjects ...string) func(*testing.T, string) {
	return func(t *testing.T, url string) {
		t.Helper()
		js := kit.JetStream(t, kit.Conn(t, url))
		if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
			Name: stream, Subjects: subjects, MaxBytes: 1, Discard: jetstream.DiscardNew, MaxMsgsPerSubject: 1,
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// stalledSubscriber subscribes to everything and does not read.
func stalledSubscriber(t *testing.T, url string) {
	t.Helper()
	at, _ := strings.CutPrefix(url, "nats://admin:x@")
	conn, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.(*net.TCPConn).SetReadBuffer(1) //nolint:errcheck // it only fills up sooner
	if _, err := fmt.Fprint(conn, "CONNECT {\"user\":\"admin\",\"pass\":\"x\",\"verbose\":false}\r\nSUB rollcall.> 1\r\n"); err != nil {
		t.Fatal(err)
	}
}

// lettersDropped checks that dead letters beyond the limit in flight are counted as
// dropped at once, and the rest after a minute; then there are snapshots again.
func lettersDropped(t *testing.T, p *process, url string) {
	if dropped := p.metric("rollcall_dead_letters_dropped_total"); dropped < flood-10_000 {
		t.Errorf("%d dead letters dropped, want at least %d", dropped, flood-10_000)
	}
	if !*patience {
		return
	}
	<-time.After(70 * time.Second) // they are dropped after 60
	p.digest(2000 + flood)
	refused := p.metric(`rollcall_fates{fate="dead_lettered"}`)
	if dropped := p.metric("rollcall_dead_letters_dropped_total"); dropped != refused {
		t.Errorf("%d dead letters dropped, %d messages refused", dropped, refused)
	}
}

// reportsRecover checks that when the stream accepts reports again, the first one is
// current.
func reportsRecover(t *testing.T, p *process, url string) {
	kit.Eventually(t, func() bool { return p.metric(`rollcall_reports_total{result="failed"}`) > 0 }, "a report is refused")
	if ok := p.metric(`rollcall_reports_total{result="ok"}`); ok != 0 {
		t.Errorf("%d reports published", ok)
	}
	js := kit.JetStream(t, kit.Conn(t, url))
	stream, err := js.Stream(t.Context(), rollcallv1.DefaultReportsStream)
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.MaxBytes = -1
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, func() bool { return p.metric(`rollcall_reports_total{result="ok"}`) == 1 }, "a report is published")
	msg, err := stream.GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	var report struct{ Place int }
	if err := json.Unmarshal(bytes.TrimSpace(msg.Data), &report); err != nil || report.Place != 2000+flood {
		t.Errorf("the first report has place %d, want %d (%v)", report.Place, 2000+flood, err)
	}
}

// TestClosed: after a protocol error of the server, on which the client library closes
// the connection without reconnecting, rollcall starts over as after a crash.
func TestClosed(t *testing.T) {
	t.Parallel()
	rng := random(t)
	url := kit.StartServer(t).URL
	link := newProxy(t, url)
	dir := t.TempDir()
	p := serve(t, dir, link.URL, fmt.Sprintf("ROLLCALL_HTTP_ADDR=127.0.0.1:%d", kit.FreePort(t)))
	p.awaitLog("ready", "place")
	publishNow(t, url, rng, 1000)
	p.awaitPlace(1000) // so that the injected line does not split another
	link.inject("-ERR 'Maximum Control Line Exceeded'\r\n")
	p.awaitLog("restarting from the last snapshot", "err")
	publishNow(t, url, rng, 1000)
	kit.Eventually(t, func() bool { return len(p.lines("ready")) == 2 }, "rollcall is ready again")
	p.awaitPlace(2000)
	p.end(syscall.SIGTERM)
	p = serve(t, dir, url)
	wantUndisturbed(t, p, url)
}
