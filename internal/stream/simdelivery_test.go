package stream

import (
	"context"
	"time"
)

// simDelivery is what one consumer delivers.
type simDelivery struct {
	*service
	stream               *simStream
	from, nextSeq        uint64 // nextSeq is the next sequence to be delivered
	pendingAtCreation    uint64
	createdAt, lastHeard time.Time
	reconnects           int
	fault                consumerFault
	dead                 bool // it delivers nothing any more
	silent               bool // and sends the client no status
	polled               bool
	buffered             []Message // sent by the server, not returned by next yet
}

// simHeartbeat is how often an idle consumer sends a heartbeat.
const simHeartbeat = 3 * time.Second

func (d *simDelivery) pending() uint64 { return d.pendingAtCreation }
func (d *simDelivery) close()          {}

func (d *simDelivery) next(ctx context.Context, dst []Message) ([]Message, error) {
	beat := time.NewTimer(simHeartbeat)
	defer beat.Stop()
	for {
		d.w.mu.Lock()
		got, err := d.poll(dst)
		d.polled = true
		if d.pinned == nil && len(got) > len(dst) {
			d.recordPinned(d, got[len(dst)].Sequence)
		}
		changed, draw := d.stream.changed, d.w.draw("next")
		d.w.mu.Unlock()
		if len(got) > len(dst) || err != nil {
			sleep(ctx, time.Duration(draw%uint64(maxTravel)))
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
	case len(d.buffered) > 0:
		return d.deliverBuffered(dst), nil
	case d.reconnects != d.service.reconnects:
		return dst, doubtf(causeReconnect, "reconnected")
	case d.stream.replaced && !d.dead:
		// Messages in flight when the stream was replaced still arrive.
		d.w.count("consumer ends with its stream")
		d.dead, d.silent = true, draw%2 == 0
		return d.deliver(dst, int(draw>>8%20)), nil
	case d.dead && !d.silent:
		return dst, doubtf(causeServer, "the server ended the consumer")
	case d.dead && time.Since(d.lastHeard) > 3*simHeartbeat:
		return dst, doubtf(causeSilence, "nothing received")
	case d.dead:
		return dst, nil
	}
	d.lastHeard = time.Now()
	switch {
	case d.w.wedged:
		d.w.count(faultWedge)
		return dst, nil
	case d.fault.kind == faultStall && d.fault.after == 0:
		d.w.count(faultStall)
		return dst, nil
	case d.fault.kind == faultLate && time.Since(d.createdAt) < 5*time.Second:
		d.w.count(faultLate)
		return dst, nil
	}
	return d.applyFault(d.deliver(dst, 1+int(draw>>8%maxBatch)))
}

// deliver appends up to n messages, and stops where the fault occurs.
func (d *simDelivery) deliver(dst []Message, n int) []Message {
	for ; n > 0 && d.nextSeq <= d.stream.last; d.nextSeq++ {
		if !d.stream.delivers(d.nextSeq) {
			d.countSkipped()
			continue
		}
		if d.fault.kind != faultNothing {
			if d.fault.after == 0 {
				break
			}
			d.fault.after--
		}
		dst = append(dst, d.stream.messages[d.nextSeq].message())
		if d.stream.created == d.at.Proof.Created || d.service.incarnation == 0 {
			d.service.lastHeard = max(d.service.lastHeard, d.nextSeq)
			d.service.cut = d.service.cut || d.w.stream != nil && d.stream.created == d.w.stream.created && d.nextSeq > d.w.stream.last
		}
		n--
	}
	return dst
}

// countSkipped counts why the consumer skips a sequence.
func (d *simDelivery) countSkipped() {
	switch {
	case d.stream.gone[d.nextSeq]:
		d.w.count("message gone")
	case d.stream.hidden[d.nextSeq]:
		d.w.count("message hidden from consumers")
	}
}

// applyFault applies the consumer's fault once its number of messages was delivered.
func (d *simDelivery) applyFault(dst []Message) ([]Message, error) {
	f := d.fault
	if f.kind == faultNothing || f.after > 0 || f.kind == faultStall || f.kind == faultLate || d.nextSeq > d.stream.last {
		return dst, nil
	}
	d.fault = consumerFault{}
	d.w.lastFault = time.Now()
	d.w.count(f.kind)
	d.w.logf("consumer fault: %s at %d", f.kind, d.nextSeq)
	switch f.kind {
	case faultEnd:
		d.dead = true
	case faultSilent:
		d.dead, d.silent = true, true
	case faultCut:
		return dst, doubtf(causeReconnect, "reconnected")
	case faultDrop:
		return dst, doubtf(causeDropped, "delivery 2 after 0")
	case faultSkip:
		d.nextSeq += 1 + d.w.draw("skip")%3
	case faultRepeat:
		d.nextSeq = max(d.from, d.nextSeq-min(d.nextSeq, d.w.draw("repeat")%5))
	}
	return d.deliver(dst, 1), nil
}
