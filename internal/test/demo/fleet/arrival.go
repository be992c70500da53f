package fleet

import (
	"fmt"
	"math/rand/v2"

	"rollcall/internal/roster"
)

// Arrival is somebody who may log in on a machine now, such as its owner. number distinguishes
// the sessions of a machine.
func (f *Fleet) Arrival(r *rand.Rand, machine, number int) roster.Session {
	d := day{f: f, machine: machine, r: r}
	e := entry{machine: int32(machine), number: int32(number), line: int16(1 + number%99)}
	k := kindOf(machine)
	switch {
	case machine >= f.Machines:
		return roster.Session{User: user(r.IntN(f.owners + 1)), ID: fmt.Sprintf("c%d", number), Service: "sshd"}
	case k == workstation && d.chance(0.95):
		e.who, e.from, e.line = int32(countUpTo(workstation, machine)), fromConsole, 0
	case k == terminal:
		e.who = int32(f.owners + countUpTo(terminal, machine)*seats + r.IntN(seats))
	case k == build:
		e.who = svcBuild
	case k == web:
		e.who = svcDeploy
	default:
		e.who = int32(d.administrator())
	}
	return f.session(e)
}

// IsAccount reports whether a user is a service account.
func IsAccount(user string) bool {
	for _, a := range accounts {
		if a == user {
			return true
		}
	}
	return false
}
