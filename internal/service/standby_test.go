package service

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/api"
	"rollcall/internal/config"
	"rollcall/internal/httpd"
	"rollcall/internal/lease"
	"rollcall/internal/roster"
	"rollcall/internal/stream"
	"rollcall/internal/test/kit"
)

// standbyTTL is the TTL in these tests.
const standbyTTL = time.Second

// startStandby runs a service that stands by, with a data folder of its own, until the test
// ends or end is called.
func startStandby(t *testing.T, url string, set map[string]string) (s *service, log *kit.Output, end func()) {
	t.Helper()
	variables := map[string]string{
		"NATS_URL": url, "ROLLCALL_STANDBY": "true", "ROLLCALL_STANDBY_TTL": standbyTTL.String(),
		"ROLLCALL_DATA_DIR": t.TempDir(), "ROLLCALL_HTTP_ADDR": "127.0.0.1:0", "ROLLCALL_REPORT_INTERVAL": "50ms",
	}
	maps.Copy(variables, set)
	kit.Environment(t, variables)
	cfg, err := config.ReadServe(httpd.CheckWebConfig)
	if err != nil {
		t.Fatal(err)
	}
	log = new(kit.Output)
	n := new(notifier)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- runService(ctx, *cfg, Build{Version: "test"}, slog.New(slog.NewTextHandler(log, nil)), n)
	}()
	done := false
	end = func() {
		if cancel(); done {
			return
		}
		done = true
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(end)
	kit.Eventually(t, func() bool { return log.Has("msg=ready") }, "the service is ready")
	return n.service.Load(), log, end
}

// askMachine asks for a machine: the answer's place, or the refusal.
func askMachine(nc *nats.Conn, name string) (place uint64, err error) {
	m, err := nc.Request("rollcall.query.machine", []byte(`{"machine":"`+name+`"}`), 5*time.Second)
	if err != nil {
		return 0, err
	}
	if text := m.Header.Get(micro.ErrorHeader); text != "" {
		return 0, errors.New(text)
	}
	var a api.Head
	err = json.Unmarshal(m.Data, &a)
	return a.Place, err
}

// TestReadsOn: one that becomes the active one, and has read less than the one before it,
// does not answer before it has read on.
func TestReadsOn(t *testing.T) {
	url := kit.StartServer(t).URL
	a, _, endA := startStandby(t, url, nil)
	kit.Eventually(t, a.isActive, "the first is active")
	b, _, _ := startStandby(t, url, nil)
	nc := kit.Conn(t, url)
	kit.PublishLogins(t, kit.JetStream(t, nc), 2) // of m0 and m1
	kit.Eventually(t, func() bool { return b.roster.Status().Position.Place == 2 }, "the second has read them")

	held, released := make(chan struct{}), make(chan struct{})
	go b.roster.Machine("m0", func(roster.View) { close(held); <-released })
	<-held
	kit.PublishLogins(t, kit.JetStream(t, nc), 1)
	kit.Eventually(t, func() bool { place, err := askMachine(nc, "m1"); return err == nil && place == 3 }, "the first has read one more")
	endA()
	kit.Eventually(t, func() bool { return b.standby.Term() != 0 }, "the second has the lease")
	for begin := time.Now(); time.Since(begin) < standbyTTL/2; {
		place, err := askMachine(nc, "m1")
		if err == nil {
			t.Fatalf("an answer at place %d, after one at place 3", place)
		}
		if !errors.Is(err, nats.ErrNoResponders) && !strings.HasPrefix(err.Error(), "taking_over: ") {
			t.Fatal(err)
		}
	}
	if holds, text := b.checkStandby(); !holds || text != "taking over" {
		t.Errorf("the check says %v, %q", holds, text)
	}
	close(released)
	kit.Eventually(t, b.isActive, "the second is active")
	if place, err := askMachine(nc, "m1"); err != nil || place != 3 {
		t.Errorf("place %d, %v", place, err)
	}
}

