package fleet

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
)

// stay is a session of somebody on a machine. Both ends are relative to Now: what is open
// has an end after it.
type stay struct {
	begin, end time.Duration
	who        int32
	from       from
	rebooted   bool // the end: no logout tells of it
}

// from is where somebody logs in from.
type from uint8

const (
	fromUsual   from = iota
	fromConsole      // of the machine itself
	fromOutside      // an address that the person never has otherwise
)

// day is all that happens on a machine.
type day struct {
	f       *Fleet
	machine int
	r       *rand.Rand
	stays   []stay
	boots   []time.Duration // each after a shutdown
}

// rebootTime is how long a machine takes to start again.
const rebootTime = 95 * time.Second

// day draws what happens on a machine.
func (f *Fleet) day(machine int) *day {
	d := &day{f: f, machine: machine, r: f.random(machine)}
	k := kindOf(machine)
	switch {
	case machine >= f.Machines:
		d.strange()
	case k == workstation:
		d.workstation()
	case k == terminal:
		d.terminal()
	case k == jump:
		d.visits(24, 2, 55*time.Minute, d.administrator)
	case k == build:
		d.account(svcBackup, 0.55)
		d.visits(8, 8, 14*time.Minute, func() int { return svcBuild })
	case k == db:
		d.account(svcBackup, 0.25)
		d.visits(2, 2, 40*time.Minute, d.administrator)
	case k == web:
		d.visits(2, 5, 6*time.Minute, func() int { return svcDeploy })
		d.visits(1, 1, 40*time.Minute, d.administrator)
	default: // mail and cache
		d.account(svcMonitor, 0.2)
		d.visits(1, 1, 40*time.Minute, d.administrator)
	}
	d.reboot()
	d.fallSilent()
	slices.SortFunc(d.stays, func(a, b stay) int { return cmp.Compare(a.begin, b.begin) })
	return d
}

// at is a time of day, in hours, so many days after that of Now.
func at(days int, hours float64) time.Duration {
	return time.Duration(days)*24*time.Hour + time.Duration(hours*float64(time.Hour)) - Clock
}

// days are the days of the fleet's events and the one before, as at takes them.
func (d *day) days(do func(day int)) {
	for day := -(d.f.Hours+23)/24 - 1; day <= 0; day++ {
		do(day)
	}
}

// add adds a stay unless it was over before the events begin, or begins after them.
func (d *day) add(s stay) {
	if s.end > -time.Duration(d.f.Hours)*time.Hour && s.begin < 0 && s.begin < s.end {
		// No two events have the same date.
		s.begin -= time.Duration(d.r.Int64N(int64(time.Second)))
		s.end -= time.Duration(d.r.Int64N(int64(time.Second)))
		d.stays = append(d.stays, s)
	}
}

// normal draws a time of day around a mean.
func (d *day) normal(mean, deviation float64) float64 {
	return mean + deviation*max(-2, min(2, d.r.NormFloat64()))
}

// chance is true with this probability.
func (d *day) chance(p float64) bool { return d.r.Float64() < p }

// about draws a duration with this mean: most are shorter, a few much longer.
func (d *day) about(mean time.Duration) time.Duration {
	return 20*time.Second + time.Duration(d.r.ExpFloat64()*float64(mean))
}

// shift is when the owner of a workstation works.
type shift struct{ from, to, mean float64 }

var (
	ordinary = shift{8.3, 17.2, 0.75}
	late     = shift{13.6, 21.8, 0.4}
	night    = shift{21.7, 30.1, 0.4}
)

// workstation is a machine with an owner, who is there on most days.
func (d *day) workstation() {
	owner := int32(countUpTo(workstation, d.machine))
	s := ordinary
	switch n := d.r.IntN(100); {
	case n < 3: // stays for days
		d.add(stay{begin: at(-2-d.r.IntN(9), d.normal(9, 0.7)), end: time.Hour, who: owner, from: fromConsole})
		return
	case n < 9:
		s = late
	case n < 11:
		s = night
	case n < 16:
		return
	}
	d.days(func(day int) {
		if d.chance(0.9) {
			d.shift(day, s, owner)
		}
	})
	d.guest()
}

// shift is one day of an owner: some log out for lunch, and a few forget to at night.
func (d *day) shift(day int, s shift, owner int32) {
	begin, end := at(day, d.normal(s.from, s.mean)), at(day, d.normal(s.to, s.mean))
	if s == ordinary {
		if d.chance(0.04) {
			end = at(day+1, 6.9)
		}
		if d.chance(0.45) {
			noon := at(day, d.normal(12.3, 0.4))
			d.add(stay{begin: begin, end: noon, who: owner, from: fromConsole})
			begin = noon + 25*time.Minute + d.about(12*time.Minute)
		}
	}
	d.add(stay{begin: begin, end: end, who: owner, from: fromConsole})
}

