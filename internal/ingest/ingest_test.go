package ingest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"rollcall/internal/roster"
	"rollcall/internal/stream"
	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction(kit.SourceSetup)) }

// setup is an ingest with a real stream of dead letters.
type setup struct {
	*Ingest
	t       *testing.T
	js      jetstream.JetStream
	stored  jetstream.Stream
	letters *DeadLetters
	roster  *roster.Roster
	place   uint64
}

func newSetup(t *testing.T) *setup { return newSetupWith(t, roster.DefaultSettings()) }

func newSetupWith(t *testing.T, settings roster.Settings) *setup {
	server := kit.StartServer(t)
	subjects, err := rollcallv1.NewSubjects(rollcallv1.DefaultSubject)
	if err != nil {
		t.Fatal(err)
	}
	nc := kit.Conn(t, server.URL)
	s := &setup{t: t, js: kit.JetStream(t, nc), roster: roster.New(settings)}
	s.stored, err = s.js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: rollcallv1.DefaultDeadLettersStream, Subjects: subjects.AllDeadLetters(),
	})
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	if s.letters, err = NewDeadLetters(kit.Conn(t, server.URL), subjects, rollcallv1.DefaultEventsStream, kit.Logger(t), reg); err != nil {
		t.Fatal(err)
	}
	s.Ingest = New(s.roster, subjects, s.letters, func() bool { return true }, reg)
	return s
}

// store runs the letters until the test ends.
func (s *setup) store() {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.letters.Run(ctx) }()
	s.t.Cleanup(func() { stop(); <-done })
}

var receipt = roster.TimeOf(time.Date(2026, 11, 22, 21, 0, 0, 0, time.UTC))

// send folds messages as one batch.
func (s *setup) send(messages ...*nats.Msg) {
	b := stream.Batch{}
	for _, m := range messages {
		s.place++
		b.Messages = append(b.Messages, stream.Message{Msg: m, Sequence: s.place, Place: s.place, Receipt: receipt})
	}
	b.End.Place = s.place
	s.Fold(&b)
}

func event(payload string) *nats.Msg {
	return &nats.Msg{Subject: "rollcall.events", Data: []byte(payload)}
}

const good = `{"date":"2026-11-22T20:59:00Z","type":"login","machine":"web","user":"lane"}`

func (s *setup) awaitStored() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	if err := s.letters.AwaitStored(ctx, s.place); err != nil {
		s.t.Fatal(err)
	}
}

func (s *setup) letter(place uint64) *jetstream.RawStreamMsg {
	s.t.Helper()
	msg, err := s.stored.GetLastMsgForSubject(s.t.Context(), fmt.Sprintf("rollcall.deadletters.%d", place))
	if err != nil {
		s.t.Fatalf("dead letter %d: %v", place, err)
	}
	return msg
}

// TestRefused: a refused message is stored once, with everything known about it,
// and the events around it are not affected.
func TestRefused(t *testing.T) {
	s := newSetup(t)
	s.store()
	byMQTT := &nats.Msg{Subject: "rollcall.events.web//local", Data: []byte(strings.Replace(good, `"web"`, `"web.local"`, 1))}
	foreign := &nats.Msg{Subject: "rollcall.events.db", Data: []byte(good), Header: nats.Header{"Content-Type": {"application/json"}}}
	s.send(event(good), event(`{"date":"yesterday","type":"login","machine":"web","user":"bob"}`), foreign,
		event(strings.Replace(good, "2026", "2099", 1)), event(strings.Replace(good, "lane", "chris", 1)), byMQTT)
	s.awaitStored()
	if st := s.roster.Status(); st.Fates != (roster.Fates{roster.Applied: 3, roster.DeadLettered: 3}) {
		t.Errorf("fates are %v", st.Fates)
	}
	for place, reason := range map[uint64]string{2: "bad_date", 3: "identity", 4: "future"} {
		if got := s.letter(place).Header.Get(rollcallv1.HeaderReason); got != reason {
			t.Errorf("reason of %d is %q, want %q", place, got, reason)
		}
	}
	l := s.letter(3)
	want := map[string]string{
		"Rollcall-Stream": "ROLLCALL_EVENTS", "Rollcall-Subject": "rollcall.events.db", "Rollcall-Sequence": "3", "Rollcall-Receipt": "2026-11-22T21:00:00Z",
		"Rollcall-Size": fmt.Sprint(len(good)), "Content-Type": "application/json",
	}
	for key, value := range want {
		if got := l.Header.Get(key); got != value {
			t.Errorf("%s is %q, want %q", key, got, value)
		}
	}
	if string(l.Data) != good || l.Header.Get(rollcallv1.HeaderDetail) == "" {
		t.Errorf("letter is %q, %v", l.Data, l.Header)
	}
	if n := testutil.ToFloat64(s.metrics.refused[roster.Identity]); n != 1 {
		t.Errorf("%v refused for identity", n)
	}
}

