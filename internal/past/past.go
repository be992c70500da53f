// Package past answers questions about the past: who was on at a moment, and
// which stays overlap a time. It reads the stream of events again, and knows
// the roster only as others see it.
//
// # What the past is
//
// The past at a moment is the fold of the retained events dated at or before
// it, over what the roster remembers, which reaches further back than the
// stream. Event time decides: what arrived late counts where it belongs. An
// answer is as of one place, the roster's when the question was asked.
//
// What the roster has open it has had open since the date that it knows, and
// at or after the newest date of a machine its past is its present: such a
// machine is answered from the roster, and nothing is read for it. So the past
// at the greatest date read is the roster.
//
// # What is exact
//
// While the stream has every message since the first, all answers are exact,
// but for the limits. Once it has lost its beginning (to age, size or a purge),
// an answer lacks stays that began before the first retained message and have
// ended since; [Answer.From] says from when they can't be missing for that
// alone. The rest follows from the same cause, or from settings:
//
//   - malformed payloads, names, identity and future are judged by the message
//     alone, as the service judges them: exact;
//   - late depends on the newest date accepted from the machine before the first
//     retained message. It is known as far as the roster remembers an event of
//     that time. An event dated later than the first retained receipt, plus the
//     allowed skew, minus the allowed lateness, can't be late for what is gone:
//     there it is exact;
//   - limit is not judged: it depends on the whole fleet at that place. What the
//     service refused for want of room is a stay here until something ends it.
//     Where nothing did, the stay is told as gone, as the roster knows better;
//   - the settings are those of now, whatever they were when the event was read;
//   - after another incarnation of the stream, events of equal dates that were
//     read in different incarnations may come in another order.
//
// A stay is open only where the roster, at the answer's place, has it open.
//
// # What it costs
//
// A question about one machine reads the subjects of that machine (one with dots
// in its name has another for what came by MQTT) and the one of all machines,
// each with a consumer of its own; any other reads the whole stream. Consumers
// are ephemeral, in memory and without acks. At most a few questions are answered
// at a time, each in bounded memory: beyond that the oldest events of each
// machine are folded for good, and what arrives later than those is counted as
// unplaced.
package past

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/roster"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// The defaults of Config.
const (
	DefaultMaxQuestions = 4
	DefaultMaxRecords   = 1_000_000
)

// Config is what Questions need.
type Config struct {
	Roster *roster.Roster
	// Conn is not the one that events are read over.
	Conn     *nats.Conn
	Stream   string
	Subjects rollcallv1.Subjects
	// Behind reports whether ingest is behind: reading the past waits then.
	Behind func() bool
	// MaxQuestions is how many are under way at a time; 0 is the default.
	MaxQuestions int
	// MaxRecords is how many machines, events and sessions one question may
	// hold, at up to some 500 bytes each; 0 is the default.
	MaxRecords int
	Log        *slog.Logger
	Registry   prometheus.Registerer
}

// What a caller tells apart.
var (
	// ErrBusy says that as many questions as may be are under way.
	ErrBusy = errors.New("busy: as many questions about the past as may be are under way: ask again later")
	// ErrGone says that a cursor's question is over: answered, not asked on in
	// time, or of an earlier process.
	ErrGone = errors.New("the question of this cursor is over: ask it again")
	// ErrUnknownMachine says that no event of the machine was ever accepted.
	ErrUnknownMachine = errors.New("no event was ever accepted from this machine")
	// ErrTooLarge says that the answer does not fit in memory.
	ErrTooLarge = errors.New("too large an answer: ask for one machine, one user or a shorter time")
	// ErrClosed says that the process is ending.
	ErrClosed = errors.New("no more questions are answered")
)

// FieldError is what is wrong with a field of a question.
type FieldError struct{ Field, Problem string }

// Error names the field first.
func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

