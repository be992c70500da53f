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

// maxTravel is how long a question or an answer may be under way.
const maxTravel = 8 * time.Millisecond

var errNoResponders = errors.New("no responders available for request")

// ask asks a question that is answered at one moment.
func ask[T any](ctx context.Context, s simSource, what string, answer func(draw uint64) (T, error)) (T, error) {
	var none T
	draw := s.w.draw(what)
	if !sleep(ctx, time.Duration(draw%uint64(maxTravel))) {
		return none, ctx.Err()
	}
	s.w.mu.Lock()
	if wait := s.w.outageWait(); wait > 0 {
		s.w.mu.Unlock()
		sleep(ctx, wait)
		s.w.locked(s.disturb)
		return none, errors.Join(errNoResponders, ctx.Err())
	}
	got, err := none, s.w.hook(what)
	if err == nil {
		got, err = answer(draw)
	}
	s.w.mu.Unlock()
	if !sleep(ctx, time.Duration(draw>>32%uint64(maxTravel))) {
		return none, ctx.Err()
	}
	return got, err
}

// outageWait is how long a question goes unanswered while JetStream is away; 0: it
// is answered.
func (w *world) outageWait() time.Duration {
	switch {
	case !time.Now().Before(w.outageUntil):
		return 0
	case w.silent:
		w.lastFault = time.Now()
		w.count("question never answered")
		return apiTimeout
	}
	w.count("question without responders")
	return time.Millisecond
}

func (s simSource) info(ctx context.Context) (state, error) {
	return ask(ctx, s, "look", func(draw uint64) (state, error) {
		w := s.w
		if w.falseInfo != nil {
			st := *w.falseInfo
			w.falseInfo = nil
			return st, nil
		}
		if st, ok := w.staleState(draw >> 16); ok && w.oddInfo && (w.stream == nil || st != w.stream.state()) {
			w.oddInfo, w.oddAt = false, time.Now()
			s.disturb()
			w.count("old leader answers look")
			w.logf("look answered by an old leader: %+v", st)
			// What it knows of and the stream has no more was cut off.
			s.cut = s.cut || w.stream != nil && st.created == w.stream.created && st.last > w.stream.last
			if st.created == s.at.Proof.Created || s.incarnation == 0 {
				s.lastHeard = max(s.lastHeard, st.last)
			}
			return st, nil
		}
		if w.stream == nil {
			return state{}, errNoStream
		}
		if st := w.stream.state(); st.created == s.at.Proof.Created || s.incarnation == 0 {
			s.recordShown(st.last)
		}
		return w.stream.state(), nil
	})
}

func (s simSource) get(ctx context.Context, seq uint64) (Message, error) {
	return ask(ctx, s, "get", func(uint64) (Message, error) {
		w := s.w
		if w.stream == nil {
			return Message{}, errors.New("stream not found")
		}
		m := w.stream.readable(seq)
		if m != nil && w.oddGet {
			w.oddGet, w.oddAt = false, time.Now()
			s.disturb()
			w.count("old leader answers get")
			w.logf("get of %d answered by an old leader", seq)
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
		if s.w.stream == nil {
			return nil, errors.New("stream not found")
		}
		return slices.Clone(s.w.stream.deleted), nil
	})
}

func (s simSource) consume(ctx context.Context, from uint64) (delivery, error) {
	d, err := ask(ctx, s, "consume", func(uint64) (*simDelivery, error) {
		w := s.w
		if w.stream == nil {
			return nil, doubtf(causeCreate, "stream not found")
		}
		d := &simDelivery{service: s.service, stream: w.stream, from: from, nextSeq: from, lastHeard: time.Now()}
		if len(w.consumers) > 0 {
			d.fault, w.consumers = w.consumers[0], w.consumers[1:]
		}
		if d.fault.kind == faultCreate {
			w.count("consumer not made")
			return nil, doubtf(causeCreate, "insufficient resources")
		}
		if d.fault.kind != faultLate {
			d.pendingAtCreation = d.stream.count(from)
		}
		d.createdAt, d.reconnects = time.Now(), s.reconnects
		s.delivery = d
		return d, nil
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// count is how many messages there are by the stream's books from a sequence on.
func (l *simStream) count(from uint64) (n uint64) {
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
	s.w.count("connected anew")
	s.w.logf("connected anew")
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
