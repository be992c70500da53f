package stream

import (
	"context"
	"errors"
	"slices"
	"time"
)

// simSource is the simulated stream as one process of rollcall reaches it.
// Every question takes a while there and back, and anything may happen to the
// stream meanwhile.
type simSource struct{ *service }

// travel is how long a question or an answer may be under way.
const travel = 8 * time.Millisecond

var errAway = errors.New("no responders available for request")

// ask asks a question that is answered at one moment.
func ask[T any](ctx context.Context, s simSource, what string, answer func(draw uint64) (T, error)) (T, error) {
	var none T
	draw := s.w.draw(what)
	if !sleep(ctx, time.Duration(draw%uint64(travel))) {
		return none, ctx.Err()
	}
	s.w.mu.Lock()
	if wait := s.w.awayFor(); wait > 0 {
		s.w.mu.Unlock()
		sleep(ctx, wait)
		s.w.locked(s.disturb)
		return none, errors.Join(errAway, ctx.Err())
	}
	got, err := none, s.w.hook(what)
	if err == nil {
		got, err = answer(draw)
	}
	s.w.mu.Unlock()
	if !sleep(ctx, time.Duration(draw>>32%uint64(travel))) {
		return none, ctx.Err()
	}
	return got, err
}

// awayFor is how long a question goes unanswered while JetStream is away; 0: it
// is answered.
func (w *world) awayFor() time.Duration {
	switch {
	case !time.Now().Before(w.away):
		return 0
	case w.silent:
		w.rough = time.Now()
		w.saw("question never answered")
		return apiTimeout
	}
	w.saw("question without responders")
	return time.Millisecond
}

func (s simSource) look(ctx context.Context) (state, error) {
	return ask(ctx, s, "look", func(draw uint64) (state, error) {
		w := s.w
		if w.lie != nil {
			st := *w.lie
			w.lie = nil
			return st, nil
		}
		if st, ok := w.old(draw >> 16); ok && w.oddLook && (w.life == nil || st != w.life.state()) {
			w.oddLook, w.oddAt = false, time.Now()
			s.disturb()
			w.saw("old leader answers look")
			w.note("look answered by an old leader: %+v", st)
			// What it knows of and the stream has no more was cut off.
			s.cut = s.cut || w.life != nil && st.created == w.life.created && st.last > w.life.last
			if st.created == s.at.Proof.Created || s.life == 0 {
				s.heard = max(s.heard, st.last)
			}
			return st, nil
		}
		if w.life == nil {
			return state{}, errNoStream
		}
		if st := w.life.state(); st.created == s.at.Proof.Created || s.life == 0 {
			s.show(st.last)
		}
		return w.life.state(), nil
	})
}

func (s simSource) get(ctx context.Context, seq uint64) (Message, error) {
	return ask(ctx, s, "get", func(uint64) (Message, error) {
		w := s.w
		if w.life == nil {
			return Message{}, errors.New("stream not found")
		}
		m := w.life.readable(seq)
		if m != nil && w.oddGet {
			w.oddGet, w.oddAt = false, time.Now()
			s.disturb()
			w.saw("old leader answers get")
			w.note("get of %d answered by an old leader", seq)
			return Message{}, errNoMessage
		}
		if m == nil {
			return Message{}, errNoMessage
		}
		return m.message(), nil
	})
}

func (m *simMessage) message() Message {
	return Message{Msg: m.msg, Sequence: m.seq, Receipt: m.receipt}
}

func (s simSource) deleted(ctx context.Context) ([]uint64, error) {
	return ask(ctx, s, "deleted", func(uint64) ([]uint64, error) {
		if s.w.life == nil {
			return nil, errors.New("stream not found")
		}
		return slices.Clone(s.w.life.deleted), nil
	})
}

func (s simSource) consume(ctx context.Context, from uint64) (delivery, error) {
	d, err := ask(ctx, s, "consume", func(uint64) (*simDelivery, error) {
		w := s.w
		if w.life == nil {
			return nil, doubtful(causeCreate, "stream not found")
		}
		d := &simDelivery{service: s.service, life: w.life, from: from, next_: from, heard: time.Now()}
		if len(w.consumers) > 0 {
			d.fault, w.consumers = w.consumers[0], w.consumers[1:]
		}
		if d.fault.kind == faultCreate {
			w.saw("consumer not made")
			return nil, doubtful(causeCreate, "insufficient resources")
		}
		if d.fault.kind != faultLate {
			d.begun = d.life.count(from)
		}
		d.made, d.reconnects = time.Now(), s.reconnects
		s.delivery = d
		return d, nil
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// count is how many messages there are by the stream's books from a sequence on.
func (l *life) count(from uint64) (n uint64) {
	for seq := max(from, l.first); seq <= l.last; seq++ {
		if l.messages[seq] != nil {
			n++
		}
	}
	return n
}

func (s simSource) reconnect() error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.w.saw("connected anew")
	s.w.note("connected anew")
	s.reconnects++
	s.w.wedged = false
	return nil
}

// consumerFault is what becomes of a consumer after it has delivered some
// messages.
type consumerFault struct {
	kind  string
	after int
}

// The faults of consumers, as the coverage names them.
const (
	faultEnd     = "server ends consumer"
	faultSilent  = "consumer falls silent"
	faultCut     = "connection was away"
	faultDrop    = "delivery dropped and noticed"
	faultSkip    = "delivery dropped unnoticed"
	faultRepeat  = "delivery repeated"
	faultStall   = "consumer stalls"
	faultLate    = "consumer behind at first"
	faultCreate  = "consumer not made"
	faultWedge   = "every consumer stalls" // until a new connection
	faultNothing = ""
)

var consumerFaults = []string{faultEnd, faultSilent, faultCut, faultDrop, faultSkip, faultRepeat, faultStall, faultLate, faultCreate}
