package ingest

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"rollcall/internal/roster"
	"rollcall/internal/stream"
)

// TestJudgedBefore: a message that was judged in an earlier incarnation of the
// stream is not refused again: it makes no dead letter, and does not count as an
// accepted event.
func TestJudgedBefore(t *testing.T) {
	s := newSetup(t)
	b := stream.Batch{
		Messages: []stream.Message{{Msg: event("no event"), Sequence: 1, Place: 1, Receipt: receipt}},
		End:      roster.Position{Place: 1, Judged: receipt},
	}
	s.Fold(&b)
	if st := s.roster.Status(); st.Fates != (roster.Fates{roster.Superseded: 1}) {
		t.Errorf("fates are %v", st.Fates)
	}
	if n := len(s.letters.inFlight); n != 0 {
		t.Errorf("%d letters in flight", n)
	}
}

// TestDelays: delays are observed only while caught up, and are never negative,
// whatever the publisher's clock.
func TestDelays(t *testing.T) {
	s := newSetup(t)
	caughtUp := false
	s.caughtUp = func() bool { return caughtUp }
	s.send(event(good))
	if n := samples(t, s.metrics.eventDelay).GetSampleCount(); n != 0 {
		t.Errorf("%d delays of a replay", n)
	}
	caughtUp = true
	s.send(event(strings.Replace(good, "20:59:00", "21:05:00", 1))) // 5 minutes after its receipt
	if h := samples(t, s.metrics.eventDelay); h.GetSampleCount() != 1 || h.GetSampleSum() != 0 {
		t.Errorf("%d delays of %v s in all, want one of 0 s", h.GetSampleCount(), h.GetSampleSum())
	}
}

func samples(t *testing.T, of prometheus.Metric) *dto.Histogram {
	t.Helper()
	var m dto.Metric
	if err := of.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetHistogram()
}

// TestLimitLoggedRarely: a limit that is reached logs a few lines, however many
// events are refused.
func TestLimitLoggedRarely(t *testing.T) {
	s := newSetup(t)
	settings := roster.DefaultSettings()
	settings.MaxMachines = 1
	s.Ingest.roster = roster.New(settings)
	log := s.recordLog()
	s.send(event(good))
	for range 20 {
		s.send(event(strings.Replace(good, "web", "db", 1)))
	}
	if n := log.Count("event refused: limit reached"); n == 0 || n > 5 {
		t.Errorf("logged %d times", n)
	}
}
