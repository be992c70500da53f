// Package lease decides which one of several processes is active: the one that holds the
// lease, a key in a key-value bucket of NATS JetStream. The others stand by, and one of
// them takes the lease when its holder ends, fails, or can no longer reach the bucket.
//
// # What is promised
//
// Never are two processes active at once, whatever is delayed or lost, and however long a
// process is paused, as long as JetStream keeps what it has acknowledged, and clocks differ
// in speed by at most 2 %. Once a holder is gone, another is active within 1.25 TTL, or at
// once if the holder has released the lease.
//
// # The rules
//
// The key holds the instance that wrote it (a name that is new at each start), a number
// that grows with each attempt to write, whether the lease is released, the TTL, and a
// state that the caller supplies. Everything is written with the revision expected, so nobody
// overwrites what it has not seen.
//
//   - The holder renews the lease each TTL/4. It is active until a TTL after the sending
//     of the newest renewal that is stored, by whichever of its two clocks advanced more:
//     the monotonic clock may stand still while a machine is suspended, and somebody may
//     set the wall clock.
//   - An update that was refused, or not answered, may be stored nevertheless, or one
//     before it. So the key is read, and a renewal of one's own that is found there counts,
//     from its sending.
//   - A standby reads the key each TTL/10. It takes the lease once the key has stood still
//     for 1.05 TTL on its own monotonic clock, or at once if it is released. A missing key,
//     and one that holds something else, must stand still as well: its holder may live.
//   - A process that ends stops to be active first, and then writes that the lease is
//     released. Nothing revives it after that.
//
// No rule asks a server for the time: the bucket has no TTL, since a server's wall clock
// may be set.
//
// contender.go has the rules, without clocks and connections; a simulation tries them on
// random schedules. bucket.go has the bucket, lease.go drives the one with the other, and
// report.go reports what comes of it.
package lease

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go/jetstream"

	rollcallv1 "rollcall/proto/rollcall/v1"
)

// DefaultTTL is how long a holder is active without a renewal.
const DefaultTTL = 10 * time.Second

// Forever holds a standby back for as long as it is returned.
const Forever time.Duration = 1 << 62

// Config is what a Lease needs.
type Config struct {
	JetStream jetstream.JetStream
	// Subjects are those of the installation: its instances share one lease.
	Subjects rollcallv1.Subjects
	// Instance names this process. It must be new at each start.
	Instance string
	// TTL is how long a holder is active without a renewal, in whole milliseconds and
	// an hour at most; 0: DefaultTTL. A standby waits for the longer one of the
	// holder's and its own.
	TTL time.Duration
	// Replicas is how many replicas the bucket gets if this instance creates it.
	Replicas int
	// State returns the state that is written with each renewal: JSON of at most
	// MaxState bytes. The others see it. It must return at once. nil: there is none.
	State func() jsontext.Value
	// HoldBack returns how much later than it might a standby takes the lease from a
	// holder: 0, or Forever. It is called often, and must return at once. nil: 0.
	HoldBack func(Holder) time.Duration
	Log      *slog.Logger
}

// Holder is what the key says, as this instance saw it last.
type Holder struct {
	// Instance is the one that holds the lease, or held it last; "" if the key was
	// never read, is missing, or holds what no instance has written.
	Instance string
	// Own says that it is this instance.
	Own bool
	// Released says that the instance has ended.
	Released bool
	// State is what the instance supplied.
	State jsontext.Value
	// Still is for how long the key has not changed. A live holder changes it each
	// TTL/4.
	Still time.Duration
	// Err says why no instance has written the key's value.
	Err error
}

// Lease is this instance's part in the lease. Its methods may be called at any time from
// any goroutine.
type Lease struct {
	Config
	bucket  *bucket
	clocks  func() moment
	grant   atomic.Pointer[grant] // what Term reads
	changed chan struct{}
	asking  chan struct{} // has room for one request
	done    chan struct{} // closed when Run has returned

	mu       sync.Mutex
	rules    *contender
	active   uint64      // the term that was reported last
	expiry   *time.Timer // reports when the lease ends
	cancel   func()      // ends the current wait or request; nil: Run has not begun
	foreign  uint64      // the revision of a foreign value that was logged
	released error       // why the lease is not released, when Run has returned
}

// New returns the part of a standby. Run makes it contend for the lease.
func New(c Config) *Lease {
	if c.TTL == 0 {
		c.TTL = DefaultTTL
	}
	if c.State == nil {
		c.State = func() jsontext.Value { return nil }
	}
	if c.HoldBack == nil {
		c.HoldBack = func(Holder) time.Duration { return 0 }
	}
	l := &Lease{
		Config: c, clocks: readClocks,
		bucket:  newBucket(c.JetStream, Key(c.Subjects), c.Replicas, c.Log),
		changed: make(chan struct{}, 1), asking: make(chan struct{}, 1), done: make(chan struct{}),
	}
	l.rules = newContender(c.Instance, c.TTL, l.clocks())
	l.expiry = time.AfterFunc(time.Hour, l.expire)
	l.expiry.Stop()
	return l
}

// Term returns the term in which this instance is active now, or 0. Ask before each
// answer: it takes less than a microsecond. A term begins when the lease is taken. It is the same
// for as long as no other instance can have been active since, and greater than all terms
// before it.
func (l *Lease) Term() uint64 {
	g := l.grant.Load()
	if g == nil {
		return 0
	}
	return g.termAt(l.clocks())
}

