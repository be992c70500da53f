package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/failpoint"
	"rollcall/internal/roster"
	"rollcall/internal/stream"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// Bounds of the letters in flight to the stream of dead letters. Beyond them, or
// after letterPatience without success, a letter is dropped: the original is
// still in the stream of events, and the fold must not wait.
const (
	maxLetters     = 10_000
	maxLetterBytes = 64 << 20
	letterPatience = 60 * time.Second
	letterWorkers  = 32
)

// DeadLetters stores refused messages as dead letters, each once however often it is
// read: the subject of a letter contains the place, and the stream accepts one
// message per subject.
type DeadLetters struct {
	nc           *nats.Conn
	js           jetstream.JetStream
	subjects     rollcallv1.Subjects
	stream       string
	log          *slog.Logger
	dropped      prometheus.Counter
	patience     time.Duration
	letterStream atomic.Pointer[jetstream.Stream] // set by findStream on first use

	mu           sync.Mutex
	bytes        int
	inFlight     []*letter // in flight, in the order of their places
	judged       uint64    // see Judged
	changed      chan struct{}
	queue        chan *letter
	lastErr      error     // the last error; nil after a letter was stored
	failingSince time.Time // since when letters cannot be stored
}

// letter is one dead letter in flight.
type letter struct {
	place uint64
	msg   *nats.Msg
	since time.Time
	done  bool
}

// NewDeadLetters returns the dead letters of a service. events is the name of the
// stream of events, which is written into each letter. nc should not be the
// connection that events are read over.
func NewDeadLetters(nc *nats.Conn, s rollcallv1.Subjects, events string, log *slog.Logger, reg prometheus.Registerer) (*DeadLetters, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("opening JetStream: %w", err)
	}
	d := &DeadLetters{
		nc: nc, js: js, subjects: s, stream: events, log: log, patience: letterPatience,
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rollcall_dead_letters_dropped_total",
			Help: "Refused messages that could not be stored as dead letters; the originals are in the stream of events.",
		}),
		changed: make(chan struct{}),
		queue:   make(chan *letter, maxLetters),
	}
	reg.MustRegister(d.dropped)
	return d, nil
}

// Put queues the dead letter of a refused message, or drops it if too many are in
// flight. It never waits.
func (d *DeadLetters) Put(m *stream.Message, why *roster.Refusal) {
	l := &letter{place: m.Place, msg: d.newLetter(m, why), since: time.Now()}
	d.mu.Lock()
	defer d.mu.Unlock()
	//guard:drop maxLetters "a flood of bad messages does not fill the memory" TestFlood$
	if len(d.inFlight) >= maxLetters || d.bytes+l.msg.Size() > maxLetterBytes {
		d.drop(l, errors.New("too many dead letters in flight"))
		return
	}
	d.inFlight = append(d.inFlight, l)
	d.bytes += l.msg.Size()
	d.queue <- l // never blocks: its capacity is maxLetters
	failpoint.At("letter-queued")
}

// newLetter builds the letter of a message.
func (d *DeadLetters) newLetter(m *stream.Message, why *roster.Refusal) *nats.Msg {
	letter := nats.NewMsg(d.subjects.DeadLetter(m.Place))
	h := letter.Header
	//guard:drop "a message read again adds no dead letter" TestStoredOnce
	h.Set(jetstream.ExpectedLastSubjSeqHeader, "0")
	h.Set(rollcallv1.HeaderReason, string(why.Reason))
	h.Set(rollcallv1.HeaderDetail, why.Problem+": "+why.Remedy)
	h.Set(rollcallv1.HeaderStream, d.stream)
	h.Set(rollcallv1.HeaderSubject, m.Subject)
	h.Set(rollcallv1.HeaderSequence, strconv.FormatUint(m.Sequence, 10))
	h.Set(rollcallv1.HeaderReceipt, m.Receipt.String())
	h.Set(rollcallv1.HeaderSize, strconv.Itoa(len(m.Data)))
	if contentType := m.Header.Get(rollcallv1.HeaderContentType); contentType != "" && len(contentType) < 256 {
		h.Set(rollcallv1.HeaderContentType, contentType)
	}
	limit := int(d.nc.MaxPayload()) - letter.Size()
	//guard:set limit limit*2 "the dead letter of a large message is truncated and stored" TestLargeLetter
	letter.Data = m.Data[:max(0, min(len(m.Data), limit))]
	return letter
}

// Run stores letters until the context ends.
func (d *DeadLetters) Run(ctx context.Context) {
	var workers sync.WaitGroup
	for range letterWorkers {
		workers.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case l := <-d.queue:
					d.store(ctx, l)
				}
			}
		})
	}
	workers.Wait()
}

// store retries until the letter is stored or d.patience has passed since Put.
func (d *DeadLetters) store(ctx context.Context, l *letter) {
	//guard:set context.WithDeadline(...) context.WithCancel(ctx) "letters that cannot be stored are dropped" TestNoStream
	ctx, cancel := context.WithDeadline(ctx, l.since.Add(d.patience))
	defer cancel()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		err := d.publish(ctx, l.msg)
		if err == nil {
			failpoint.At("letter-stored")
			d.finish(l, nil)
			failpoint.At("letter-recorded")
			return
		}
		d.logFailure(l, err)
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				d.finish(l, err)
			}
			return
		case <-time.After(pause):
		}
	}
}