// guest is somebody else on a workstation, now and then: a colleague, or somebody from anywhere,
// whose account is then used at two places.
func (d *day) guest() {
	if d.f.owners < 2 || !d.chance(0.02) {
		return
	}
	begin := at(0, 9.5+5.5*d.r.Float64())
	s := stay{begin: begin, end: begin + d.about(2*time.Hour), who: int32(d.owner())}
	if d.chance(0.15) {
		s.who, s.from = int32(d.r.IntN(d.f.owners)), fromOutside
	}
	if int(s.who) != countUpTo(workstation, d.machine) {
		d.add(s)
	}
}

// owner draws somebody who has a workstation at the same site.
func (d *day) owner() int {
	from, to := d.f.ownersAt(d.machine)
	if from >= to {
		return d.f.owners + d.r.IntN(seats)
	}
	return from + d.r.IntN(to-from)
}

// administrator draws one of the few persons of a site who look after its machines.
func (d *day) administrator() int {
	if d.chance(0.25) {
		return d.owner()
	}
	who := d.owner()
	from, _ := d.f.ownersAt(d.machine)
	return max(from, who-who%40)
}

// seats is how many persons without a workstation use a terminal server.
const seats = 22

func (d *day) terminal() {
	first := d.f.owners + countUpTo(terminal, d.machine)*seats
	d.days(func(day int) {
		for range 32 + d.r.IntN(24) {
			who := first + d.r.IntN(seats)
			if d.chance(0.3) {
				who = d.owner()
			}
			d.seat(day, int32(who))
		}
	})
}

// seat is a session on a terminal server.
func (d *day) seat(day int, who int32) {
	hours := d.normal(8.7, 0.8)
	switch n := d.r.IntN(100); {
	case n < 30:
		hours = d.normal(13.3, 0.6)
	case n < 45:
		hours = 7 + 13*d.r.Float64()
	}
	begin := at(day, hours)
	end := min(begin+30*time.Minute+d.about(3*time.Hour), max(begin+40*time.Minute, at(day, d.normal(17.8, 0.9))))
	if d.chance(0.04) {
		end = at(day+1, d.normal(8, 0.5))
	}
	d.add(stay{begin: begin, end: end, who: who})
}

// visits are so many short sessions each day, and up to so many more. Most are in
// working hours.
func (d *day) visits(fewest, more int, mean time.Duration, who func() int) {
	d.days(func(day int) {
		for range fewest + d.r.IntN(more+1) {
			hours := d.normal(13, 2.6)
			if d.chance(0.3) {
				hours = 24 * d.r.Float64()
			}
			begin := at(day, hours)
			d.add(stay{begin: begin, end: begin + d.about(mean), who: int32(who())})
		}
	})
}

// account is a service account that is on for weeks, with this probability, or else an hour
// each night.
func (d *day) account(who int, p float64) {
	if d.chance(p) {
		d.add(stay{begin: at(-3-d.r.IntN(25), 24*d.r.Float64()), end: time.Hour, who: int32(who)})
		return
	}
	d.days(func(day int) {
		begin := at(day, 1+2*d.r.Float64())
		d.add(stay{begin: begin, end: begin + 20*time.Minute + d.about(30*time.Minute), who: int32(who)})
	})
}

// reboot starts some machines again: workstations in the morning, some at work, servers at
// night. It ends all sessions. Machines with somebody on for days are not among them.
func (d *day) reboot() {
	d.days(func(day int) {
		hours, p := d.normal(4, 0.5), 0.015
		if kindOf(d.machine) == workstation {
			hours, p = d.normal(6.4, 0.2), 0.05
			if d.chance(0.2) {
				hours = d.normal(12, 2)
			}
		}
		boot := at(day, hours)
		if !d.chance(p) || boot > -time.Minute || boot < -time.Duration(d.f.Hours)*time.Hour {
			return
		}
		d.boots = append(d.boots, boot)
		down := boot - rebootTime
		for i := range d.stays {
			if s := &d.stays[i]; s.begin < boot && s.end > down {
				s.begin, s.end, s.rebooted = min(s.begin, down-time.Second), down, true
			}
		}
	})
}

// fallSilent removes what a machine that is silent would have sent.
func (d *day) fallSilent() {
	since, silent := d.f.Silent(d.machine)
	if !silent {
		return
	}
	last := -since
	d.boots = slices.DeleteFunc(d.boots, func(b time.Duration) bool { return b-rebootTime >= last })
	d.stays = slices.DeleteFunc(d.stays, func(s stay) bool { return s.begin >= last })
	for i := range d.stays {
		if s := &d.stays[i]; s.end >= last {
			s.end, s.rebooted = time.Hour, false
		}
	}
}
