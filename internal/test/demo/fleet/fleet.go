// Package fleet generates the events of an invented fleet: the workstations, terminal
// servers, jump hosts, build machines and servers of some sites, and their people, on an
// ordinary day. Nights are quiet, people come from 7 and go from 16, and many log out at noon.
//
// The same options generate the same events, apart from the moment that all dates
// are relative to.
package fleet

import (
	"math/rand/v2"
	"strconv"
	"time"
)

// Options describe a fleet.
type Options struct {
	Seed     uint64
	Machines int
	// Hours is how long before Now the events begin. Sessions that were open by then have begun
	// earlier.
	Hours int
	// Now is the end of the events, at which it is ten past three in the afternoon, for
	// the people of the fleet.
	Now time.Time
	// Strange adds machines and users with names of 255 bytes, of several scripts, and
	// such as programs trip over.
	Strange bool
}

// Clock is the fleet's time of day at the end of its events.
const Clock = 15*time.Hour + 10*time.Minute

// Fleet is a fleet of machines, numbered from 0. The strange ones are the last.
type Fleet struct {
	Options

	sites  []site
	owners int // of workstations: the first persons
	terms  int // terminal servers
}

// New returns a fleet.
func New(o Options) *Fleet {
	f := &Fleet{Options: o}
	f.owners, f.terms = countUpTo(workstation, o.Machines), countUpTo(terminal, o.Machines)
	f.sites = newSites(o.Machines)
	return f
}

// Len is the number of machines.
func (f *Fleet) Len() int {
	if f.Strange {
		return f.Machines + len(strangeMachines)
	}
	return f.Machines
}

// Period is how often each machine lists who is on. Large fleets do it less often, so that
// a small computer can run them.
func (f *Fleet) Period() time.Duration {
	return max(5*time.Minute, time.Duration(f.Len())*5*time.Millisecond)
}

// Listed is how long before Now the machine last listed who is on, at most a Period. The
// machines are evenly spread over it.
func (f *Fleet) Listed(machine int) time.Duration {
	return f.Period() * time.Duration(f.Turn(machine)) / time.Duration(f.Len())
}

// Turn is a number below Len that no other machine has, scattered.
func (f *Fleet) Turn(machine int) int {
	step := int(float64(f.Len())*0.618) | 1
	for divisor(step, f.Len()) != 1 {
		step += 2
	}
	return machine * step % f.Len()
}

func divisor(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// Silent is how long before Now the machine sent its last event, if it is one of those that
// have stopped: at least 42 minutes.
func (f *Fleet) Silent(machine int) (time.Duration, bool) {
	if machine < 3 || f.draw(machine, drawSilent, 1000) >= 35 {
		return 0, false
	}
	// Of three, one has been silent for hours.
	more := f.draw(machine, drawSilent+1, 50)
	if more%3 == 0 {
		more *= 20
	}
	return time.Duration(42+more)*time.Minute + time.Duration(f.draw(machine, drawSilent+2, 60_000))*time.Millisecond, true
}

// Properties that are drawn for a machine. Each takes a few numbers.
const (
	drawSilent = 10 * (iota + 1)
	drawSize
	drawMissing
	drawRefused
)

// draw returns a number below n for a property of a machine.
func (f *Fleet) draw(machine int, property uint64, n int) int {
	x := f.Seed ^ property<<48 ^ uint64(machine)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return int((x ^ x>>31) % uint64(n))
}

// random is the source of all other draws of a machine.
func (f *Fleet) random(machine int) *rand.Rand {
	return rand.New(rand.NewPCG(f.Seed, uint64(machine)))
}

// Name is the name of a machine: ws-00042.ber1.example.com.
func (f *Fleet) Name(machine int) string {
	if machine >= f.Machines {
		return strangeMachines[machine-f.Machines].name
	}
	return kindOf(machine).String() + "-" + padded(machine) + "." + f.sites[f.siteOf(machine)].name
}

func padded(n int) string {
	s := strconv.Itoa(n)
	for len(s) < 5 {
		s = "0" + s
	}
	return s
}

var (
	given = [...]string{
		"anna", "ben", "chiara", "david", "elif", "farid", "greta", "hugo", "ines", "jonas", "kim", "lena", "marek",
		"nora", "oskar", "priya", "quentin", "rosa", "sven", "tomas", "uma", "viktor", "wei", "xenia", "yusuf", "zoe",
	}
	family = [...]string{
		"adler", "berg", "costa", "diaz", "ebert", "fischer", "garcia", "hansen", "ito", "janssen", "khan", "lopez", "meyer",
		"novak", "okafor", "petrov", "quist", "rossi", "silva", "tanaka", "ueda", "vargas", "weber", "xu", "yilmaz", "zimmer",
	}
	accounts = [...]string{"svc-backup", "svc-build", "svc-deploy", "svc-monitor"}
)

// Numbers of users: a person is 0 or more, a service account is below 0.
const (
	svcBackup = -1 - iota
	svcBuild
	svcDeploy
	svcMonitor
)

// user is the name of a person or a service account.
func user(who int) string {
	if who < 0 {
		return accounts[-1-who]
	}
	const names = len(given) * len(family)
	// 245 has no divisor in common with 26*26, so neighbours have different names.
	n, round := who%names*245%names, who/names
	g := n % len(given)
	name := given[g] + "." + family[(n/len(given)+g)%len(family)]
	if round > 0 {
		name += strconv.Itoa(round + 1)
	}
	return name
}

// address is where a person logs in from: always the same.
func address(who int) string {
	if who < 0 {
		return "10.0.0." + strconv.Itoa(10-who)
	}
	return "10." + strconv.Itoa(10+who>>16) + "." + strconv.Itoa(who>>8&255) + "." + strconv.Itoa(1+who%254)
}