// wrongLastSequence is the server's error code for a letter whose subject has a
// message already.
const wrongLastSequence = 10071

// publish stores a letter unless it is stored already. Its place may have been assigned
// before, to a message of a stream that no longer exists, and lost in a crash. Then the
// letter of that message stays, and this one's subject gets the suffix .2, or the
// next free number.
func (d *DeadLetters) publish(ctx context.Context, letter *nats.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	msg := *letter
	for n := 2; ; n++ {
		failpoint.At("letter-publishing")
		_, err := d.js.PublishMsg(ctx, &msg)
		var answer *jetstream.APIError
		if !errors.As(err, &answer) || answer.ErrorCode != wrongLastSequence {
			return err
		}
		if same, err := d.isStored(ctx, &msg); same || err != nil {
			return err
		}
		msg.Subject = fmt.Sprintf("%s.%d", letter.Subject, n)
	}
}

// isStored reports whether the letter stored under the subject of msg is for the
// same message as msg.
func (d *DeadLetters) isStored(ctx context.Context, msg *nats.Msg) (bool, error) {
	letters, err := d.findStream(ctx, msg.Subject)
	if err != nil {
		return false, fmt.Errorf("finding the stream of dead letters: %w", err)
	}
	stored, err := letters.GetLastMsgForSubject(ctx, msg.Subject)
	if err != nil {
		return false, fmt.Errorf("getting the dead letter %s: %w", msg.Subject, err)
	}
	for _, header := range []string{rollcallv1.HeaderStream, rollcallv1.HeaderSequence, rollcallv1.HeaderReceipt} {
		if stored.Header.Get(header) != msg.Header.Get(header) {
			return false, nil
		}
	}
	return true, nil
}

// findStream returns the stream that stores the letters.
func (d *DeadLetters) findStream(ctx context.Context, subject string) (jetstream.Stream, error) {
	if s := d.letterStream.Load(); s != nil {
		return *s, nil
	}
	name, err := d.js.StreamNameBySubject(ctx, subject)
	if err != nil {
		return nil, err
	}
	s, err := d.js.Stream(ctx, name)
	if err == nil {
		d.letterStream.Store(&s)
	}
	return s, err
}

// finish removes a letter from those in flight. If err is nil the letter is stored,
// else it is dropped because of err.
func (d *DeadLetters) finish(l *letter, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.recordResult(err)
	if err != nil {
		d.drop(l, err)
	}
	l.done = true
	d.bytes -= l.msg.Size()
	for len(d.inFlight) > 0 && d.inFlight[0].done {
		d.inFlight[0] = nil
		d.inFlight = d.inFlight[1:]
	}
	d.wake()
}

// drop counts and logs a letter that is not stored. The caller holds the lock.
func (d *DeadLetters) drop(l *letter, err error) {
	d.dropped.Inc()
	d.log.Error("dropping dead letters", "place", l.place, "err", err)
}

// logFailure logs and records why a letter is not stored.
func (d *DeadLetters) logFailure(l *letter, err error) {
	d.log.Warn("dead letter not stored, retrying", "place", l.place, "err", err)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.recordResult(err)
}

// recordResult records whether letters can be stored: err is the last error, or
// nil. The caller holds the lock.
func (d *DeadLetters) recordResult(err error) {
	if d.lastErr == nil {
		d.failingSince = time.Now()
	}
	d.lastErr = err
}

// Failing returns since when letters in flight cannot be stored, and the last error;
// a nil error when nothing is wrong.
func (d *DeadLetters) Failing() (since time.Time, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.inFlight) == 0 {
		return time.Time{}, nil
	}
	return d.failingSince, d.lastErr
}

// Judged records that Put was called for every refused message up to a place. The
// roster is at that place a moment earlier; a snapshot taken in between must wait.
func (d *DeadLetters) Judged(place uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.judged = place
	d.wake()
}

// wake makes AwaitStored check again. The caller holds the lock.
func (d *DeadLetters) wake() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// AwaitStored waits until every message up to a place has been judged, and each of
// their letters is stored or dropped.
func (d *DeadLetters) AwaitStored(ctx context.Context, place uint64) error {
	for {
		d.mu.Lock()
		//guard:drop || "no snapshot is committed before its dead letters are stored" TestAwaitStored
		//guard:drop d.judged "no snapshot is committed before all its messages are judged" TestAwaitStoredWaitsForJudging
		settled := d.judged >= place && (len(d.inFlight) == 0 || d.inFlight[0].place > place)
		changed, lastErr := d.changed, d.lastErr
		d.mu.Unlock()
		if settled {
			return nil
		}
		select {
		case <-ctx.Done():
			why := ctx.Err()
			if lastErr != nil {
				why = fmt.Errorf("%w; last error: %w", why, lastErr)
			}
			return fmt.Errorf("storing the dead letters up to place %d: %w", place, why)
		case <-changed:
		}
	}
}