// Valid reports whether this instance is active now.
func (l *Lease) Valid() bool { return l.Term() != 0 }

// Changed returns a channel that receives when the term may have changed: ask Term then.
// Several changes may be received as one.
func (l *Lease) Changed() <-chan struct{} { return l.changed }

// Holder returns what the key said when this instance saw it last.
func (l *Lease) Holder() Holder {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.rules
	h := Holder{Instance: c.key.Instance, Own: c.holds(), Released: c.key.Released, State: c.key.State, Err: c.key.err}
	if c.known {
		h.Still = l.clocks().mono - c.since.mono
	}
	return h
}

// Run contends for the lease until the context is done, or until the lease is released. It
// may be called once, and returns nil. Whatever fails is logged, and tried again. If the connection is stalled,
// a last request may be under way when it returns.
func (l *Lease) Run(ctx context.Context) error {
	defer close(l.done)
	defer l.stop()
	first, cancel := context.WithCancel(ctx)
	defer cancel()
	l.mu.Lock()
	l.cancel = cancel
	l.mu.Unlock()
	for ctx.Err() == nil {
		step, ending := l.next()
		current := first
		if ending {
			current = ctx // Release has ended the first
		}
		switch step.action {
		case wait:
			pause(current, step.at-l.clocks().mono)
		case read:
			l.read(current)
		case update:
			l.update(current, step)
		case end:
			return nil
		}
	}
	return nil
}

// next returns what to do now, and whether the lease is being released.
func (l *Lease) next() (s step, ending bool) {
	delay := l.HoldBack(l.Holder())
	l.mu.Lock()
	defer l.mu.Unlock()
	s = l.rules.next(l.clocks(), delay)
	l.publish()
	return s, l.rules.ending
}

// read reads the key.
func (l *Lease) read(ctx context.Context) {
	e, err := l.request(ctx, l.bucket.read)
	if err != nil {
		l.complain(ctx, err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.rules.key.Instance
	l.rules.didRead(l.clocks(), e)
	l.publish()
	l.logSeen(before, &e)
}

// update writes the key.
func (l *Lease) update(ctx context.Context, s step) {
	v := value{Instance: l.Instance, Renewal: s.renewal, Released: s.released, Milliseconds: l.TTL.Milliseconds(), State: l.state()}
	raw, err := v.encode()
	var e entry
	if err == nil {
		e, err = l.request(ctx, func(ctx context.Context) (entry, error) {
			revision, err := l.bucket.update(ctx, s.revision, raw)
			return newEntry(revision, raw), err
		})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.rules.stored(l.clocks(), s, e)
	} else {
		l.rules.failed(l.clocks())
	}
	l.publish()
	switch {
	case errors.Is(err, errRefused):
		l.Log.Debug("the lease was not written: it has changed", "revision", s.revision)
	case err != nil:
		l.complain(ctx, err)
	}
}

// state returns the caller's state, or none if it is no state: a lease is renewed
// whatever the caller says.
func (l *Lease) state() jsontext.Value {
	state := l.State()
	if err := checkState(state); err != nil {
		l.Log.Error("the lease is written without a state", "err", fmt.Errorf("state: %w", err))
		return nil
	}
	return state
}

// request waits for one request, for as long as an answer may take. It does not rely on
// the library for that: while a connection is stalled, publishing blocks whatever the
// context says. Another request would wait behind that one, so none is begun.
func (l *Lease) request(ctx context.Context, do func(context.Context) (entry, error)) (entry, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin(l.TTL))
	defer cancel()
	select {
	case l.asking <- struct{}{}:
	case <-ctx.Done():
		return entry{}, fmt.Errorf("the connection to NATS is stalled: %w", ctx.Err())
	}
	type answer struct {
		entry
		err error
	}
	answered := make(chan answer, 1)
	go func() {
		e, err := do(ctx)
		<-l.asking
		answered <- answer{e, err}
	}()
	select {
	case a := <-answered:
		return a.entry, a.err
	case <-ctx.Done():
	}
	//guard:set "answerWithin(l.TTL) / 10" time.Hour "a stalled connection does not hold up Run" TestStalled
	grace := answerWithin(l.TTL) / 10
	select { // the library says more about it than the context, if it is not blocked
	case a := <-answered:
		return a.entry, a.err
	case <-time.After(grace):
		return entry{}, fmt.Errorf("the connection to NATS is stalled: %w", ctx.Err())
	}
}

// Release ends this instance's part: it is not active from now on. It returns when others
// know, so that one of them takes the lease at once, or when the context is done.
func (l *Lease) Release(ctx context.Context) error {
	l.mu.Lock()
	l.rules.release(l.clocks())
	l.publish()
	if l.cancel != nil {
		l.cancel()
	}
	l.mu.Unlock()
	select {
	case <-l.done:
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.released
	case <-ctx.Done():
		return fmt.Errorf("releasing the lease: %w: another instance takes it after %v", ctx.Err(), l.TTL)
	}
}

// stop ends this instance's part at the end of Run.
func (l *Lease) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rules.release(l.clocks())
	l.publish()
	if l.rules.holds() || l.rules.inDoubt {
		l.released = fmt.Errorf("the lease is not released: another instance takes it after %v", l.TTL)
	}
}

// pause waits, or until the context is done.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
