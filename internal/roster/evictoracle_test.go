package roster_test

import (
	"sort"

	"rollcall/internal/roster"
)

// evictOracle computes what a roster with limits refuses, and who is on, from the
// rules alone and without the roster's data structures: it keeps every accepted
// event, and derives everything from them again for each message.
type evictOracle struct {
	settings roster.Settings
	receipt  roster.Time
	machines map[string]*evictMachine
	floor    roster.Time // of machines that are not there
}

// evictMachine is a machine that has not been evicted.
type evictMachine struct {
	name     string
	accepted []roster.Message
	heard    roster.Time
	floor    roster.Time
	refused  roster.Stamp
}

func newEvictOracle(s roster.Settings) *evictOracle {
	return &evictOracle{settings: s, machines: map[string]*evictMachine{}}
}

// register is the state of one session or one clearing.
type register struct {
	stamp roster.Stamp
	open  bool
}

// registers derives what a machine's events left: the newest event of each session
// and of each clearing that no reset has ended, and which are open.
func (m *evictMachine) registers() (reset roster.Stamp, all []register) {
	events := append([]roster.Message(nil), m.accepted...)
	sort.SliceStable(events, func(i, j int) bool { return events[i].Place < events[j].Place })
	sort.SliceStable(events, func(i, j int) bool { return events[i].Event.Date < events[j].Event.Date })
	type row struct {
		stamp roster.Stamp
		user  string
	}
	sessions, cleared := map[name]row{}, map[string]roster.Stamp{}
	for _, msg := range events {
		e := msg.Event
		stamp := roster.Stamp{Date: e.Date, Place: msg.Place}
		switch {
		case e.Type == roster.Login:
			sessions[nameOf(e.Session)] = row{stamp, e.Session.User}
		case e.Type == roster.Logout && e.Session.ID != "":
			sessions[nameOf(e.Session)] = row{stamp, ""}
		case e.Type == roster.Logout:
			cleared[e.Session.User] = stamp
		default:
			clear(sessions)
			clear(cleared)
			reset = stamp
			for _, s := range e.Sessions {
				sessions[nameOf(s)] = row{stamp, s.User}
			}
		}
	}
	for _, s := range sessions {
		all = append(all, register{s.stamp, s.user != "" && s.stamp.After(cleared[s.user])})
	}
	for _, stamp := range cleared {
		all = append(all, register{stamp, false})
	}
	return reset, all
}

func (m *evictMachine) newest() (newest roster.Time) {
	for _, msg := range m.accepted {
		newest = max(newest, msg.Event.Date)
	}
	return newest
}

func (m *evictMachine) open() (n int) {
	_, all := m.registers()
	for _, r := range all {
		if r.open {
			n++
		}
	}
	return n
}

// closed returns the stamps that count towards the ceilings, in order.
func (o *evictOracle) closed(m *evictMachine) (stamps []roster.Stamp) {
	reset, all := m.registers()
	for _, r := range all {
		if !r.open && r.stamp.After(reset) && r.stamp.Date >= max(m.floor, m.newest()-roster.Time(o.settings.AllowedLateness)) {
			stamps = append(stamps, r.stamp)
		}
	}
	sort.Slice(stamps, func(i, j int) bool { return stamps[j].After(stamps[i]) })
	return stamps
}

func (o *evictOracle) halve(m *evictMachine) {
	if stamps := o.closed(m); len(stamps) > 0 {
		m.floor = stamps[(len(stamps)-1)/2].Date + 1
	}
}

func (o *evictOracle) shown(m *evictMachine) bool {
	return m.open() > 0 || m.heard >= o.receipt-roster.Time(o.settings.AllowedLateness)
}

// hidden returns the machines that no report shows, the one heard longest ago first.
func (o *evictOracle) hidden() (hidden []*evictMachine) {
	for _, m := range o.machines {
		if !o.shown(m) {
			hidden = append(hidden, m)
		}
	}
	sort.Slice(hidden, func(i, j int) bool {
		a, b := hidden[i], hidden[j]
		return a.heard < b.heard || a.heard == b.heard && a.name < b.name
	})
	return hidden
}

// read reads a message, and returns the reason to refuse it, or "".
func (o *evictOracle) read(msg roster.Message) roster.Reason {
	e, s := msg.Event, o.settings
	o.receipt = max(o.receipt, msg.Receipt)
	if hidden := o.hidden(); len(hidden) > s.MaxMachines {
		for _, m := range hidden[:(len(hidden)+1)/2] {
			o.floor = max(o.floor, m.newest()+1)
			delete(o.machines, m.name)
		}
	}
	m := o.machines[e.Machine]
	opens := e.Type == roster.Login || len(e.Sessions) > 0
	switch {
	case e.Date > msg.Receipt+roster.Time(s.MaxSkew):
		return roster.Future
	case m == nil && e.Date < o.floor,
		m != nil && e.Date < m.newest()-roster.Time(s.AllowedLateness),
		m != nil && e.Date < m.floor && opens:
		return roster.Late
	}
	with := &evictMachine{name: e.Machine}
	if m != nil {
		*with = *m
	}
	before := with.open()
	with.accepted = append(append([]roster.Message(nil), with.accepted...), msg)
	more := with.open() - before
	total := 0
	for _, other := range o.machines {
		total += other.open()
	}
	switch {
	case m == nil && len(o.machines)-len(o.hidden()) >= s.MaxMachines:
		return roster.Limit
	case more > 0 && (before+more > s.MaxSessionsPerMachine || total+more > s.MaxSessions):
		if m != nil {
			if stamp := (roster.Stamp{Date: e.Date, Place: msg.Place}); stamp.After(m.refused) {
				m.refused = stamp
			}
		}
		return roster.Limit
	}
	with.heard = max(with.heard, msg.Receipt)
	o.machines[e.Machine] = with
	o.evict(with)
	return ""
}

// evict enforces the ceilings after an event of a machine.
func (o *evictOracle) evict(m *evictMachine) {
	if len(o.closed(m)) > o.settings.MaxSessionsPerMachine {
		o.halve(m)
	}
	total := 0
	for _, m := range o.machines {
		total += len(o.closed(m))
	}
	if total > o.settings.MaxSessions {
		for _, m := range o.machines {
			o.halve(m)
		}
	}
}

// limited returns the machines with an event refused because of a limit since their
// last reset.
func (o *evictOracle) limited() map[string]bool {
	limited := map[string]bool{}
	for _, m := range o.machines {
		if reset, _ := m.registers(); m.refused.After(reset) {
			limited[m.name] = true
		}
	}
	return limited
}

// plain returns the plain oracle of the accepted events of the machines that are not
// evicted.
func (o *evictOracle) plain() *oracle {
	plain := newOracle(o.settings.MaxSkew, o.settings.AllowedLateness)
	for _, m := range o.machines {
		plain.accepted = append(plain.accepted, m.accepted...)
	}
	return plain
}
