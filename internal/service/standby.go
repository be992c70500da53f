package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"rollcall/internal/api"
	"rollcall/internal/lease"
	"rollcall/internal/natsconn"
	"rollcall/internal/roster"
)

// standby is the part of a service among several that stand by for each other: all fold, and
// write histories, snapshots and dead letters; the one that has the lease answers and
// publishes too. If it is nil, the service stands alone.
type standby struct {
	*lease.Lease
	ttl time.Duration
	log *slog.Logger
	// ready is the term in which this instance has read what its predecessor may have read:
	// what it says from then on never goes back. 0: none.
	ready    atomic.Uint64
	likeness *likeness
}

// prepareStandby creates the bucket of the lease if it is missing. It is as available as the
// stream of events, which somebody else may have made.
func (s *service) prepareStandby(ctx context.Context, js jetstream.JetStream, events *jetstream.StreamInfo) error {
	//guard:set events.Config.Replicas int(s.cfg.StreamReplicas) "the lease survives what the events survive" ./internal/test/faults:TestLeaseOfACluster
	s.replicas = events.Config.Replicas
	if !s.cfg.Standby {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	err := lease.Prepare(ctx, js, s.replicas, s.log)
	if err != nil && !errors.Is(err, natsconn.ErrConfiguration) {
		s.log.Warn("the bucket of the lease is not there yet: it is tried again", "err", err)
		return nil
	}
	return err
}

// wireStandby connects the lease.
func (s *service) wireStandby(js jetstream.JetStream) {
	s.reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rollcall_active",
		Help: "1 if this process answers and publishes, else 0: with ROLLCALL_STANDBY, another one does, or none.",
	}, func() float64 {
		if s.isActive() {
			return 1
		}
		return 0
	}))
	likeness := newLikeness(s.reg)
	if !s.cfg.Standby {
		return
	}
	b := &standby{ttl: time.Duration(s.cfg.StandbyTTL), log: s.log, likeness: likeness}
	b.Lease = lease.New(lease.Config{
		JetStream: js, Subjects: s.cfg.Subjects(), Instance: s.instance, TTL: b.ttl,
		Replicas: s.replicas, State: b.likeness.state, HoldBack: s.holdBack, Log: s.log,
	})
	s.standby = b
}

// isActive reports whether this process answers and publishes.
func (s *service) isActive() bool {
	return s.standby == nil || s.standby.fence(func() {}) == nil
}

// Why a process that stands by does not answer.
var (
	errStandsBy   = errors.New("stands by: another rollcall is active: ask again")
	errTakingOver = errors.New("taking_over: this rollcall has just become the active one, and reads what the one before it may have read: ask again")
)

// fence calls send if this process is the active one and has read on. Whoever asks gets a
// late answer only to a question that was asked before another one became active.
func (b *standby) fence(send func()) error {
	//guard:set b.Term() b.ready.Load() "no answer of a process that is not active any more" ./internal/test/faults:TestStandbyStopped
	switch term := b.Term(); {
	case term == 0:
		return errStandsBy
	//guard:false "no answer before it has read on" TestReadsOn
	case term != b.ready.Load():
		return errTakingOver
	}
	send()
	return nil
}

// fenceOf returns the fence of what the active process does; nil: the service stands alone.
func (s *service) fenceOf() func(send func()) error {
	if s.standby == nil {
		return nil
	}
	return s.standby.fence
}

// holdBack returns how much longer than needed this instance leaves the lease to another.
func (s *service) holdBack(h lease.Holder) time.Duration {
	switch {
	// It does not for long.
	//guard:false "no accepted loss is forgotten at a take-over" TestAcceptedSinceBefore
	case s.acceptsLess(h):
		return lease.Forever
	// The others may be ready sooner.
	//guard:false "who replays the stream leaves the lease to the others" TestReplayingStandsBy
	case !s.reader.CaughtUp():
		return lease.Forever
	//guard:drop s.standby.likeness.differing "one that differs leaves the lease to the others" TestDiffers
	case s.standby.likeness.differing() || !s.links.events.connected():
		return s.standby.ttl
	}
	return 0
}

// role returns the function that describes this process's part for others; nil: it stands
// alone.
func (s *service) role() func(*api.Instance) {
	if s.standby == nil {
		return nil
	}
	return func(i *api.Instance) {
		i.Standby, i.Active, i.Differs = true, s.isActive(), s.standby.likeness.texts()
	}
}

// checkStandby shows who is active, and whether this process would be as good.
func (s *service) checkStandby() (bool, string) {
	if s.caughtUp.Load() == nil {
		return false, "starting"
	}
	h := s.standby.Holder()
	text := s.standby.describe(h)
	if differs := s.standby.likeness.texts(); len(differs) > 0 {
		return false, text + "; it differs from the active one: " + strings.Join(differs, "; ")
	}
	return true, text
}

