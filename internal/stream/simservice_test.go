package stream

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"rollcall/internal/roster"
	"rollcall/internal/wire"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// entry is the record of one folded message, or of a run of lost ones.
type entry struct {
	place, seq uint64
	m          *simMessage
	judged     roster.Time
	lost       uint64 // 0: none; else how many from place on
	why        roster.Loss
	unread     bool // another incarnation begins after place
	created    roster.Time
	receipts   []roster.Time // of the lost, as far as the stream has had them
}

// mark is the state after a batch.
type mark struct {
	at           roster.Position
	log          []entry
	incarnation  int
	unverifiable uint64
}

// service is one process of rollcall, from its start to its crash: the real
// reader, the real decoder and the real roster.
type service struct {
	w       *world
	reader  *Reader
	roster  *roster.Roster
	decoder *wire.Decoder
	began   time.Time
	stop    context.CancelFunc
	ctx     context.Context
	ended   chan error

	at    roster.Position
	saved roster.Position // at the last snapshot
	log   []entry
	marks []mark
	// incarnation is the one that the position is in; 0 while nothing was read, and -1
	// if the position is in none, or the reader cannot know.
	incarnation int
	// undetectedSince is since when the reader should have detected another
	// incarnation.
	undetectedSince time.Time
	// unverifiable is the sequence up to which the reader can no longer verify that
	// it read what the stream had: the proof has left the stream.
	unverifiable uint64
	// lastShown is the greatest last sequence that the reader was answered in this
	// incarnation, and shownAt when (zero: it need not count). lastHeard includes the
	// answers of old leaders. cut: the stream has lost some of those, and the reader
	// may detect it. short: it must.
	lastShown, lastHeard uint64
	shownAt              time.Time
	cut, short           bool
	elsewhere            bool // reports show that another incarnation was read after the position
	pinned               *pinned
	losing               bool

	kinds      map[verdict]float64 // how many incarnations of each were counted
	delivery   *simDelivery
	reconnects int
}

var simSubjects, _ = rollcallv1.NewSubjects(rollcallv1.DefaultSubject)

// start starts rollcall from the newest valid snapshot.
func (w *world) start() {
	w.mu.Lock()
	defer w.mu.Unlock()
	r, from, skipped := w.disk.load(w.settings)
	if r == nil {
		r = roster.New(w.settings)
		if skipped > 0 {
			w.count("no snapshot is valid")
		}
	} else if skipped > 0 {
		w.count("older snapshot loaded")
	}
	s := &service{w: w, roster: r, at: from.at, log: from.log, incarnation: from.incarnation, unverifiable: from.unverifiable, began: time.Now(), kinds: map[verdict]float64{}}
	s.decoder, s.ended = wire.NewDecoder(simSubjects), make(chan error, 1)
	s.marks, s.saved = []mark{from}, from.at
	s.reader = newReader(Config{
		Stream: name, Log: w.log, Registry: prometheus.NewRegistry(),
		Earlier: func() []roster.Position {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.disk.positions()
		},
		AssignedPlaces: func(context.Context) ([]AssignedPlace, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.assigned, nil
		},
		Make: func(ctx context.Context) error { return w.createMissing(ctx, s) },
	}, simSource{s})
	w.service = s
	w.logf("start at %+v in incarnation %d", s.at, s.incarnation)
	for _, g := range w.assigned {
		if g.Place == s.at.PlaceOf(g.Sequence) {
			s.lastHeard = max(s.lastHeard, g.Sequence)
			s.elsewhere = s.elsewhere || g.Place > s.at.Place // it may belong to another message
		} else if g.Place > s.at.Place {
			s.elsewhere = true
		}
	}
	if w.stream != nil {
		s.streamReplaced(w.stream)
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	go func() { s.ended <- s.reader.Run(s.ctx, s.at, s.fold) }()
}

// crash ends rollcall: nothing that it does from now on has an effect.
func (w *world) crash() {
	w.mu.Lock()
	s := w.service
	s.stop()
	w.logf("crash at %d", s.at.Place)
	w.mu.Unlock()
	err := <-s.ended
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.fail("the reader ended: %v", err)
	}
	for _, cause := range causes {
		w.coverage.add("consumer recreated: "+cause, testutil.ToFloat64(s.reader.metrics.rebuilds.WithLabelValues(cause)))
	}
	for _, kind := range incarnations {
		w.coverage.add("verdict: "+string(kind), testutil.ToFloat64(s.reader.metrics.incarnations.WithLabelValues(string(kind))))
	}
}

// createMissing creates the stream if it is missing.
func (w *world) createMissing(ctx context.Context, s *service) error {
	_, err := ask(ctx, simSource{s}, "make", func(draw uint64) (bool, error) {
		if draw%3 == 0 {
			w.count("stream not created")
			return false, errors.New("insufficient resources")
		}
		if w.stream == nil {
			w.count("missing stream created")
			w.create()
			w.logf("stream created by the service, incarnation %d", w.stream.id)
		}
		return true, nil
	})
	return err
}

// streamReplaced records, for the checks and not for the reader, that the stream
// was replaced.
func (s *service) streamReplaced(next *simStream) {
	if s == nil {
		return
	}
	s.cut = s.cut || s.lastHeard > next.last && (s.incarnation == 0 || next.created == s.at.Proof.Created)
	switch {
	case s.incarnation == 0:
		s.lastShown = 0 // it may have been of a stream that was never accepted as ours
	case next.continues(s.at):
		s.incarnation, s.undetectedSince = next.id, time.Time{}
		if s.lastShown > next.last && s.at.Place > 0 && !s.shownAt.IsZero() && time.Since(s.shownAt) > settleTime {
			s.short = true
			s.w.count("known end cut off")
		}
	case s.undetectedSince.IsZero():
		s.undetectedSince = time.Now()
	}
	s.disturb()
}

// recordShown records a last sequence that the reader was answered.
func (s *service) recordShown(last uint64) {
	s.lastHeard = max(s.lastHeard, last)
	if last > s.lastShown || last == s.lastShown && s.shownAt.IsZero() {
		s.lastShown, s.shownAt = last, time.Now()
	}
}

// disturb records that a request went unanswered or had an odd answer, or that the
// stream was replaced: the reader may not have confirmed the answer just before, which
// then need not count.
func (s *service) disturb() {
	s.w.disturbed = time.Now()
	if time.Since(s.shownAt) <= settleTime {
		s.shownAt = time.Time{}
	}
}

// markAt returns the mark of a status.
func (s *service) markAt(st roster.Status) mark {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	for i := len(s.marks) - 1; i >= 0; i-- {
		if s.marks[i].at == st.Position {
			return s.marks[i]
		}
	}
	s.w.fail("the roster was never at %+v", st.Position)
	return mark{}
}
