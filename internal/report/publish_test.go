package report

import (
	"bytes"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"rollcall/internal/api"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	"rollcall/internal/throttle"
)

func TestPublishSeed(t *testing.T) {
	p, nc := newPublisher(t, kit.Seed())
	p.now = func() time.Time { return kit.At.Add(time.Minute) }
	stream := makeStream(t, p)
	messages := subscribe(t, nc)
	run(t, p)
	m := next(t, messages)
	if m.Subject != "rollcall.reports" {
		t.Errorf("published on %s", m.Subject)
	}
	r := decode(t, m.Data)
	if r.ID == "" {
		t.Error("no ID")
	}
	golden(t, "seed.json", append(bytes.Replace(m.Data, []byte(r.ID), []byte("<id>"), 1), '\n'))
	kit.Eventually(t, func() bool { ok, _, _ := results(p); return ok == 1 }, "the report is stored")
	inStream, err := stream.GetLastMsgForSubject(t.Context(), "rollcall.reports")
	if err != nil || !bytes.Equal(inStream.Data, m.Data) {
		t.Errorf("the stream has %v, %v", inStream, err)
	}
	if text := textOf(t, &r); text != "webserver.local: lane\n" {
		t.Errorf("as text: %q", text)
	}
}

func TestPublishWhatChanged(t *testing.T) {
	r := roster.New(roster.DefaultSettings())
	kit.Feed(r, kit.Login("a", "x"))
	p, _ := newPublisher(t, r)
	stream := makeStream(t, p)
	expect := func(ok, unchanged float64) {
		t.Helper()
		p.tick(t.Context())
		if gotOK, failed, gotUnchanged := results(p); gotOK != ok || failed != 0 || gotUnchanged != unchanged {
			t.Fatalf("%v ok, %v failed, %v unchanged; want %v, 0, %v", gotOK, failed, gotUnchanged, ok, unchanged)
		}
	}
	expect(1, 0)
	expect(1, 1)
	before := stored(t, stream)
	kit.Feed(r, roster.Event{Type: roster.Present, Machine: "a", Sessions: []roster.Session{{User: "x"}}})
	expect(1, 2) // heard later, nothing else
	if after := stored(t, stream); after.ID != before.ID {
		t.Error("another report was published, but only heard changed")
	}
	kit.Feed(r, kit.Login("a", "y"))
	expect(2, 2)
	kit.Feed(r, kit.Logout("b", "nobody"))
	expect(3, 2)
	want := machines(r)
	if got := stored(t, stream); !reflect.DeepEqual(got.Machines, want) || got.Place != 4 || got.Sequence != 4 {
		t.Errorf("stored %+v, want %+v at place 4", got, want)
	}
}

// TestPublishSilence: a report is published when a machine becomes silent, and when
// it is heard again.
func TestPublishSilence(t *testing.T) {
	r := roster.New(roster.DefaultSettings())
	kit.Feed(r, kit.Login("a", "x"), kit.Login("b", "y")) // heard a second apart
	p, _ := newPublisher(t, r)
	stream := makeStream(t, p)
	p.SilentAfter = time.Minute
	expect := func(after time.Duration, published float64, a, b bool) {
		t.Helper()
		p.now = func() time.Time { return kit.At.Add(after) }
		p.tick(t.Context())
		got := stored(t, stream).Machines
		if ok, _, _ := results(p); ok != published || got[0].Silent != a || got[1].Silent != b {
			t.Fatalf("%v reports, %+v; want %v, silent %t and %t", ok, got, published, a, b)
		}
	}
	expect(time.Minute, 1, false, false)
	expect(time.Minute+time.Second, 1, false, false)
	expect(time.Minute+2*time.Second, 2, true, false)
	expect(time.Hour, 3, true, true)
	kit.Feed(r, kit.Login("a", "x"))
	expect(time.Minute+3*time.Second, 4, false, true)
}

func TestIncomplete(t *testing.T) {
	r := kit.Seed()
	end := r.Status().Position
	end.Place += 5
	end.Base = 3
	r.Fold(&roster.Batch{End: end, Missing: roster.Gap})
	p, _ := newPublisher(t, r)
	stream := makeStream(t, p)
	p.tick(t.Context())
	got := stored(t, stream)
	if got.Complete || !reflect.DeepEqual(got.Reasons, []string{"gap"}) || got.Place != 11 || got.Sequence != 8 {
		t.Errorf("got %+v", got)
	}
}

