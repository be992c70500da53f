package past

import (
	"iter"
	"slices"
	"strings"

	"rollcall/internal/roster"
	"rollcall/internal/wire"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// fold is the past of what a question asks about, as it is read.
type fold struct {
	*Question
	settings roster.Settings
	decoder  *wire.Decoder
	limit    int // of records, sessions and machines
	held     int // of these, at most: what a machine has let go is still counted
	unplaced uint64

	// base is what makes a place of a sequence; gone is the receipt before
	// which the stream has nothing, and 0 when it has every message.
	base  uint64
	first uint64 // the place of the stream's first message
	gone  roster.Time

	machines map[string]*machine
	names    map[string]string // names seen, so that each is in memory once
	event    roster.Event      // its space is used again
}

// take judges and keeps a message.
func (f *fold) take(m *message) error {
	e := &f.event
	refusal := f.decoder.Decode(m.Subject, m.Header.Get(rollcallv1.HeaderContentType), m.Data, e)
	switch {
	case refusal != nil:
		return nil
	case f.Machine != "" && e.Machine != f.Machine:
		return nil
	case e.Date > m.receipt.Add(f.settings.MaxSkew):
		return nil // future
	}
	at := f.machine(e.Machine)
	if at.settled || e.Date < at.newest.Add(-f.settings.AllowedLateness) {
		return nil // known from the roster, or late
	}
	at.newest = max(at.newest, e.Date)
	if e.Date <= f.To {
		at.heard, at.told = max(at.heard, m.receipt), max(at.told, e.Date)
	}
	if !f.wants(e.Date) {
		return nil
	}
	r, concerns := f.narrow(f.record(e, f.base+m.sequence))
	if !concerns {
		return nil
	}
	return f.keep(at, r)
}

// record copies what the fold needs of an event: that points into the payload.
func (f *fold) record(e *roster.Event, place uint64) record {
	r := record{stamp: roster.Stamp{Date: e.Date, Place: place}, kind: e.Type, how: endings[e.Type]}
	switch e.Type {
	case roster.Login, roster.Logout:
		r.sessions = []roster.Session{f.session(e.Session)}
		r.sessions[0].Since = 0
	case roster.Present:
		for _, s := range e.Sessions {
			r.sessions = append(r.sessions, f.session(s))
		}
	}
	return r
}

func (f *fold) session(s roster.Session) roster.Session {
	for _, text := range []*string{&s.User, &s.ID, &s.Terminal, &s.Remote, &s.Service} {
		*text = f.name(*text)
	}
	return s
}

// maxNames bounds the names that are looked up: beyond that they are in memory
// more than once.
const maxNames = 1 << 16

// name returns a copy of a text.
func (f *fold) name(s string) string {
	if s == "" {
		return ""
	}
	if known, ok := f.names[s]; ok {
		return known
	}
	if len(f.names) >= maxNames {
		clear(f.names)
	}
	s = strings.Clone(s)
	f.names[s] = s
	return s
}

func (f *fold) machine(name string) *machine {
	m := f.machines[name]
	if m == nil {
		m = &machine{name: strings.Clone(name), told: unknown}
		f.machines[m.name] = m
		f.held++
	}
	return m
}

// keep adds a record to a machine, and makes room when there is none.
func (f *fold) keep(m *machine, r record) error {
	held, placed := m.add(r)
	if !placed {
		f.unplaced++
	}
	if f.held += held; f.held <= f.limit {
		return nil
	}
	return f.settle()
}

// settle folds the older three quarters of each machine's records for good,
// which frees those that ended nothing that is asked for. Events come roughly
// in the order of their dates, so little can still belong before them.
func (f *fold) settle() error {
	f.held = 0
	for _, m := range f.machines {
		m.fold(len(m.records)*3/4, f.Question)
		f.held += m.weight()
	}
	if f.held > f.limit/4*3 {
		return ErrTooLarge
	}
	return nil
}

// finished yields the machines when all that was read of them is folded, and
// frees each after that: what the answer has of it takes its place.
func (f *fold) finished() iter.Seq[*machine] {
	return func(yield func(*machine) bool) {
		for name, m := range f.machines {
			m.foldAll(f.Question)
			if !yield(m) {
				return
			}
			delete(f.machines, name)
		}
	}
}

// remembered is what the roster knows of a machine.
type remembered struct {
	name      string
	registers roster.Registers
	heard     roster.Time
	shown     bool
}

func look(v roster.View) remembered {
	return remembered{v.Name(), v.Registers(), v.Heard(), v.Shown()}
}

// remember begins a machine with what the roster knows of it.
func (f *fold) remember(known remembered) error {
	registers := &known.registers
	m := f.machine(known.name)
	if !f.Stays && registers.Newest <= f.To {
		m.settled, m.hidden, m.heard = true, !known.shown, known.heard
		for _, s := range registers.Sessions {
			if s.Open && (f.User == "" || s.Session.User == f.User) {
				m.present = append(m.present, s.Session)
			}
		}
	} else {
		f.remindAll(m, registers)
	}
	f.held += m.weight() - 1
	if f.held > f.limit {
		return ErrTooLarge
	}
	return nil
}

// remindAll makes records of registers.
func (f *fold) remindAll(m *machine, registers *roster.Registers) {
	reset := record{stamp: registers.Reset, how: endings[0]}
	m.lasting = map[key]roster.Stamp{}
	for _, s := range registers.Sessions {
		session := []roster.Session{s.Session}
		switch {
		case s.Stamp == registers.Reset: // only a present has both
			reset.kind, reset.how = roster.Present, endings[roster.Present]
			reset.sessions = append(reset.sessions, s.Session)
		case s.Session.User == "":
			f.remind(m, record{s.Stamp, roster.Logout, endings[roster.Logout], session})
		default:
			f.remind(m, record{s.Stamp, roster.Login, endings[roster.Login], session})
		}
		if s.Open {
			m.lasting[keyOf(s.Session)] = s.Stamp
		}
	}
	for _, c := range registers.Cleared {
		f.remind(m, record{c.Stamp, roster.Logout, endings[roster.Logout], []roster.Session{{User: c.User}}})
	}
	if reset.stamp != (roster.Stamp{}) {
		f.remind(m, reset)
	}
	slices.SortFunc(m.remembered, byStamp)
}

// remind adds one register. One of before the stream's first message tells
// what was late after it; no later, though, than a date could be then.
func (f *fold) remind(m *machine, r record) {
	if r.stamp.Place < f.first {
		m.newest = max(m.newest, min(r.stamp.Date, f.gone.Add(f.settings.MaxSkew)))
	}
	if r.stamp.Date <= f.To {
		m.told = max(m.told, r.stamp.Date)
	}
	if !f.wants(r.stamp.Date) {
		return
	}
	if r, concerns := f.narrow(r); concerns {
		m.remembered = append(m.remembered, r)
	}
}