// TestHandOver: when the active one ends, another one answers and reports at once.
func TestHandOver(t *testing.T) {
	url := kit.StartServer(t).URL
	a, _, endA := startStandby(t, url, nil)
	kit.Eventually(t, a.isActive, "the first is active")
	b, logB, _ := startStandby(t, url, nil)
	kit.Eventually(t, func() bool { return b.standby.Holder().Instance == a.instance }, "the second knows of the first")
	if _, text := b.checkStandby(); text != "stands by, "+a.instance+" is active" || b.isActive() {
		t.Errorf("the check says %q", text)
	}
	kit.PublishLogins(t, kit.JetStream(t, kit.Conn(t, url)), 1)
	kit.Eventually(t, func() bool { return b.roster.Status().Position.Place == 1 }, "the second has read the event")
	begin := time.Now()
	go endA()
	kit.Eventually(t, b.isActive, "the second is active")
	if took := time.Since(begin); took > standbyTTL {
		t.Errorf("the hand-over took %v", took)
	}
	reports, err := kit.JetStream(t, kit.Conn(t, url)).Stream(t.Context(), "ROLLCALL_REPORTS")
	if err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, func() bool {
		m, err := reports.GetLastMsgForSubject(t.Context(), "rollcall.reports")
		return err == nil && m.Time.After(begin)
	}, "the second has reported")
	if logB.Has("another rollcall answers") {
		t.Errorf("the log says %s", logB.String())
	}
}

