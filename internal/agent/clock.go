package agent

import (
	"context"
	"time"

	"rollcall/internal/roster"
)

// dates gives the events of a machine dates that strictly rise: no two tie, and an event
// that is sent twice is the same event to the fold.
type dates struct {
	last roster.Time // the last one given
}

// setBack is how far the clock may go back before dates follow it. The service refuses
// what is dated more than ROLLCALL_MAX_SKEW, by default ten minutes, after its receipt: a
// date that runs ahead by less was accepted, and a lower one would be superseded by it;
// what ran ahead by more was refused.
const setBack = 9 * time.Minute

// next returns the date of an event that happened at a time of the clock. It reports
// whether the clock was set back so far that dates follow it.
func (d *dates) next(clock time.Time) (date roster.Time, back bool) {
	date = roster.TimeOf(clock)
	switch {
	case date > d.last:
	case d.last.Add(-setBack) > date:
		back = true
	default:
		date = d.last + 1
	}
	d.last = date
	return date, back
}

// clock is the machine's clock.
type clock interface {
	now() time.Time
	// booted returns when the machine booted, by the clock as it is set now.
	booted() time.Time
	// steps tells each time that the clock was set, until the context is done.
	steps(context.Context) <-chan struct{}
}

// stepped lists who is on, after the clock was set. If that changes when the machine
// booted, the boot is told again: it may have been told before the time was right.
func (a *Agent) stepped(ctx context.Context) error {
	a.Log.Info("the clock was set")
	if booted := a.clock.booted(); booted.Sub(a.bootTold).Abs() > stepAbove {
		a.bootTold = booted
		a.add(&roster.Event{Type: roster.Boot}, booted)
	}
	return a.present(ctx)
}

// stepAbove is how much the clock has to be set by to count as set: less is what NTP does
// all the time.
const stepAbove = time.Second
