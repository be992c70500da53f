// Package ingest folds the messages of the stream into the roster: each message of a
// batch is decoded, judged and folded, gets exactly one fate, and is stored as a dead
// letter if it was refused.
package ingest

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/failpoint"
	"rollcall/internal/roster"
	"rollcall/internal/stream"
	"rollcall/internal/wire"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// Ingest folds batches of the stream into a roster. It is not safe for
// concurrent use: there is only one fold.
type Ingest struct {
	// Folded, if not nil, is called after each batch, which has its fates by then. It
	// must not keep the batch, nor wait.
	Folded func(*roster.Batch)
	// SourceName, if not nil, names a source for people.
	SourceName func(string) string

	roster *roster.Roster
	*Decoder
	letters *DeadLetters
	metrics *metrics
	// caughtUp reports whether the messages read are new ones: delays are
	// measured only then, since those of a replay mean nothing.
	caughtUp func() bool
}

// New returns an Ingest that stores refused messages in letters.
func New(r *roster.Roster, s rollcallv1.Subjects, letters *DeadLetters, caughtUp func() bool, reg prometheus.Registerer) *Ingest {
	letters.Judged(r.Status().Position.Place)
	return &Ingest{
		roster:   r,
		Decoder:  NewDecoder(s),
		letters:  letters,
		metrics:  newMetrics(reg),
		caughtUp: caughtUp,
	}
}

// Fold gives every message of a batch its fate and moves the roster's position
// to the batch's end. It never waits for anything outside the process.
func (in *Ingest) Fold(from *stream.Batch) {
	b := in.Decode(from)
	before := in.roster.Status().Fates
	in.roster.Fold(b)
	in.metrics.addFates(before, in.roster.Status().Fates)
	failpoint.At("batch-judged")
	if in.Folded != nil {
		in.Folded(b)
	}
	in.countFates(b, from.Messages)
	in.logSources(b)
	in.letters.Judged(b.End.Place)
}

// Decoder decodes batches of the stream. It is not safe for concurrent use.
type Decoder struct {
	// Forgeable, if not nil, reports that publishers can write the header that says from
	// where a message was sourced. It is then ignored.
	Forgeable func() bool

	wire  *wire.Decoder
	batch roster.Batch // its memory is reused
}

// NewDecoder returns a Decoder of events on these subjects.
func NewDecoder(s rollcallv1.Subjects) *Decoder { return &Decoder{wire: wire.NewDecoder(s)} }

// Decode returns a batch, decoded, without fates. It is valid until the next call.
func (d *Decoder) Decode(from *stream.Batch) *roster.Batch {
	b := &d.batch
	b.End, b.Missing, b.Unread = from.End, from.Missing, from.Unread
	b.Messages = b.Messages[:0]
	forgeable := d.Forgeable != nil && d.Forgeable()
	for i := range from.Messages {
		d.decode(&from.Messages[i], !forgeable)
	}
	return b
}

// headerMarker is the header of a marker, a message that the server itself stores
// where others were removed by age, by a purge or one by one (NATS ADR-43). Its
// value is the reason. A message with this header and with data is a client's.
const headerMarker = "Nats-Marker-Reason"

// decode decodes a message and appends it to the batch, with its source if sourced. A
// message with broken headers arrives without headers.
func (d *Decoder) decode(m *stream.Message, sourced bool) {
	b := &d.batch
	if len(b.Messages) < cap(b.Messages) {
		b.Messages = b.Messages[:len(b.Messages)+1]
	} else {
		b.Messages = append(b.Messages, roster.Message{})
	}
	to := &b.Messages[len(b.Messages)-1]
	to.Place, to.Receipt = m.Place, m.Receipt
	to.Source = roster.Sourced{}
	//guard:drop sourced "a header that publishers can forge is ignored" TestHostileSource
	if values := m.Header[headerSource]; sourced && values != nil {
		var err error
		//guard:false "a header that no server writes is refused" TestHostileSource
		if to.Source, err = parseSource(values); err != nil {
			to.Refusal, to.Marker, to.Event = sourceRefusal(err), false, roster.Event{}
			return
		}
	}
	//guard:set `m.Header.Get(headerMarker) != "" && len(m.Data) == 0` false "a server's marker is not an event" TestMarker
	if to.Marker = m.Header.Get(headerMarker) != "" && len(m.Data) == 0; to.Marker {
		to.Refusal, to.Event = nil, roster.Event{}
		return
	}
	to.Refusal = d.wire.Decode(m.Subject, m.Header.Get(rollcallv1.HeaderContentType), m.Data, &to.Event)
}

// countFates counts the messages by fate and queues the dead letters of refused ones.
func (in *Ingest) countFates(b *roster.Batch, messages []stream.Message) {
	caughtUp, now := in.caughtUp(), roster.TimeOf(time.Now())
	for i := range b.Messages {
		m := &b.Messages[i]
		if m.Fate == roster.DeadLettered {
			in.metrics.refused[m.Refusal.Reason].Inc()
			if m.Refusal.Reason == roster.Limit {
				in.logRefusedByLimit(m)
			}
			in.letters.Put(&messages[i], m.Refusal)
			continue
		}
		if m.Marker {
			continue
		}
		//guard:false "nothing is dead-lettered twice" TestJudgedBefore
		if m.Refusal != nil {
			continue // it was judged in an earlier incarnation of the stream
		}
		in.metrics.events[m.Event.Type].Inc()
		if caughtUp {
			// Clocks differ: a negative delay would make a sum go down.
			in.metrics.eventDelay.Observe(max(0, time.Duration(m.Receipt-m.Event.Date).Seconds()))
			in.metrics.applyDelay.Observe(max(0, time.Duration(now-m.Receipt).Seconds()))
		}
	}
}

// logRefusedByLimit logs that an event was refused because a limit was reached. That
// makes its machine incomplete or, if the machine is not in the roster, the fleet; an
// operator may accept a loss to the fleet.
func (in *Ingest) logRefusedByLimit(m *roster.Message) {
	args := []any{"reason", roster.LossLimit.String(), "machine", m.Event.Machine, "place", m.Place, "err", m.Refusal}
	if in.roster.Status().Losses[roster.LossLimit] >= m.Place {
		args = append(args, "accept", fmt.Sprintf("ROLLCALL_ACCEPT_LOSS=%d", m.Place))
	}
	in.letters.log.Error("event refused: limit reached", args...)
}
