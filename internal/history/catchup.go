package history

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"rollcall/internal/failpoint"
	"rollcall/internal/roster"
)

// errReplaced says that the stream was replaced while it was read again.
var errReplaced = errors.New("the stream was replaced")

// catchUp reads the stream again, from where the history ends to where the fold is,
// and hands over to Put. What is read is judged by a roster of its own: that of a
// snapshot from before, or an empty one.
func (h *History) catchUp(ctx context.Context) (err error) {
	if h.rejoin() {
		return nil
	}
	h.setCatching(true)
	defer func() {
		if h.setCatching(err != nil); err != nil {
			h.queueAgain(false) // what is before the queue is missing
		}
	}()
	c := &catching{History: h, fed: h.w.state.Position.Place}
	from, err := c.begin()
	if err != nil {
		return err
	}
	h.Log.Info("history is behind: reading the stream again", "place", c.fed, "from", from.Place, "to", h.Roster.Status().Position.Place)
	defer c.close()
	if err := c.proceed(from.Place); err != nil {
		return handedOver(err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := h.Read(ctx, from, func(decode Decode) { c.fold(decode, cancel) }); err != nil {
		return err
	}
	if cause := context.Cause(ctx); !errors.Is(cause, errReplaced) {
		return handedOver(cause)
	}
	return c.skip()
}

// rejoin queues again what is folded, if the history has all that was: after a crash it
// may be the fold that is behind.
func (h *History) rejoin() bool {
	h.queueAgain(true)
	if h.Roster.Status().Position.Place <= h.w.state.Position.Place {
		return true
	}
	h.queueAgain(false)
	return false
}

// queueAgain empties the queue; from now on Put adds to it, or doesn't.
func (h *History) queueAgain(again bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.behind, h.queue, h.waiting = !again, nil, 0
}

func (h *History) setCatching(catching bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.catching = catching
	h.changed.Broadcast()
}

// handedOver returns nil if that is what the error says.
func handedOver(err error) error {
	if errors.Is(err, errHandedOver) {
		return nil
	}
	return err
}

// errHandedOver says that the history has caught up.
var errHandedOver = errors.New("caught up")

// catching is one time of catching up.
type catching struct {
	*History
	judge   *roster.Roster
	changes []change // of the settings, which are still to come
	subject string
	fed     uint64 // the place up to which batches were made
	pending []*batch
	events  int
	cut     *roster.Cut // where to hand over; nil: not there yet
}

// close ends the cut.
func (c *catching) close() {
	if c.cut != nil {
		c.cut.Close()
	}
}

// begin makes the roster that judges, and returns where it reads on.
func (c *catching) begin() (roster.Position, error) {
	live := c.Roster.Status().Position
	judge, err := c.Restore(c.fed)
	if err != nil {
		return live, err
	}
	if c.changes, err = c.w.changes(); err != nil {
		return live, err
	}
	// What decided before the first of them is not known any more.
	c.subject = c.changes[0].Subject
	if judge == nil {
		judge = roster.New(c.changes[0].Settings.Settings)
	}
	c.judge = judge
	if err := c.change(judge.Status().Position.Place); err != nil {
		return live, err
	}
	from := judge.Status().Position
	if from.Proof.Stream == live.Proof.Stream && from.Proof.Created == live.Proof.Created && from.Base == live.Base {
		return from, nil
	}
	// There is no snapshot, or it is of another incarnation of the stream. Begin with the
	// first message of this incarnation: the judge has to learn the newest date of each
	// machine.
	from = live
	from.Proof.Sequence, from.Proof.Receipt, from.Proof.Hash = 0, 0, roster.Hash{}
	from.Place = uint64(max(live.Base, 0))
	if c.w.isOfOtherStream(live) {
		to := from
		to.Place = max(from.Place, c.fed)
		return from, c.w.writeLoss(roster.Recreated.String(), to, c.Roster.Settings())
	}
	if c.fed == 0 {
		return from.On(0), nil
	}
	return from, nil
}

// isOfOtherStream reports whether the history ends in another stream than a position.
func (w *writer) isOfOtherStream(p roster.Position) bool {
	was := w.state.Position
	return was.Place > 0 && (was.Proof.Stream != p.Proof.Stream || was.Proof.Created != p.Proof.Created)
}

// change changes the settings to those that decided after a place.
func (c *catching) change(place uint64) error {
	now := c.judge.Settings()
	//guard:drop place "a message is decided by the settings and the subject of its time" TestSettingsOfTheTime
	for len(c.changes) > 0 && c.changes[0].place <= place {
		now, c.subject = c.changes[0].Settings.Settings, c.changes[0].Subject
		c.changes = c.changes[1:]
	}
	if now == c.judge.Settings() {
		return nil
	}
	var b bytes.Buffer
	enc := c.judge.Encode()
	defer enc.Close()
	if _, err := enc.WriteTo(&b); err != nil {
		return fmt.Errorf("changing settings: %w", err)
	}
	was := roster.Encoded{Version: roster.EncodingVersion, Settings: c.judge.Settings(), Position: enc.Status().Position}
	changed, err := roster.Restore(&b, was, now)
	if err != nil {
		return fmt.Errorf("changing settings: %w", err)
	}
	c.judge = changed
	return nil
}

// fold judges a batch and writes what was accepted. Once it is near the fold it hands
// over, and cancels.
func (c *catching) fold(decode Decode, cancel context.CancelCauseFunc) {
	for done := false; !done; {
		b := decode(c.subject)
		if b.Unread {
			cancel(errReplaced)
			return
		}
		end := b.End
		//guard:false "the history reads no further than the fold" TestReadsNoFurtherThanTheFold
		if c.cut == nil && end.Place > c.Roster.Status().Position.Place {
			c.cut = c.handOver()
		}
		//guard:false "the history hands over to the fold at one place" TestSettingsOfTheTime
		if c.cut != nil && end.Place > c.cut.Status.Position.Place {
			end = c.cut.Status.Position
		}
		if len(c.changes) > 0 && end.Place > c.changes[0].place {
			end.Place = c.changes[0].place
		}
		done = end.Place == b.End.Place || c.cut != nil && end.Place == c.cut.Status.Position.Place
		trim(b, c.judge.Status().Position.Place, end)
		if err := c.judgeBatch(b); err != nil {
			cancel(err)
			return
		}
	}
}

// judgeBatch judges a batch and writes what was accepted.
func (c *catching) judgeBatch(b *roster.Batch) error {
	c.judge.Fold(b)
	st := c.judge.Status()
	s := splitter{settings: c.judge.Settings(), fed: c.fed, again: true}
	c.pending = append(c.pending, s.split(b, &st)...)
	c.events += len(b.Messages)
	c.fed = s.fed
	if err := c.change(b.End.Place); err != nil {
		return err
	}
	return c.proceed(b.End.Place)
}

// trim leaves out of a batch what is after a position, or was judged already.
func trim(b *roster.Batch, judged uint64, end roster.Position) {
	b.End = end
	//guard:drop end.Place "a message is judged once its settings are" TestSettingsOfTheTime
	b.Messages = slices.DeleteFunc(b.Messages, func(m roster.Message) bool { return m.Place <= judged || m.Place > end.Place })
}

// proceed writes what is pending if it is much, and hands over if that place is near
// the fold's.
func (c *catching) proceed(place uint64) error {
	if c.events >= c.catchUpAt || c.cut != nil && place >= c.cut.Status.Position.Place {
		if err := c.writePending(); err != nil {
			return err
		}
	}
	switch {
	case c.cut == nil && place+c.nearby >= c.Roster.Status().Position.Place:
		c.cut = c.handOver()
		if place >= c.cut.Status.Position.Place {
			return c.proceed(place)
		}
	case c.cut != nil && place >= c.cut.Status.Position.Place:
		if err := c.finish(); err != nil {
			return err
		}
		failpoint.At("history-handed-over")
		return errHandedOver
	}
	return nil
}

// finish agrees with the roster at the place of the cut. What was not read up to there
// is lost: it was of another stream.
func (c *catching) finish() error {
	if to := c.cut.Status.Position; c.w.state.Position.Place < to.Place {
		if err := c.w.writeLoss(roster.Recreated.String(), to, c.Roster.Settings()); err != nil {
			return err
		}
		c.note(nil)
	}
	//guard:false "a history built anew says so if messages were judged by other settings then" TestBuiltAnew
	if c.judgedOtherwise() {
		if err := c.w.writeLoss(differed, c.cut.Status.Position, c.Roster.Settings()); err != nil {
			return err
		}
		c.note(nil)
	}
	return c.reconcile(c.cut)
}

// judgedOtherwise reports whether reading again accepted messages that the fold had refused,
// or the other way round. That happens when the history was lost: the settings that
// decided at that time were in it.
func (c *catching) judgedOtherwise() bool {
	judged, folded := c.judge.Status().Fates, c.cut.Status.Fates
	return judged[roster.Lost] == folded[roster.Lost] && judged != folded
}

func (c *catching) writePending() error {
	err := c.w.write(c.unwritten(c.pending))
	c.pending, c.events = nil, 0
	c.note(err)
	return err
}

// handOver begins to queue what is folded from now on, and returns who is on at this
// place.
func (h *History) handOver() *roster.Cut {
	h.queueAgain(true)
	return h.Roster.Cut()
}

// skip gives up what the stream no longer has: the history goes on where the fold is.
func (c *catching) skip() error {
	if c.cut == nil {
		c.cut = c.handOver()
	}
	return c.finish()
}

// writeLoss writes that the places up to a position are lost.
func (w *writer) writeLoss(reason string, to roster.Position, s roster.Settings) error {
	if err := w.write([]*batch{{end: to, settings: s, lost: reason, lostTo: to.Place}}); err != nil {
		return fmt.Errorf("recording a loss: %w", err)
	}
	return nil
}
