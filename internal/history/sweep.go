package history

import "rollcall/internal/roster"

// A sweep counts who is on, moving from one multiple of a step of time to the next. It
// has, for each user and machine, how many sessions are on, and moves by what begins and
// ends from one point to the next. Its memory is that of who is on, and a bounded number
// of shifts: of the span that it moves over it keeps nothing else.
//
// Everything counts at a point that began at it or before, and ended after it. So a
// shift counts from the first point on that is not before its date, and a stay that
// begins and ends between two points nowhere.
type sweep struct {
	sweepLimits
	step roster.Time
	at   int64 // the point: this many steps since 1970

	users, machines sessionsOf
	sessions        int32

	// shifts are those of the points after low, by the points from which on they count.
	// size is how many there are.
	shifts map[int64][]shift
	low    int64
	size   int
	// all says that shifts has all that count after at, too: nothing is read any more.
	all bool
}

// shift is n more sessions of a user on a machine.
type shift struct {
	machine, user uint32
	n             int32
}

// tally is how many are on.
type tally struct{ users, machines, sessions int32 }

// sweepLimits bound what a sweep keeps.
type sweepLimits struct {
	// mostShifts is how many shifts it keeps of the points that it has passed. It can go back
	// as far as they reach.
	mostShifts int
	// mostAhead is how many stays it reads that begin after the point where it ends. If there
	// may be more, it isn't kept.
	mostAhead int
}

var defaultSweepLimits = sweepLimits{mostShifts: 250_000, mostAhead: 200_000}

// begunIn selects what began after ?1, up to ?2, and ended after ?3.
const begunIn = "select e.machine, e.user, e.since, e.ended from " + fromClasses +
	"ended e where e.class = c.class and e.since > ?1 and e.since <= ?2 and e.ended > ?3"

// newSweep returns a sweep at a point.
func newSweep(v *View, l sweepLimits, step roster.Time, at int64) (*sweep, error) {
	s := &sweep{
		sweepLimits: l, step: step, at: at, low: at,
		shifts: map[int64][]shift{},
	}
	q, err := prepared(v.c, "select e.machine, e.user, e.since, ?1 from open e", endOfTime)
	if err != nil {
		return nil, err
	}
	if _, err := s.addAll(q); err != nil {
		return nil, err
	}
	if q, err = prepared(v.c, "select e.machine, e.user, e.since, e.ended"+endedOnAt, s.moment()); err != nil {
		return nil, err
	}
	_, err = s.addAll(q)
	return s, err
}

func (s *sweep) moment() roster.Time { return s.step * roster.Time(s.at) }

// addAll adds the stays that a statement selects, and returns how many there were.
func (s *sweep) addAll(q *query) (n int, err error) {
	for ; q.next(); n++ {
		s.add(&delta{q.time(2), q.time(3), uint32(q.ColumnInt64(0)), uint32(q.ColumnInt64(1)), 1})
	}
	return n, q.err
}

// pointOf returns the first point that is not before a date.
func pointOf(date, step roster.Time) int64 {
	point := int64(date / step)
	if date%step > 0 {
		point++
	}
	return point
}

// points returns the points from which on a stay counts, and from which on it does not
// any more; the last of all if it is open.
func (d *delta) points(step roster.Time) (from, to int64) {
	if from, to = pointOf(d.since, step), int64(endOfTime); d.ended != endOfTime {
		to = pointOf(d.ended, step)
	}
	return from, to
}

func (s *sweep) add(d *delta) {
	from, to := d.points(s.step)
	if from == to {
		return
	}
	s.shift(from, shift{d.machine, d.user, d.n})
	if d.ended != endOfTime {
		s.shift(to, shift{d.machine, d.user, -d.n})
	}
}

// shift adds a shift that counts from a point on.
func (s *sweep) shift(from int64, c shift) {
	if from <= s.at {
		s.apply(c, 1)
	}
	if from > s.low {
		s.shifts[from] = append(s.shifts[from], c)
		s.size++
	}
}

// apply makes a shift, or, if times is -1, undoes it.
func (s *sweep) apply(c shift, times int32) {
	n := c.n * times
	s.sessions += n
	s.users.add(c.user, n)
	s.machines.add(c.machine, n)
}

// sessionsOf counts the sessions of each user, or of each machine, by its number in the
// database: 4 bytes for each that was ever heard of.
type sessionsOf struct {
	numbers []int32
	some    int32 // how many have some
}

func (o *sessionsOf) add(number uint32, n int32) {
	if more := int(number) + 1 - len(o.numbers); more > 0 {
		o.numbers = append(o.numbers, make([]int32, more)...)
	}
	had := o.numbers[number]
	o.numbers[number] += n
	switch {
	case had == 0:
		o.some++
	case had+n == 0:
		o.some--
	}
}

// moveTo moves to a point that is not before low.
func (s *sweep) moveTo(v *View, point int64) error {
	for s.at < point {
		if !s.all {
			if err := s.readNext(v); err != nil {
				return err
			}
		}
		s.at++
		for _, c := range s.shifts[s.at] {
			s.apply(c, 1)
		}
		s.trim()
	}
	for ; s.at > point; s.at-- {
		for _, c := range s.shifts[s.at] {
			s.apply(c, -1)
		}
	}
	return nil
}

// readNext reads what begins up to the next point and does not end before.
func (s *sweep) readNext(v *View) error {
	next := s.moment() + s.step
	q, err := prepared(v.c, begunIn, s.moment(), next, next)
	if err != nil {
		return err
	}
	_, err = s.addAll(q)
	return err
}

// readRest reads all that begins after the point, unless that is too much.
func (s *sweep) readRest(v *View) error {
	if s.all {
		return nil
	}
	q, err := prepared(v.c, begunIn+" limit 0 + ?4", s.moment(), endOfTime, s.moment(), s.mostAhead)
	if err != nil {
		return err
	}
	n, err := s.addAll(q)
	//guard:set "n < s.mostAhead" true "a count goes on only with all that began since" TestCounts
	s.all = n < s.mostAhead
	s.trim()
	return err
}

// trim forgets the oldest shifts that were passed while there are too many.
func (s *sweep) trim() {
	//guard:set "s.size > s.mostShifts" false "the memory of a count does not grow with its span" TestCounts
	for s.size > s.mostShifts && s.low < s.at {
		s.low++
		s.size -= len(s.shifts[s.low])
		delete(s.shifts, s.low)
	}
}

func (s *sweep) tally() tally { return tally{s.users.some, s.machines.some, s.sessions} }
