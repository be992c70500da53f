package changes

import (
	"slices"
	"time"

	"rollcall/internal/roster"
)

// silence is what watchers were told of the machines: which of them reports show, and
// which are silent.
type silence struct {
	machines []told // by number
	// Since the pass before: the machines that fell silent, those that were heard again,
	// and those that reports no longer show, each in byte order; and how many are silent.
	fell, heard, gone []string
	count             int
}

// told is what watchers were told of a machine.
type told uint8

const (
	shown told = 1 << iota
	silent
	// otherwise says that a change since the last pass told otherwise than silent says.
	otherwise
)

// isSilent reports whether a machine is silent at a moment, as [report.Source] does.
type isSilent = func(heard roster.Time, every time.Duration) bool

// at returns what was told of a machine.
func (s *silence) at(number uint32) *told {
	if n := int(number) + 1; n > len(s.machines) {
		s.machines = append(s.machines, make([]told, n-len(s.machines))...)
	}
	return &s.machines[number]
}

// tell records what a change tells of a machine. If reports do not show it, the next pass
// lists it as gone.
func (s *silence) tell(number uint32, now bool) {
	m := s.at(number)
	switch {
	case *m&shown == 0:
		*m = shown
		if now {
			*m |= silent
		}
	//guard:false "a machine that was heard and fell silent again between two beats is listed" TestSilenceBetweenBeats
	case now != (*m&silent != 0):
		*m |= otherwise
	}
}

// forget forgets what was told. Numbers may then be those of other machines.
func (s *silence) forget() { clear(s.machines) }

// pass compares the roster with what was told, lists what is different, and remembers
// that as told. Machines that watchers were not told of are left to the change that tells
// of them; after a restart (all) there will be none, as watchers ask for a report.
func (s *silence) pass(r *roster.Roster, is isSilent, all bool) {
	s.fell, s.heard, s.gone, s.count = nil, nil, nil, 0
	for number, v := range r.ByNumber() {
		m := s.at(number)
		switch was := *m; {
		case was&shown != 0 && !v.Shown():
			*m = 0
			s.gone = append(s.gone, v.Name())
		case was&shown != 0:
			now := is(v.Heard(), v.Every())
			s.set(m, now)
			s.list(v.Name(), was, now)
		//guard:drop all "a machine of which no change told yet is not counted" TestSilenceUntold
		case all && v.Shown():
			s.set(m, is(v.Heard(), v.Every()))
		}
	}
	slices.Sort(s.fell)
	slices.Sort(s.heard)
	slices.Sort(s.gone)
}

// list lists a machine if it is not as was told.
func (s *silence) list(name string, was told, now bool) {
	switch differs := was&otherwise != 0 || now != (was&silent != 0); {
	case differs && now:
		s.fell = append(s.fell, name)
	case differs:
		s.heard = append(s.heard, name)
	}
}

// set records that a machine is shown, and whether it is silent.
func (s *silence) set(m *told, now bool) {
	if *m = shown; now {
		*m |= silent
		s.count++
	}
}
