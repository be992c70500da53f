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

// stepped lists who is on, after the clock was set.
func (a *Agent) stepped(ctx context.Context) error {
	a.Log.Info("the clock was set")
	return a.present(ctx)
}

// correctBoot tells of the boot again, with a newly computed date, if the first date was
// wrong: before the events of the machine's earlier life, or in the future. A boot that the
// service could use is not told of again: it would end the sessions that began since.
func (a *Agent) correctBoot(now time.Time) {
	booted := a.clock.booted()
	//guard:false "a boot that was told with a date before the life before is told again" TestClockSet
	//guard:true "a boot that counts is not told again, which would divide stays" TestClockSet
	early := a.Booted < a.Before.Add(-setBack) && roster.TimeOf(booted) > a.Before
	//guard:false "a boot that was told with a date in the future is told again" TestClockSet
	future := a.Booted > roster.TimeOf(now.Add(setBack))
	if !early && !future {
		return
	}
	last := a.dates.last
	a.dates.last = a.Before
	a.add(&roster.Event{Type: roster.Boot}, booted)
	a.dates.last = max(last, a.dates.last)
}
