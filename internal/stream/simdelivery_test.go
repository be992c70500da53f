package stream

import (
	"context"
	"time"
)

// simDelivery is what one consumer delivers.
type simDelivery struct {
	*service
	life        *life
	from, next_ uint64 // next_ is the sequence to be looked for next
	begun       uint64
	made, heard time.Time
	reconnects  int
	fault       consumerFault
	dead        bool // it delivers no more
	silent      bool // and the client is not told
	polled      bool
	held        []Message // delivered, and not taken yet
}

// simBeat is how often an idle consumer is heard of.
const simBeat = 3 * time.Second

func (d *simDelivery) pending() uint64 { return d.begun }
func (d *simDelivery) close()          {}

func (d *simDelivery) next(ctx context.Context, dst []Message) ([]Message, error) {
	beat := time.NewTimer(simBeat)
	defer beat.Stop()
	for {
		d.w.mu.Lock()
		got, err := d.poll(dst)
		d.polled = true
		if d.pinned == nil && len(got) > len(dst) {
			d.pin(d, got[len(dst)].Sequence)
		}
		changed, draw := d.life.changed, d.w.draw("next")
		d.w.mu.Unlock()
		if len(got) > len(dst) || err != nil {
			sleep(ctx, time.Duration(draw%uint64(travel)))
			return got, err
		}
		select {
		case <-ctx.Done():
			return dst, ctx.Err()
		case <-beat.C:
			return dst, nil
		case <-changed:
		}
	}
}

// poll appends what has arrived.
func (d *simDelivery) poll(dst []Message) ([]Message, error) {
	draw := d.w.draw("poll")
	switch {
	case len(d.held) > 0:
		return d.fromHeld(dst), nil
	case d.reconnects != d.service.reconnects:
		return dst, doubtful(causeReconnect, "the connection was away")
	case d.life.over && !d.dead:
		// What was under way when the stream went arrives.
		d.w.saw("consumer goes with its stream")
		d.dead, d.silent = true, draw%2 == 0
		return d.deliver(dst, int(draw>>8%20)), nil
	case d.dead && !d.silent:
		return dst, doubtful(causeServer, "the server ended the consumer")
	case d.dead && time.Since(d.heard) > 3*simBeat:
		return dst, doubtful(causeSilence, "nothing heard")
	case d.dead:
		return dst, nil
	}
	d.heard = time.Now()
	switch {
	case d.w.wedged:
		d.w.saw(faultWedge)
		return dst, nil
	case d.fault.kind == faultStall && d.fault.after == 0:
		d.w.saw(faultStall)
		return dst, nil
	case d.fault.kind == faultLate && time.Since(d.made) < 5*time.Second:
		d.w.saw(faultLate)
		return dst, nil
	}
	return d.strike(d.deliver(dst, 1+int(draw>>8%maxBatch)))
}

// deliver appends up to n messages, and stops where the fault is to strike.
func (d *simDelivery) deliver(dst []Message, n int) []Message {
	for ; n > 0 && d.next_ <= d.life.last; d.next_++ {
		if !d.life.delivers(d.next_) {
			d.passOver()
			continue
		}
		if d.fault.kind != faultNothing {
			if d.fault.after == 0 {
				break
			}
			d.fault.after--
		}
		dst = append(dst, d.life.messages[d.next_].message())
		if d.life.created == d.at.Proof.Created || d.service.life == 0 {
			d.service.heard = max(d.service.heard, d.next_)
			d.service.cut = d.service.cut || d.w.life != nil && d.life.created == d.w.life.created && d.next_ > d.w.life.last
		}
		n--
	}
	return dst
}

// passOver notes why the consumer skips a sequence.
func (d *simDelivery) passOver() {
	switch {
	case d.life.gone[d.next_]:
		d.w.saw("message gone")
	case d.life.hidden[d.next_]:
		d.w.saw("message hidden from consumers")
	}
}

// strike lets the fault happen once its time has come.
func (d *simDelivery) strike(dst []Message) ([]Message, error) {
	f := d.fault
	if f.kind == faultNothing || f.after > 0 || f.kind == faultStall || f.kind == faultLate || d.next_ > d.life.last {
		return dst, nil
	}
	d.fault = consumerFault{}
	d.w.rough = time.Now()
	d.w.saw(f.kind)
	d.w.note("consumer fault: %s at %d", f.kind, d.next_)
	switch f.kind {
	case faultEnd:
		d.dead = true
	case faultSilent:
		d.dead, d.silent = true, true
	case faultCut:
		return dst, doubtful(causeReconnect, "the connection was away")
	case faultDrop:
		return dst, doubtful(causeDropped, "delivery 2 after 0")
	case faultSkip:
		d.next_ += 1 + d.w.draw("skip")%3
	case faultRepeat:
		d.next_ = max(d.from, d.next_-min(d.next_, d.w.draw("repeat")%5))
	}
	return d.deliver(dst, 1), nil
}
