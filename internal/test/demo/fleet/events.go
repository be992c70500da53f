package fleet

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"time"

	"rollcall/internal/roster"
)

// entry is an event, without what can be said about it later.
type entry struct {
	at      time.Duration // relative to Now
	machine int32
	who     int32 // of a login or logout; of what is refused, its number
	number  int32 // of the session on its machine, from 1
	line    int16 // of the session's terminal
	what    what
	from    from
}

// what is the type of an entry, in the order of those at the same time.
type what uint8

const (
	logout what = iota
	shutdown
	boot
	login
	present
	refused
)

// Events yields the events in the order of their receipts, a few milliseconds after their
// dates, and with places from 1. They begin Hours before Now, when each machine lists
// who is on, and end at Now. Each machine lists it once more, in the last Period or when it
// fell silent. A few events are such that they will be refused. A few machines number their
// events, and some of these have lost one.
func (f *Fleet) Events() iter.Seq[roster.Message] {
	return func(yield func(roster.Message) bool) {
		t := &teller{f: f, open: make([][]entry, f.Len()), numbers: make(map[int32]uint64)}
		for _, e := range f.entries() {
			if !t.tell(e, yield) {
				return
			}
		}
	}
}

// entries are all events, sorted.
func (f *Fleet) entries() []entry {
	var all []entry
	for machine := range f.Len() {
		all = f.appendMachine(all, machine)
	}
	all = f.appendRefused(all)
	slices.SortFunc(all, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.machine, b.machine), cmp.Compare(a.what, b.what))
	})
	return all
}

func (f *Fleet) appendMachine(all []entry, machine int) []entry {
	d := f.day(machine)
	var lines []time.Duration // until when each is taken
	number := int32(f.draw(machine, drawSize, 60))
	for _, s := range d.stays {
		number++
		e := entry{at: s.begin, machine: int32(machine), who: s.who, number: number, what: login, from: s.from}
		if s.from != fromConsole {
			line := slices.IndexFunc(lines, func(until time.Duration) bool { return until < s.begin })
			if line < 0 {
				line, lines = len(lines), append(lines, 0)
			}
			lines[line] = s.end
			e.line = int16(line + 1)
		}
		all = append(all, e)
		if s.end < 0 && !s.rebooted {
			e.at, e.what = s.end, logout
			all = append(all, e)
		}
	}
	for _, b := range d.boots {
		all = append(all, entry{at: b - rebootTime, machine: int32(machine), what: shutdown}, entry{at: b, machine: int32(machine), what: boot})
	}
	listed, silent := f.Silent(machine)
	if !silent {
		listed = f.Listed(machine)
	}
	return append(all, entry{at: f.begin() - f.firstListed(machine), machine: int32(machine), what: present}, entry{at: -listed, machine: int32(machine), what: present})
}

// begin is when the events begin.
func (f *Fleet) begin() time.Duration { return -time.Duration(f.Hours) * time.Hour }

// firstListed is how long before that a machine first lists who is on, at most firstRound.
func (f *Fleet) firstListed(machine int) time.Duration {
	return firstRound * time.Duration(f.Turn(machine)) / time.Duration(f.Len())
}

const firstRound = time.Minute

// teller makes events of entries.
type teller struct {
	f       *Fleet
	open    [][]entry // by machine: the logins of open sessions
	numbers map[int32]uint64
	receipt roster.Time
	place   uint64
}

// tell yields the event of an entry. Sessions that are open when the events begin have none:
// the first lists have them.
func (t *teller) tell(e entry, yield func(roster.Message) bool) bool {
	t.fold(e)
	if e.at < t.f.begin()-firstRound {
		return true
	}
	m := roster.Message{Event: t.event(e)}
	t.place++
	t.receipt = max(t.receipt+1, roster.TimeOf(t.f.Now.Add(e.at)).Add(time.Duration(2+e.number%29)*time.Millisecond))
	m.Place, m.Receipt = t.place, t.receipt
	return yield(m)
}

func (t *teller) fold(e entry) {
	open := &t.open[e.machine]
	switch e.what {
	case login:
		*open = append(*open, e)
	case logout:
		*open = slices.DeleteFunc(*open, func(o entry) bool { return o.number == e.number })
	case shutdown, boot:
		*open = nil
	}
}

func (t *teller) event(e entry) roster.Event {
	f, machine := t.f, int(e.machine)
	if e.what == refused {
		return f.refused(e)
	}
	v := roster.Event{Date: f.date(e), Machine: f.Name(machine)}
	switch e.what {
	case login:
		v.Type, v.Session = roster.Login, f.session(e)
	case logout:
		s := f.session(e)
		v.Type, v.Session = roster.Logout, roster.Session{User: s.User, ID: s.ID}
	case shutdown:
		v.Type = roster.Shutdown
	case boot:
		v.Type = roster.Boot
	case present:
		v.Type = roster.Present
		for _, o := range t.open[machine] {
			s := f.session(o)
			s.Since = f.date(o)
			v.Sessions = append(v.Sessions, s)
		}
	}
	v.Origin, v.Number = t.number(e.machine)
	return v
}

func (f *Fleet) date(e entry) roster.Time { return roster.TimeOf(f.Now.Add(e.at)) }

// session describes the session of a login.
func (f *Fleet) session(e entry) roster.Session {
	if int(e.machine) >= f.Machines {
		return f.strangeSession(e)
	}
	s := roster.Session{User: user(int(e.who))}
	s.ID, s.Terminal, s.Service = details(kindOf(int(e.machine)), int(e.who), int(e.number), int(e.line))
	switch e.from {
	case fromUsual:
		s.Remote = address(int(e.who))
	case fromOutside:
		s.Remote = fmt.Sprintf("203.0.113.%d", 1+e.who%254)
	}
	return s
}

// number counts the events of some machines. Of some of these, a few never arrived.
func (t *teller) number(machine int32) (origin string, number uint64) {
	n := t.f.draw(int(machine), drawMissing, 150)
	if n > 2 {
		return "", 0
	}
	t.numbers[machine]++
	number = t.numbers[machine]
	if n == 0 && number > 1 {
		number += uint64(1 + t.f.draw(int(machine), drawMissing+1, 4))
	}
	return fmt.Sprintf("%08x", uint32(machine+1)*2654435761), number
}