func TestHiddenMachinesAreOmitted(t *testing.T) {
	r := kit.Seed()
	later := roster.TimeOf(kit.At.Add(2 * roster.DefaultSettings().AllowedLateness))
	end := roster.Position{Place: 7}
	e := kit.Login("new", "x")
	e.Date = later
	r.Fold(&roster.Batch{Messages: []roster.Message{{Place: 7, Receipt: later, Event: e}}, End: end})
	p, _ := newPublisher(t, r)
	stream := makeStream(t, p)
	p.tick(t.Context())
	got := stored(t, stream)
	if text := textOf(t, &got); text != "new: x\nwebserver.local: lane\n" || len(got.Machines) != 2 {
		t.Errorf("got %+v", got)
	}
}

func TestPublishInPages(t *testing.T) {
	r := fleet(2000, 3)
	for i := range 1000 {
		kit.Feed(r, kit.Login("big", fmt.Sprintf("user-%04d", i)))
	}
	p, nc := newPublisher(t, r, func(o *server.Options) { o.MaxPayload = 8 << 10 })
	stream := makeStream(t, p)
	messages := subscribe(t, nc)
	p.tick(t.Context())
	if ok, _, _ := results(p); ok != 1 {
		t.Fatal("not published")
	}
	if got := stored(t, stream); !reflect.DeepEqual(got.Machines, machines(r)) {
		t.Error("the pages joined aren't the roster")
	}
	// The last page is published first, page 1 last.
	first := decode(t, next(t, messages).Data)
	for n := first.Pages - 1; n > 0; n-- {
		m := next(t, messages)
		if page := decode(t, m.Data); page.Page != n || page.ID != first.ID || m.Subject != subjects.ReportPage(n) {
			t.Fatalf("page %d of %s on %s, want %d of %s", page.Page, page.ID, m.Subject, n, first.ID)
		}
	}
}

func TestPublish100000Machines(t *testing.T) {
	r := fleet(100_000, 1)
	p, _ := newPublisher(t, r)
	stream := makeStream(t, p)
	p.tick(t.Context())
	same := func(a, b api.Machine) bool {
		return a.Name == b.Name && a.Heard.Equal(b.Heard) && slices.Equal(a.Users, b.Users)
	}
	if got := stored(t, stream); !slices.EqualFunc(got.Machines, machines(r), same) {
		t.Error("the pages joined aren't the roster")
	}
}

func TestNothingBeforeCaughtUp(t *testing.T) {
	p, nc := newPublisher(t, kit.Seed())
	var caughtUp atomic.Bool
	var asked atomic.Int64
	p.CaughtUp = func() bool { asked.Add(1); return caughtUp.Load() }
	stream := makeStream(t, p)
	messages := subscribe(t, nc)
	run(t, p)
	kit.Eventually(t, func() bool { return asked.Load() > 3 }, "the publisher has looked whether it may")
	if info, err := stream.Info(t.Context()); err != nil || info.State.Msgs != 0 {
		t.Fatalf("%v messages, %v", info.State.Msgs, err)
	}
	caughtUp.Store(true)
	next(t, messages)
	caughtUp.Store(false) // it reads from the beginning again
	before := asked.Load()
	kit.Feed(p.Roster, kit.Login("a", "x"))
	kit.Eventually(t, func() bool { return asked.Load() > before+3 }, "the publisher has looked whether it may")
	if info, err := stream.Info(t.Context()); err != nil || info.State.LastSeq != 1 {
		t.Errorf("%v messages, %v; want 1", info.State.LastSeq, err)
	}
}

func TestFailedIsTriedAgain(t *testing.T) {
	p, nc := newPublisher(t, kit.Seed())
	run(t, p) // there is no stream yet
	kit.Eventually(t, func() bool { _, failed, _ := results(p); return failed > 0 }, "publishing has failed")
	stream := makeStream(t, p)
	kit.Eventually(t, func() bool { ok, _, _ := results(p); return ok == 1 }, "the report is published")
	if got := stored(t, stream); !reflect.DeepEqual(got.Machines, machines(p.Roster)) {
		t.Errorf("got %+v", got)
	}
	nc.Close()
	kit.Feed(p.Roster, kit.Login("a", "x"))
	_, before, _ := results(p)
	kit.Eventually(t, func() bool { _, failed, _ := results(p); return failed > before }, "publishing has failed again")
}

