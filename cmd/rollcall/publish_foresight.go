package main

import (
	"fmt"
	"time"

	"rollcall/internal/client"
	"rollcall/internal/roster"
)

// foresight refuses events that the service would refuse. It asks the service once, when
// it first needs to know: for one event by hand, and for an event of a file that is dated
// ahead of this machine's clock. Of files it judges nothing else: what is late depends on
// the events before.
type foresight struct {
	ask    func() (*client.Judge, error)
	byHand bool
	dated  bool // by hand, with a date

	asked   bool
	judge   *client.Judge
	err     error // why the service could not be asked
	unknown int   // events whose date may be wrong, but nobody knows
}

// refusal returns why the service would refuse the event, or nil.
func (f *foresight) refusal(e *roster.Event) *roster.Refusal {
	ahead := e.Date.Time().After(time.Now())
	if !f.byHand && !ahead {
		return nil
	}
	if !f.asked {
		f.asked = true
		f.judge, f.err = f.ask()
	}
	if f.err == nil {
		return f.judge.Refusal(e)
	}
	if ahead || f.dated {
		f.unknown++
	}
	return nil
}

// print says for how many events it is not known whether the service accepts their dates.
func (f *foresight) print(std streams) {
	//guard:false "publish says what it could not ask" TestForesight
	if f.unknown > 0 {
		fmt.Fprintf(std.err, "rollcall: publish: events of which it is not known whether the service accepts their dates: %d (%v); \"rollcall deadletters\" prints those that it refuses\n", f.unknown, f.err)
	}
}
