package service

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/lease"
	"rollcall/internal/roster"
)

// traits are what should be the same in all that stand by for each other, with the place
// up to which it is so. The lease has those of the active one.
type traits struct {
	// Offset is what a sequence of the stream lacks to be a place.
	Offset int64  `json:"offset"`
	Place  uint64 `json:"place"`
	// Lost counts the places that are lost; Accepted is the place up to which losses are
	// accepted.
	Lost     uint64 `json:"lost"`
	Accepted uint64 `json:"accepted"`
	// Settings is a digest of all that decides.
	Settings string `json:"settings"`
	// HistoryFrom is the date before which the history keeps nothing, the zero time if it
	// keeps all since the first event; nil: there is no history.
	HistoryFrom *time.Time `json:"history_from"`
	Version     string     `json:"version"`
}

// The things in which two may differ, as the metric names them.
const (
	differsOffset   = "offset"
	differsLost     = "lost"
	differsAccepted = "accepted"
	differsSettings = "settings"
	differsHistory  = "history"
)

var allDiffers = []string{differsOffset, differsLost, differsAccepted, differsSettings, differsHistory}

// historySlack is how much later a history may begin: each deletes what is old at moments
// of its own.
const historySlack = 2 * time.Hour

// difference is one thing in which this process differs from the active one.
type difference struct{ in, text string }

// differences returns in what these traits differ from the active one's, beside place and
// version.
func (t *traits) differences(active *traits) (all []difference) {
	add := func(in, format string, args ...any) {
		all = append(all, difference{in, in + ": " + fmt.Sprintf(format, args...)})
	}
	if t.Settings != active.Settings {
		add(differsSettings, "the stream, ROLLCALL_MAX_SKEW, ROLLCALL_ALLOWED_LATENESS, ROLLCALL_SOURCES or a limit is another one")
	}
	if t.Offset != active.Offset {
		add(differsOffset, "places are sequences + %d, of the active one + %d", t.Offset, active.Offset)
	}
	// One that lags may not know of a loss yet.
	if t.Place >= active.Place && t.Lost != active.Lost {
		add(differsLost, "%d messages are lost, of the active one %d", t.Lost, active.Lost)
	}
	if t.Accepted != active.Accepted {
		add(differsAccepted, "losses are accepted up to place %d, by the active one up to %d", t.Accepted, active.Accepted)
	}
	switch mine, its := t.HistoryFrom, active.HistoryFrom; {
	case its == nil: // nothing is missing here
	case mine == nil:
		add(differsHistory, "none is kept, the active one keeps one")
	case mine.After(its.Add(historySlack)):
		add(differsHistory, "it begins at %s, the active one's %s", mine.UTC().Format(time.RFC3339), beginning(*its))
	}
	return all
}

// beginning describes when a history begins.
func beginning(from time.Time) string {
	if from.IsZero() {
		return "with the first event"
	}
	return "at " + from.UTC().Format(time.RFC3339)
}

// likeness compares this process with the active one.
type likeness struct {
	gauge *prometheus.GaugeVec
	mine  atomic.Pointer[jsontext.Value]
	// accepted is the place up to which losses are accepted, as mine says.
	accepted atomic.Uint64
	found    atomic.Pointer[[]difference] // those that have lasted
	// Of compare alone: since when there are differences.
	since time.Time
}

func newLikeness(reg prometheus.Registerer) *likeness {
	l := &likeness{gauge: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "rollcall_standby_differs",
		Help: "1 if this process stands by, and differs in this from the active one, else 0.",
	}, []string{"in"})}
	reg.MustRegister(l.gauge)
	l.set(nil)
	return l
}

// set records the differences.
func (l *likeness) set(found []difference) {
	l.found.Store(&found)
	for _, in := range allDiffers {
		value := 0.0
		if slices.ContainsFunc(found, func(d difference) bool { return d.in == in }) {
			value = 1
		}
		l.gauge.WithLabelValues(in).Set(value)
	}
}

// state returns the traits for the lease.
func (l *likeness) state() jsontext.Value {
	if mine := l.mine.Load(); mine != nil {
		return *mine
	}
	return nil
}

// differing reports whether this process would answer differently from the active one.
func (l *likeness) differing() bool { return len(*l.found.Load()) > 0 }

// texts describes the differences.
func (l *likeness) texts() (all []string) {
	for _, d := range *l.found.Load() {
		all = append(all, d.text)
	}
	return all
}

// compareAlways compares this process with the active one until ctx is done.
func (s *service) compareAlways(ctx context.Context) {
	s.compare(time.Now())
	repeat(ctx, s.standby.ttl/10, nil, func(context.Context) { s.compare(time.Now()) })
}

// compare compares this process with the active one, or the one that was it last. What
// differs must do so for a TTL: of two that read the same, one is always the first.
func (s *service) compare(now time.Time) {
	l, h := s.standby.likeness, s.standby.Holder()
	s.acceptFrom(h)
	mine := s.traits()
	if encoded, err := json.Marshal(&mine); err == nil {
		l.mine.Store((*jsontext.Value)(&encoded))
		l.accepted.Store(mine.Accepted)
	}
	found := differencesFrom(&mine, h)
	if len(found) == 0 {
		l.since = time.Time{}
	} else if l.since.IsZero() {
		l.since = now
	}
	//guard:drop "a difference of a moment is none" TestCompare
	if len(found) > 0 && now.Sub(l.since) < s.standby.ttl {
		return
	}
	if before := *l.found.Load(); slices.Equal(found, before) {
		return
	}
	l.set(found)
	if len(found) == 0 {
		s.log.Info("this rollcall does not differ from the active one any more")
		return
	}
	s.log.Warn("this rollcall differs from the active one, so it takes over later than another would", "differs", l.texts())
}

// differencesFrom returns in what a process differs from the one that holds the lease.
func differencesFrom(mine *traits, h lease.Holder) []difference {
	active, ok := traitsOf(h)
	if !ok {
		return nil
	}
	return mine.differences(&active)
}

// traitsOf returns those of another process that holds the lease, or held it last; false if
// there is none, or it does not say.
func traitsOf(h lease.Holder) (traits, bool) {
	var active traits
	if h.Own || h.State == nil || json.Unmarshal(h.State, &active) != nil {
		return traits{}, false
	}
	return active, true
}

// acceptFrom accepts the losses that the holder of the lease accepts: an operator has told
// one process, and whoever is active later must know.
func (s *service) acceptFrom(h lease.Holder) {
	active, _ := traitsOf(h)
	if active.Accepted <= s.accepted.Load() {
		return
	}
	s.accepted.Store(active.Accepted)
	s.log.Warn("losses are accepted, as the active rollcall accepts them", "place", active.Accepted)
	s.roster.Accept(active.Accepted)
	if s.history != nil {
		s.history.Accept(active.Accepted)
	}
}

// acceptsLess reports whether the lease, taken now, would forget a loss that the one that
// held it accepts.
func (s *service) acceptsLess(h lease.Holder) bool {
	active, _ := traitsOf(h)
	return active.Accepted > s.standby.likeness.accepted.Load()
}

// traits returns those of this process.
func (s *service) traits() traits {
	st := s.roster.Status()
	t := traits{
		Offset: st.Position.Base, Place: st.Position.Place, Lost: st.Fates[roster.Lost],
		Accepted: s.accepted.Load(), Settings: digest(&s.cfg), Version: s.build.Version,
	}
	if s.history != nil {
		t.HistoryFrom = new(time.Time)
		if kept := s.history.Status().Kept; kept != 0 {
			*t.HistoryFrom = kept.Time()
		}
	}
	return t
}
