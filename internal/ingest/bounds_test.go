package ingest

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	"rollcall/internal/throttle"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// recordLog returns what the letters log, throttled as in the service.
func (s *setup) recordLog() *kit.Output {
	l := new(kit.Output)
	s.letters.log = slog.New(throttle.New(slog.NewTextHandler(l, nil)))
	return l
}

// TestFloodOfLargeMessages: letters in flight are bounded in bytes, too, and
// dropped letters log a few lines, however many there are.
func TestFloodOfLargeMessages(t *testing.T) {
	s := newSetup(t) // no letter is stored
	log := s.recordLog()
	huge := event(strings.Repeat("x", 1<<20))
	const n = maxLetterBytes>>20 + 20
	for range n {
		s.send(huge)
	}
	if s.letters.bytes > maxLetterBytes {
		t.Errorf("%d bytes in flight, want at most %d", s.letters.bytes, maxLetterBytes)
	}
	inFlight := len(s.letters.inFlight)
	if dropped := testutil.ToFloat64(s.letters.dropped); inFlight == 0 || dropped != float64(n-inFlight) {
		t.Errorf("%d letters in flight and %v dropped, of %d", inFlight, dropped, n)
	}
	if logged := log.Count("dropping dead letters"); logged == 0 || logged > 5 {
		t.Errorf("logged %d times", logged)
	}
}

// TestLetterOfLongHeader: a Content-Type that leaves no space for the headers of
// the letter is left out of it.
func TestLetterOfLongHeader(t *testing.T) {
	s := newSetup(t)
	s.letters.patience = time.Second
	s.store()
	m := event("{")
	m.Header = nats.Header{rollcallv1.HeaderContentType: {"application/json; x=" + strings.Repeat("y", 1<<20-200)}}
	s.send(m)
	s.awaitStored()
	if got := s.letter(1).Header; got.Get(rollcallv1.HeaderContentType) != "" {
		t.Error("the letter has the header")
	}
}

// TestSettledAfterStart: what an earlier process judged is settled: a snapshot that
// only records accepted losses does not wait for events.
func TestSettledAfterStart(t *testing.T) {
	s := newSetup(t)
	r := roster.New(roster.DefaultSettings())
	r.Fold(&roster.Batch{End: roster.Position{Place: 5}, Missing: roster.Gap})
	New(r, s.letters.subjects, s.letters, func() bool { return true }, prometheus.NewRegistry())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.letters.AwaitStored(ctx, 5) }()
	kit.Eventually(t, func() bool { return len(done) == 1 }, "place 5 is settled")
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestAwaitStored: AwaitStored waits for the letters up to its place, in
// whatever order they are stored, and not for later ones.
func TestAwaitStored(t *testing.T) {
	s := newSetup(t)
	s.send(event("{"), event("{"), event("{"))
	s.letters.finish(s.letters.inFlight[1], nil)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.letters.AwaitStored(ended, 2); err == nil {
		t.Error("settled up to place 2 with the letter of place 1 in flight")
	}
	s.letters.finish(s.letters.inFlight[0], nil)
	if err := s.letters.AwaitStored(ended, 2); err != nil {
		t.Errorf("waits for the letter of place 3: %v", err)
	}
}
