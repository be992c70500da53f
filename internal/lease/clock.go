package lease

import "time"

// moment is one reading of the two clocks of a process. Each counts from a start of its
// own.
//
// The monotonic clock is never set, but it stops while the machine is suspended. The wall
// clock does not stop, but somebody may set it.
type moment struct{ mono, wall time.Duration }

// since returns the time that has passed since an earlier reading, by the clock that
// advanced more. Whoever reads the clocks often, and adds, is misled only if the wall
// clock is set back and the monotonic clock stands still between two readings.
func (m moment) since(earlier moment) time.Duration {
	//guard:drop m.mono-earlier.mono "a wall clock that is set back does not prolong the lease" ^TestSimulation$
	//guard:drop m.wall-earlier.wall "a monotonic clock that stood still does not prolong the lease" ^TestSimulation$
	return max(0, m.mono-earlier.mono, m.wall-earlier.wall)
}

// started is when the monotonic readings begin.
var started = time.Now()

// readClocks reads both clocks.
func readClocks() moment {
	now := time.Now()
	return moment{mono: now.Sub(started), wall: time.Duration(now.UnixNano())}
}