// Questions answers questions about the past. It is safe for concurrent use.
type Questions struct {
	config   Config
	js       jetstream.JetStream
	metrics  *metrics
	patience time.Duration // how long an asker waits for one answer
	idle     time.Duration // how long a question waits to be asked on

	mu       sync.Mutex
	closed   bool
	underWay map[string]*inquiry
	running  sync.WaitGroup
}

// New returns Questions, and registers their metrics. Close them.
func New(c Config) (*Questions, error) {
	js, err := jetstream.New(c.Conn)
	if err != nil {
		return nil, fmt.Errorf("opening JetStream: %w", err)
	}
	if c.MaxQuestions == 0 {
		c.MaxQuestions = DefaultMaxQuestions
	}
	if c.MaxRecords == 0 {
		c.MaxRecords = DefaultMaxRecords
	}
	return &Questions{
		config: c, js: js, metrics: newMetrics(c.Registry),
		patience: 2 * time.Second, idle: 30 * time.Second,
		underWay: map[string]*inquiry{},
	}, nil
}

// Close ends all questions and waits until nothing of them runs any more.
func (q *Questions) Close() {
	q.mu.Lock()
	q.closed = true
	for _, i := range q.underWay {
		i.end(ErrClosed)
	}
	q.mu.Unlock()
	q.running.Wait()
}

// Most returns how many questions may be under way at a time.
func (q *Questions) Most() int { return q.config.MaxQuestions }

// Ask begins a question and waits up to two seconds for its answer. An answer
// that is not done, or whose rows were not all handed out, has a cursor: ask on
// with it within half a minute, or the question is over. The errors are a
// *FieldError, ErrBusy, ErrUnknownMachine, ErrTooLarge and ErrClosed, the
// context's, and any other that reading the stream meets.
func (q *Questions) Ask(ctx context.Context, question Question) (*Answer, error) {
	if err := question.check(); err != nil {
		return nil, err
	}
	i, err := q.begin(question)
	if err != nil {
		return nil, err
	}
	a, err := q.wait(ctx, i, 0)
	if err != nil {
		i.end(errUnasked) // nobody has a cursor
	}
	return a, err
}

// Continue goes on with the question of a cursor, and can be repeated with the
// same cursor as long as the question is under way. The errors are those of
// Ask, and ErrGone.
func (q *Questions) Continue(ctx context.Context, cursor string) (*Answer, error) {
	id, offset, err := parseCursor(cursor)
	if err != nil {
		return nil, err
	}
	q.mu.Lock()
	i := q.underWay[id]
	q.mu.Unlock()
	if i == nil {
		return nil, ErrGone
	}
	return q.wait(ctx, i, offset)
}

// begin puts a question under way, if there is room.
func (q *Questions) begin(question Question) (*inquiry, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return nil, ErrClosed
	case len(q.underWay) >= q.config.MaxQuestions:
		q.metrics.ended.WithLabelValues(resultRefused).Inc()
		return nil, ErrBusy
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	i := &inquiry{Questions: q, question: question, id: nuid.Next(), ctx: ctx, end: cancel, done: make(chan struct{})}
	i.unasked = time.AfterFunc(q.idle, func() { i.end(errUnasked) })
	q.underWay[i.id] = i
	q.metrics.underWay.Inc()
	q.running.Go(i.run)
	return i, nil
}

// forget makes room for another question. What it held is freed before.
func (q *Questions) forget(i *inquiry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.underWay, i.id)
	q.metrics.underWay.Dec()
	q.metrics.ended.WithLabelValues(resultOf(context.Cause(i.ctx))).Inc()
}

// wait returns the answer from a row on, or how far it is when patience ends.
func (q *Questions) wait(ctx context.Context, i *inquiry, offset int) (*Answer, error) {
	if !i.unasked.Stop() && i.ctx.Err() != nil {
		return nil, ErrGone
	}
	defer i.unasked.Reset(q.idle)
	patience := time.NewTimer(q.patience)
	defer patience.Stop()
	select {
	case <-i.done:
	case <-patience.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return i.answer(offset)
}
