package stream

import (
	"context"
	"errors"
	"slices"
	"time"
)

// simSource is the simulated stream as one process of rollcall reaches it.
// Every request takes a while in both directions, and anything may happen to the stream
// meanwhile.
type simSource struct{ *service }

// maxTravel is how long a request or an answer may be in flight.
const maxTravel = 8 * time.Millisecond

var errNoResponders = errors.New("no responders available for request")

// ask sends a request that is answered at one instant, with the lock held.
func ask[T any](ctx context.Context, s simSource, what string, answer func(draw uint64) (T, error)) (T, error) {
	var zero T
	draw := s.w.draw(what)
	if !sleep(ctx, time.Duration(draw%uint64(maxTravel))) {
		return zero, ctx.Err()
	}
	s.w.mu.Lock()
	if wait := s.w.outageWait(); wait > 0 {
		s.w.mu.Unlock()
		sleep(ctx, wait)
		s.w.locked(s.disturb)
		return zero, errors.Join(errNoResponders, ctx.Err())
	}
	got, err := zero, s.w.hook(what)
	if err == nil {
		got, err = answer(draw)
	}
	s.w.mu.Unlock()
	if !sleep(ctx, time.Duration(draw>>32%uint64(maxTravel))) {
		return zero, ctx.Err()
	}
	return got, err
}

// outageWait returns how long a request goes unanswered during an outage; 0: it is
// answered.
func (w *world) outageWait() time.Duration {
	switch {
	case !time.Now().Before(w.outageUntil):
		return 0
	case w.silent:
		w.lastFault = time.Now()
		w.count("request timed out")
		return apiTimeout
	}
	w.count("request without responders")
	return time.Millisecond
}

func (s simSource) info(ctx context.Context) (state, error) {
	return ask(ctx, s, "info", func(draw uint64) (state, error) {
		w := s.w
		if w.falseInfo != nil {
			st := *w.falseInfo
			w.falseInfo = nil
			return st, nil
		}
		if st, ok := w.staleState(draw >> 16); ok && w.oddInfo && (w.stream == nil || st != w.stream.state()) {
			w.oddInfo, w.oddAt = false, time.Now()
			s.disturb()
			w.count("old leader answers info")
			w.logf("info answered by an old leader: %+v", st)
			// What it has and the stream lacks was cut off.
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
			w.count("consumer not created")
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

// count returns how many messages the stream counts from a sequence on.
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
	s.w.count("reconnect forced")
	s.w.logf("reconnect forced")
	s.reconnects++
	s.w.wedged = false
	return nil
}

// consumerFault is what happens to a consumer after so many messages.
type consumerFault struct {
	kind  string
	after int
}

// The faults of consumers, as the coverage names them.
const (
	faultEnd     = "server ends consumer"
	faultSilent  = "consumer goes silent"
	faultCut     = "connection lost"
	faultDrop    = "delivery dropped and detected"
	faultSkip    = "delivery dropped undetected"
	faultRepeat  = "delivery repeated"
	faultStall   = "consumer stalls"
	faultLate    = "consumer behind at first"
	faultCreate  = "consumer not created"
	faultWedge   = "every consumer stalls" // until a new connection
	faultNothing = ""
)

var consumerFaults = []string{faultEnd, faultSilent, faultCut, faultDrop, faultSkip, faultRepeat, faultStall, faultLate, faultCreate}
