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

// recorded makes the log of the letters one that can be read, throttled as that of
// the service.
func (s *setup) recorded() *kit.Output {
	l := new(kit.Output)
	s.letters.log = slog.New(throttle.New(slog.NewTextHandler(l, nil)))
	return l
}

// TestFloodOfLargeOnes: what is under way is bounded in bytes too, and that
// letters are dropped is a few lines, however many they are.
func TestFloodOfLargeOnes(t *testing.T) {
	s := newSetup(t) // nothing is stored
	log := s.recorded()
	huge := event(strings.Repeat("x", 1<<20))
	const n = maxLetterBytes>>20 + 20
	for range n {
		s.send(huge)
	}
	if s.letters.bytes > maxLetterBytes {
		t.Errorf("%d bytes are under way, at most %d", s.letters.bytes, maxLetterBytes)
	}
	under := len(s.letters.letters)
	if dropped := testutil.ToFloat64(s.letters.dropped); under == 0 || dropped != float64(n-under) {
		t.Errorf("%d letters under way and %v dropped, of %d", under, dropped, n)
	}
	if said := log.Count("dropping dead letters"); said == 0 || said > 5 {
		t.Errorf("said %d times", said)
	}
}

// TestLetterOfLongHeader: a header that fills a message leaves no room for
// ours, so it doesn't go into the letter.
func TestLetterOfLongHeader(t *testing.T) {
	s := newSetup(t)
	s.letters.patience = time.Second
	s.store()
	m := event("{")
	m.Header = nats.Header{rollcallv1.HeaderContentType: {"application/json; x=" + strings.Repeat("y", 1<<20-200)}}
	s.send(m)
	s.settled()
	if got := s.letter(1).Header; got.Get(rollcallv1.HeaderContentType) != "" {
		t.Error("the letter has the header")
	}
}

// TestSettledAfterAStart: what an earlier process has judged is settled. A
// snapshot that only notes that losses were accepted doesn't wait for events.
func TestSettledAfterAStart(t *testing.T) {
	s := newSetup(t)
	r := roster.New(roster.DefaultSettings())
	r.Fold(&roster.Batch{End: roster.Position{Place: 5}, Missing: roster.Gap})
	New(r, s.letters.subjects, s.letters, func() bool { return true }, prometheus.NewRegistry())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.letters.Settled(ctx, 5) }()
	kit.Eventually(t, func() bool { return len(done) == 1 }, "place 5 is settled")
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestSettledWaitsForALetter: the letters of a later place are not waited for,
// those up to the place are, in whatever order they are stored.
func TestSettledWaitsForALetter(t *testing.T) {
	s := newSetup(t)
	s.send(event("{"), event("{"), event("{"))
	s.letters.finish(s.letters.letters[1], nil)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.letters.Settled(ended, 2); err == nil {
		t.Error("settled up to place 2 with the letter of place 1 under way")
	}
	s.letters.finish(s.letters.letters[0], nil)
	if err := s.letters.Settled(ended, 2); err != nil {
		t.Errorf("the letter of place 3 is waited for: %v", err)
	}
}