// TestStoredOnce: a message read again, as after a crash, is not stored again.
func TestStoredOnce(t *testing.T) {
	s := newSetup(t)
	s.store()
	for range 3 {
		s.place = 0
		s.send(event("{"), event("{"))
		s.awaitStored()
	}
	info, err := s.stored.Info(t.Context())
	if err != nil || info.State.Msgs != 2 {
		t.Errorf("%d letters stored, want 2 (%v)", info.State.Msgs, err)
	}
	if n := testutil.ToFloat64(s.letters.dropped); n != 0 {
		t.Errorf("%v letters dropped", n)
	}
}

// TestLargeLetter: the payload of a letter is truncated to what fits.
func TestLargeLetter(t *testing.T) {
	s := newSetup(t)
	s.store()
	huge := event(strings.Repeat("x", 1<<20))
	huge.Header = nats.Header{"Content-Type": {"application/json; x=" + strings.Repeat("y", 5000)}}
	s.send(huge)
	s.awaitStored()
	l := s.letter(1)
	if len(l.Data) < 1<<19 || l.Header.Get(rollcallv1.HeaderSize) != "1048576" || l.Header.Get(rollcallv1.HeaderReason) != "oversize" {
		t.Errorf("%d bytes, %v", len(l.Data), l.Header)
	}
}

// TestFlood: bad messages beyond what may be in flight are counted as dropped at
// once, and good ones are folded.
func TestFlood(t *testing.T) {
	s := newSetup(t) // nothing is stored yet
	for range 3 * maxLetters / 500 {
		messages := make([]*nats.Msg, 500)
		for i := range messages {
			messages[i] = event("not an event")
		}
		s.send(messages...)
	}
	s.send(event(good))
	if got := len(s.roster.User("lane")); got != 1 {
		t.Errorf("lane has %d sessions", got)
	}
	if n := testutil.ToFloat64(s.letters.dropped); n != 2*maxLetters {
		t.Errorf("%v letters dropped, want %d", n, 2*maxLetters)
	}
	s.store()
	s.awaitStored()
	info, err := s.stored.Info(t.Context())
	if err != nil || info.State.Msgs != maxLetters {
		t.Errorf("%d letters stored, want %d (%v)", info.State.Msgs, maxLetters, err)
	}
}

// TestNoStream: letters that no stream stores are dropped after a while, and
// AwaitStored returns.
func TestNoStream(t *testing.T) {
	s := newSetup(t)
	s.letters.patience = 300 * time.Millisecond
	if err := s.js.DeleteStream(t.Context(), rollcallv1.DefaultDeadLettersStream); err != nil {
		t.Fatal(err)
	}
	s.store()
	s.send(event("{"), event(good), event("{"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := s.letters.AwaitStored(ctx, s.place); err == nil {
		t.Error("settled at once")
	}
	s.awaitStored()
	if n := testutil.ToFloat64(s.letters.dropped); n != 2 {
		t.Errorf("%v letters dropped", n)
	}
	if len(s.letters.inFlight) != 0 || s.letters.bytes != 0 {
		t.Errorf("%d letters, %d bytes in flight", len(s.letters.inFlight), s.letters.bytes)
	}
}