// describe describes this process's part, and the one that holds the lease.
func (b *standby) describe(h lease.Holder) string {
	switch err := b.fence(func() {}); {
	case err == nil:
		return "active"
	case errors.Is(err, errTakingOver):
		return "taking over"
	case h.Instance == "" || h.Own || h.Released || h.Still > b.ttl:
		return "stands by, nobody is active"
	}
	return "stands by, " + h.Instance + " is active"
}

// runStandby runs what only the active process does whenever this one is it, until ctx is
// done; then it lets another one become active at once.
func (s *service) runStandby(ctx context.Context, g *errgroup.Group) {
	released := make(chan struct{})
	g.Go(func() error { return s.questions.Run(until(released)) })
	g.Go(func() error { return s.standby.Run(until(released)) })
	g.Go(func() error {
		s.compareAlways(until(released))
		return nil
	})
	g.Go(func() error {
		defer close(released)
		err := s.takeTerms(ctx)
		s.standby.release()
		return err
	})
}

// releaseTimeout is how long the end of the process waits for others to know.
const releaseTimeout = 2 * time.Second

func (b *standby) release() {
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	if err := b.Release(ctx); err != nil {
		b.log.Warn("another rollcall becomes active later than it could", "err", err)
	}
}

// takeTerms serves in one term after the other, until ctx is done.
func (s *service) takeTerms(ctx context.Context) error {
	for {
		if term := s.standby.Term(); term != 0 {
			if err := s.serveTerm(ctx, term); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.standby.Changed():
		// Changed tells of each change once, and serveTerm may have received it.
		case <-time.After(s.standby.ttl / 10):
		}
	}
}

// errTermEnded ends the parts that run during a term.
var errTermEnded = errors.New("the term has ended")

// serveTerm answers and publishes until ctx is done or the term has ended.
func (s *service) serveTerm(ctx context.Context, term uint64) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.standby.awaitEnd(ctx, term) })
	g.Go(func() error { return s.questions.Answer(ctx) })
	g.Go(func() error {
		//guard:false "who becomes active reads on before it answers" TestReadsOn
		if !s.readOn(ctx) {
			return nil
		}
		s.standby.ready.Store(term)
		s.log.Info("this rollcall answers and publishes", "place", s.roster.Status().Position.Place)
		g.Go(func() error { return s.publisher.Run(ctx) })
		g.Go(func() error { return s.changes.Run(ctx) })
		g.Go(func() error { return s.giver().Run(ctx) })
		return nil
	})
	err := g.Wait()
	if errors.Is(err, errTermEnded) {
		return nil
	}
	return err
}

// awaitEnd waits until the term has ended, which it returns as an error, or ctx is done.
func (b *standby) awaitEnd(ctx context.Context, term uint64) error {
	for b.Term() == term {
		select {
		case <-ctx.Done():
			return nil
		case <-b.Changed():
		}
	}
	return errTermEnded
}

// tail is the end of the stream of events, as its leader knows it.
type tail struct {
	created  roster.Time
	sequence uint64 // of the last message
}

// passedBy reports whether everything up to the tail has its fate.
func (t tail) passedBy(p roster.Position) bool {
	return t.sequence == 0 || p.Proof.Created == t.created && p.Sequence() >= t.sequence
}

const (
	// askAgain is how often to ask for the tail: the stream may be recreated meanwhile.
	askAgain = time.Second
	// lookAgain is how often to look whether it is passed.
	lookAgain = 2 * time.Millisecond
)

// readOn waits until everything is folded that the stream has now: whoever was active
// before has read no more. It returns false if ctx is done first.
func (s *service) readOn(ctx context.Context) bool {
	var goal tail
	for {
		now, err := s.askTail(ctx)
		if err == nil && now.created != goal.created {
			goal = now
		}
		if err != nil && ctx.Err() == nil {
			s.log.Warn("taking over: the end of the stream is not known, so nothing is answered yet", "err", err)
		}
		for next := time.Now().Add(askAgain); time.Now().Before(next); {
			if goal.created != 0 && goal.passedBy(s.roster.Status().Position) {
				return ctx.Err() == nil
			}
			if !pause(ctx, lookAgain) {
				return false
			}
		}
	}
}

// askTail asks the stream's leader for its end.
func (s *service) askTail(ctx context.Context) (tail, error) {
	ctx, cancel := context.WithTimeout(ctx, s.standby.ttl/4)
	defer cancel()
	js, err := s.cfg.Domain().JetStream(s.other)
	if err != nil {
		return tail{}, err
	}
	stream, err := js.Stream(ctx, string(s.cfg.Stream))
	if err != nil {
		return tail{}, fmt.Errorf("requesting the state of stream %s: %w", s.cfg.Stream, err)
	}
	info := stream.CachedInfo()
	return tail{roster.TimeOf(info.Created), info.State.LastSeq}, nil
}