// TestReplayingStandsBy: one that replays the stream does not take the lease.
func TestReplayingStandsBy(t *testing.T) {
	nc := kit.Conn(t, kit.StartServer(t).URL)
	reader, err := stream.New(stream.Config{Conn: nc, Stream: "ROLLCALL_EVENTS", Log: kit.Logger(t), Registry: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	s := &service{reader: reader, standby: &standby{ttl: standbyTTL, likeness: newLikeness(prometheus.NewRegistry())}}
	if got := s.holdBack(lease.Holder{}); got != lease.Forever {
		t.Errorf("it is held back for %v", got)
	}
}

// TestDiffers: one that differs from the active one says so, and leaves it to another for a
// TTL more.
func TestDiffers(t *testing.T) {
	url := kit.StartServer(t).URL
	a, _, endA := startStandby(t, url, nil)
	kit.Eventually(t, a.isActive, "the first is active")
	b, logB, _ := startStandby(t, url, map[string]string{"ROLLCALL_ALLOWED_LATENESS": "1h"})
	kit.Eventually(t, b.standby.likeness.differing, "the second differs")
	if a.standby.likeness.differing() {
		t.Errorf("the active one differs: %q", a.standby.likeness.texts())
	}
	const in = "settings: the stream, ROLLCALL_MAX_SKEW, ROLLCALL_ALLOWED_LATENESS, ROLLCALL_SOURCES or a limit is another one"
	if _, text := b.checkStandby(); text != "stands by, "+a.instance+" is active; it differs from the active one: "+in {
		t.Errorf("the check says %q", text)
	}
	if !logB.Has("differs from the active one") {
		t.Errorf("the log says %s", logB.String())
	}
	m, err := kit.Conn(t, url).Request("rollcall.query.instances", nil, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if i, err := api.Decode[api.Instance](m.Data); err != nil || !i.Standby || i.Active == slices.Contains(i.Differs, in) {
		t.Errorf("an instance answers %s, %v", m.Data, err)
	}
	begin := time.Now()
	go endA()
	kit.Eventually(t, b.isActive, "the second is active")
	if took := time.Since(begin); took < standbyTTL {
		t.Errorf("it took the lease after %v", took)
	}
}

// TestCompare: in what two differ, and that it must last.
func TestCompare(t *testing.T) {
	from := func(hours int) *time.Time { at := time.Unix(0, 0).Add(time.Duration(hours) * time.Hour); return &at }
	active := traits{Offset: 5, Place: 100, Lost: 3, Accepted: 7, Settings: "x", HistoryFrom: from(1000), Version: "1"}
	for _, c := range []struct {
		name   string
		change func(*traits)
		want   string
	}{
		{"nothing", func(*traits) {}, ""},
		{"place and version", func(t *traits) { t.Place, t.Version = 200, "2" }, ""},
		{"settings", func(t *traits) { t.Settings = "y" }, differsSettings},
		{"offset", func(t *traits) { t.Offset = 0 }, differsOffset},
		{"lost", func(t *traits) { t.Lost = 4 }, differsLost},
		{"lost, not read yet", func(t *traits) { t.Lost, t.Place = 2, 99 }, ""},
		{"accepted", func(t *traits) { t.Accepted = 0 }, differsAccepted},
		{"no history", func(t *traits) { t.HistoryFrom = nil }, differsHistory},
		{"a longer history", func(t *traits) { t.HistoryFrom = from(0) }, ""},
		{"a history that was tidied a little later", func(t *traits) { t.HistoryFrom = from(1001) }, ""},
		{"a shorter history", func(t *traits) { t.HistoryFrom = from(1003) }, differsHistory},
	} {
		mine := active
		c.change(&mine)
		var got []string
		for _, d := range mine.differences(&active) {
			got = append(got, d.in)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q", c.name, got)
		}
	}
	url := kit.StartServer(t).URL
	s, _, _ := startStandby(t, url, nil)
	kit.Eventually(t, s.isActive, "it is active")
	write := func(state string) {
		t.Helper()
		kv, err := kit.JetStream(t, kit.Conn(t, url)).KeyValue(t.Context(), lease.Bucket)
		if err == nil {
			_, err = kv.Put(t.Context(), "rollcall.active", []byte(`{"instance":"b","renewal":1,"ttl_ms":3600000,"state":`+state+`}`))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write(`{"settings":"other"}`)
	kit.Eventually(t, func() bool { return s.standby.Holder().Instance == "b" }, "another one holds the lease")
	seen := time.Now()
	kit.Eventually(t, s.standby.likeness.differing, "it differs")
	if took := time.Since(seen); took < standbyTTL-200*time.Millisecond {
		t.Errorf("it differs after %v", took)
	}
	write(`{}`)
	same, err := json.Marshal(new(s.traits()))
	if err != nil {
		t.Fatal(err)
	}
	write(string(same))
	kit.Eventually(t, func() bool { return !s.standby.likeness.differing() }, "it does not differ any more")
}

// TestAcceptedInTheLease: a loss that one process was told to accept is accepted by whoever
// takes over from it.
func TestAcceptedInTheLease(t *testing.T) {
	url := kit.StartServer(t).URL
	js := kit.JetStream(t, kit.Conn(t, url))
	first, _, end := startStandby(t, url, nil)
	kit.Eventually(t, first.isActive, "the first is active")
	kit.PublishLogins(t, js, 3)
	events, err := js.Stream(t.Context(), "ROLLCALL_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, func() bool { return first.roster.Status().Position.Place == 3 }, "the events are read")
	end()
	config := events.CachedInfo().Config
	config.MaxMsgs = 1 // the beginning is lost
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	a, _, endA := startStandby(t, url, map[string]string{"ROLLCALL_ACCEPT_LOSS": "2"})
	kit.Eventually(t, a.isActive, "one that accepts the loss is active")
	b, _, _ := startStandby(t, url, nil)
	complete := func() bool { st := b.roster.Status(); return st.Complete() && st.Position.Place == 3 }
	kit.Eventually(t, complete, "the one that stands by accepts it too")
	kit.Eventually(t, func() bool { return b.accepted.Load() == 2 }, "it says so")
	if b.standby.likeness.differing() {
		t.Errorf("it differs: %q", b.standby.likeness.texts())
	}
	endA()
	kit.Eventually(t, b.isActive, "the other one is active")
	kit.Eventually(t, func() bool { return strings.Contains(string(b.standby.Holder().State), `"accepted":2`) }, "the lease says so")
}

// TestAcceptedSinceBefore: who starts when nobody is active any more, and becomes the active
// one at once, accepts what the last one accepted: its roster and its history do.
func TestAcceptedSinceBefore(t *testing.T) {
	url := kit.StartServer(t).URL
	nc := kit.Conn(t, url)
	js := kit.JetStream(t, nc)
	kit.CreateStream(t, js, jetstream.StreamConfig{Name: "ROLLCALL_EVENTS", Subjects: []string{"rollcall.events", "rollcall.events.>"}, MaxMsgs: 1})
	kit.PublishLogins(t, js, 3) // 1 and 2 are lost
	folder := map[string]string{"ROLLCALL_DATA_DIR": t.TempDir()}
	b, _, endB := startStandby(t, url, folder)
	kit.Eventually(t, b.isActive, "the first is active")
	before := answersOf(t, nc)
	endB()
	a, _, endA := startStandby(t, url, map[string]string{"ROLLCALL_ACCEPT_LOSS": "2"})
	kit.Eventually(t, a.isActive, "one that accepts the loss is active")
	want := answersOf(t, nc)
	for i := range want {
		if want[i] == before[i] && want[i] != "machine " { // which nobody knows
			t.Errorf("accepted or not, the answer is %s", want[i])
		}
	}
	endA()
	b, _, _ = startStandby(t, url, folder)
	kit.Eventually(t, b.isActive, "the first is active again")
	if got := answersOf(t, nc); !slices.Equal(got, want) {
		t.Errorf("it answers\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	kit.Eventually(t, func() bool {
		h := b.standby.Holder()
		return h.Own && strings.Contains(string(h.State), `"accepted":2`)
	}, "the lease says so")
}

// TestEmptyStandby: a service that is added to an installation whose stream has lost its
// beginning answers, once it is active, what the first one answered.
func TestEmptyStandby(t *testing.T) {
	url := kit.StartServer(t).URL
	nc := kit.Conn(t, url)
	js := kit.JetStream(t, nc)
	a, _, endA := startStandby(t, url, nil)
	kit.Eventually(t, a.isActive, "the first is active")
	kit.PublishLogins(t, js, 20)
	logout := `{"date":"` + time.Now().UTC().Format(time.RFC3339Nano) + `","type":"logout","machine":"m3","user":"lane"}`
	if _, err := js.Publish(t.Context(), "rollcall.events", []byte(logout)); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, func() bool { return a.roster.Status().Position.Place == 21 }, "the events are read")
	events, err := js.Stream(t.Context(), "ROLLCALL_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	config := events.CachedInfo().Config
	config.MaxMsgs = 2
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	b, logB, _ := startStandby(t, url, nil)
	if !logB.Has("begins with what the active rollcall handed over") {
		t.Errorf("the log says %s", logB.String())
	}
	kit.PublishLogins(t, js, 2)
	kit.Eventually(t, func() bool {
		return a.roster.Status().Position.Place == 23 && b.roster.Status().Position.Place == 23
	}, "both have read on")
	want := answersOf(t, nc)
	if !strings.Contains(want[0], `"complete":true`) || strings.Count(want[0], `"user":"lane"`) < 20 {
		t.Errorf("the first answers %s", want[0])
	}
	if b.standby.likeness.differing() {
		t.Errorf("it differs: %q", b.standby.likeness.texts())
	}
	endA()
	kit.Eventually(t, b.isActive, "the second is active")
	if got := answersOf(t, nc); !slices.Equal(got, want) {
		t.Errorf("the second answers\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// answersOf returns the answers to some questions.
func answersOf(t *testing.T, nc *nats.Conn) (all []string) {
	t.Helper()
	for subject, question := range map[string]string{"report": "", "history": `{"user":"lane"}`, "machine": `{"machine":"m3"}`} {
		var m *nats.Msg
		kit.Eventually(t, func() (answered bool) { // one that takes over may not have subscribed yet
			var err error
			m, err = nc.Request("rollcall.query."+subject, []byte(question), 5*time.Second)
			return err == nil
		}, subject+" is answered")
		all = append(all, subject+" "+varying.ReplaceAllString(string(m.Data), ""))
	}
	slices.Sort(all)
	return all
}

// varying matches what differs between two reports of the same.
var varying = regexp.MustCompile(`"(report|when)":"[^"]*",?`)
