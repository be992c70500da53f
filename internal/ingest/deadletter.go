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
	nc       *nats.Conn
	js       jetstream.JetStream
	subjects rollcallv1.Subjects
	stream   string
	log      *slog.Logger
	dropped  prometheus.Counter
	patience time.Duration
	own      atomic.Pointer[jetstream.Stream] // set when first used, by ownStream

	mu      sync.Mutex
	bytes   int
	letters []*letter // in flight, in the order of their places
	judged  uint64    // see Judged
	changed chan struct{}
	queue   chan *letter
	trouble error     // the last error; nil after a letter was stored
	since   time.Time // since when there is trouble
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
	//guard:drop maxLetters "a flood of bad messages doesn't fill the memory" TestFlood$
	if len(d.letters) >= maxLetters || d.bytes+l.msg.Size() > maxLetterBytes {
		d.drop(l, errors.New("too many under way"))
		return
	}
	d.letters = append(d.letters, l)
	d.bytes += l.msg.Size()
	d.queue <- l // never blocks: it has room for maxLetters
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
	room := int(d.nc.MaxPayload()) - letter.Size()
	//guard:set room room*2 "a large message's dead letter is stored, cut" TestLargeLetter
	letter.Data = m.Data[:max(0, min(len(m.Data), room))]
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
	//guard:set context.WithDeadline(...) context.WithCancel(ctx) "letters nobody stores are given up" TestForbidden
	ctx, cancel := context.WithDeadline(ctx, l.since.Add(d.patience))
	defer cancel()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		err := d.publish(ctx, l.msg)
		if err == nil {
			failpoint.At("letter-stored")
			d.finish(l, nil)
			failpoint.At("letter-noted")
			return
		}
		d.complain(l, err)
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

// publish stores a letter unless it is stored already. Its place may have been given
// before, to a message of a stream that is gone, and forgotten in a crash. Then the
// letter of that message stays, and this one's subject gets the suffix .2, or the
// next free number.
func (d *DeadLetters) publish(ctx context.Context, letter *nats.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	msg := *letter
	for n := 2; ; n++ {
		failpoint.At("letter-taken")
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
	own, err := d.ownStream(ctx, msg.Subject)
	if err != nil {
		return false, fmt.Errorf("finding the stream of dead letters: %w", err)
	}
	stored, err := own.GetLastMsgForSubject(ctx, msg.Subject)
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

// ownStream returns the stream that stores the letters.
func (d *DeadLetters) ownStream(ctx context.Context, subject string) (jetstream.Stream, error) {
	if own := d.own.Load(); own != nil {
		return *own, nil
	}
	name, err := d.js.StreamNameBySubject(ctx, subject)
	if err != nil {
		return nil, err
	}
	own, err := d.js.Stream(ctx, name)
	if err == nil {
		d.own.Store(&own)
	}
	return own, err
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
	for len(d.letters) > 0 && d.letters[0].done {
		d.letters[0] = nil
		d.letters = d.letters[1:]
	}
	d.wake()
}

// drop counts and logs a letter that is not stored. The caller holds the lock.
func (d *DeadLetters) drop(l *letter, err error) {
	d.dropped.Inc()
	d.log.Error("dropping dead letters", "place", l.place, "err", err)
}

// complain logs and records why a letter is not stored.
func (d *DeadLetters) complain(l *letter, err error) {
	d.log.Warn("dead letter not stored, trying again", "place", l.place, "err", err)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.recordResult(err)
}

// recordResult records whether letters can be stored: err is the last error, or nil. The
// caller holds the lock.
func (d *DeadLetters) recordResult(err error) {
	if d.trouble == nil {
		d.since = time.Now()
	}
	d.trouble = err
}

// Failing returns since when letters in flight cannot be stored, and the last error;
// a nil error when nothing is wrong.
func (d *DeadLetters) Failing() (since time.Time, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.letters) == 0 {
		return time.Time{}, nil
	}
	return d.since, d.trouble
}

// Judged records that Put was called for every refused message up to a place. The
// roster is at that place a moment earlier; a snapshot taken in between must wait.
func (d *DeadLetters) Judged(place uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.judged = place
	d.wake()
}

// wake makes Settled check again. The caller holds the lock.
func (d *DeadLetters) wake() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// Settled waits until every message up to a place has been judged, and each of
// their letters is stored or dropped.
func (d *DeadLetters) Settled(ctx context.Context, place uint64) error {
	for {
		d.mu.Lock()
		//guard:drop || "no snapshot comes before its dead letters" TestSettledWaitsForALetter
		//guard:drop d.judged "no snapshot comes before all is judged" TestSettledWaitsForAllThatIsJudged
		settled := d.judged >= place && (len(d.letters) == 0 || d.letters[0].place > place)
		changed, trouble := d.changed, d.trouble
		d.mu.Unlock()
		if settled {
			return nil
		}
		select {
		case <-ctx.Done():
			why := ctx.Err()
			if trouble != nil {
				why = fmt.Errorf("%w; the last trouble: %w", why, trouble)
			}
			return fmt.Errorf("storing the dead letters up to place %d: %w", place, why)
		case <-changed:
		}
	}
}