func TestNoStaleReportAfterOutage(t *testing.T) {
	server := kit.StartServer(t)
	p := NewPublisher(PublisherConfig{
		Source: source(kit.Seed()), JetStream: kit.JetStream(t, kit.Conn(t, server.URL)), Subjects: subjects,
		Log: kit.Logger(t), Registry: prometheus.NewPedanticRegistry(),
	})
	stream := makeStream(t, p)
	p.tick(t.Context())
	server.Stop()
	nc := p.JetStream.Conn()
	kit.Eventually(t, func() bool { return !nc.IsConnected() }, "the connection is away")
	kit.Feed(p.Roster, kit.Login("a", "x"))
	p.tick(t.Context())
	server.Start()
	kit.Eventually(t, nc.IsConnected, "the connection is back")
	kit.Feed(p.Roster, kit.Login("a", "y"))
	p.tick(t.Context())
	if ok, failed, _ := results(p); ok != 2 || failed != 1 {
		t.Errorf("%v ok, %v failed, want 2 and 1", ok, failed)
	}
	if info, err := stream.Info(t.Context()); err != nil || info.State.LastSeq != 2 {
		t.Errorf("%d reports were stored, %v; want 2", info.State.LastSeq, err)
	}
}

// TestFailing: that reports cannot be published is shown, with since when and why,
// until one can; in the log, which is throttled, a few times a minute.
func TestFailing(t *testing.T) {
	p, _ := newPublisher(t, kit.Seed()) // there is no stream
	var log kit.Output
	p.Log = slog.New(throttle.New(slog.NewTextHandler(&log, nil)))
	now := kit.At
	p.now = func() time.Time { return now }
	if _, err := p.Failing(); err != nil {
		t.Errorf("before the first: %v", err)
	}
	for range 8 {
		p.tick(t.Context())
		since, err := p.Failing()
		if err == nil || !since.Equal(kit.At) || testutil.ToFloat64(p.metrics.failing) != 1 {
			t.Errorf("failing since %v, %v; want since the first", since, err)
		}
		now = now.Add(p.Interval)
	}
	if n := log.Count("report not published"); n == 0 || n > 5 {
		t.Errorf("logged %d times", n)
	}
	makeStream(t, p)
	p.tick(t.Context())
	if _, err := p.Failing(); err != nil || testutil.ToFloat64(p.metrics.failing) != 0 {
		t.Errorf("after one was published: %v", err)
	}
}

// TestTooLargeForTheStream: the error names the stream, its setting and the remedy.
func TestTooLargeForTheStream(t *testing.T) {
	p, _ := newPublisher(t, kit.Seed())
	p.Reports = "REPORTS"
	if _, err := p.JetStream.CreateStream(t.Context(), jetstream.StreamConfig{Name: "REPORTS", Subjects: subjects.AllReports(), MaxMsgSize: 10}); err != nil {
		t.Fatal(err)
	}
	p.tick(t.Context())
	const want = ": raise its max_msg_size to the server's max_payload: nats stream edit REPORTS --max-msg-size=1048576"
	if _, err := p.Failing(); err == nil || !strings.Contains(err.Error(), "stream REPORTS refuses a message of ") || !strings.HasSuffix(err.Error(), want) || strings.Contains(err.Error(), "nats: nats:") {
		t.Errorf("got %v", err)
	}
}

func TestSmallPayloadFails(t *testing.T) {
	p, _ := newPublisher(t, kit.Seed(), func(o *server.Options) { o.MaxPayload = 2 << 10 })
	makeStream(t, p)
	if _, err := p.publish(t.Context()); err == nil || !strings.Contains(err.Error(), "max_payload is 2048 bytes: raise it to at least 4096") {
		t.Errorf("got %v, want an error that names max_payload", err)
	}
}

// TestReportIsTheRosterOfItsPlace: while the fold continues, each report is the
// roster of its place, not of a later one.
func TestReportIsTheRosterOfItsPlace(t *testing.T) {
	const batches = 300
	live := roster.New(roster.DefaultSettings())
	replay := roster.New(roster.DefaultSettings())
	p := &Publisher{PublisherConfig: PublisherConfig{Source: source(live)}, now: time.Now}
	batch := func(i int) (events []roster.Event) {
		for k := range 20 {
			n := i*7 + k*13
			machine, user := fmt.Sprintf("machine-%03d", n%400), fmt.Sprintf("user-%d", n%11)
			if n%3 == 0 {
				events = append(events, kit.Logout(machine, user))
			} else {
				events = append(events, kit.Login(machine, user))
			}
		}
		return events
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range batches {
			kit.Feed(live, batch(i)...)
		}
	}()
	folded := 0
	for last := false; !last; {
		select {
		case <-done:
			last = true
		default:
		}
		head, pages, err := p.build(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		for ; replay.Status().Position.Place < head.Place; folded++ {
			kit.Feed(replay, batch(folded)...)
		}
		var read []api.Report
		for _, message := range pages.messages(head) {
			read = append(read, decode(t, message))
		}
		if len(read) != 1 || !reflect.DeepEqual(read[0].Machines, machines(replay)) {
			t.Fatalf("the report of place %d isn't the roster of that place", head.Place)
		}
	}
	if folded != batches {
		t.Errorf("%d batches seen, want %d", folded, batches)
	}
}
