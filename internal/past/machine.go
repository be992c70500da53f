package past

import (
	"cmp"
	"math"
	"slices"

	"rollcall/internal/roster"
)

// record is an accepted event, or a register of the roster: what the fold
// takes, in the order of stamps.
type record struct {
	stamp roster.Stamp
	// kind is the event's type; 0 a reset of which the type is not known.
	kind roster.Type
	// how is how it ends the stays that it ends.
	how Ending
	// sessions has one session for a login or logout, those listed for a
	// present.
	sessions []roster.Session
}

// endings are how the types of events end a stay.
var endings = map[roster.Type]Ending{
	roster.Login: Replaced, roster.Logout: LoggedOut, roster.Boot: Booted,
	roster.Shutdown: ShutDown, roster.Present: NotPresent, 0: Reset,
}

func byStamp(a, b record) int { return compareStamps(a.stamp, b.stamp) }

func compareStamps(a, b roster.Stamp) int {
	return cmp.Or(cmp.Compare(a.Date, b.Date), cmp.Compare(a.Place, b.Place))
}

// key names a session on its machine: by id, or an implicit one by its user.
type key struct{ id, user string }

func keyOf(s roster.Session) key {
	if s.ID != "" {
		return key{id: s.ID}
	}
	return key{user: s.User}
}

// stay is one that has not ended as far as the fold has come.
type stay struct {
	began  roster.Time  // the date of the event that began it
	raised roster.Stamp // of the event that last told of it
	// first is what the first event told, filled up by later ones; last what
	// the last one told.
	first, last roster.Session
}

// unknown is no date.
const unknown roster.Time = -1

// machine is the past of one machine.
type machine struct {
	name string
	// present is who is on when nothing has to be read for that: the moment
	// asked for is not before the newest date. Then hidden says that the
	// roster does not show the machine.
	settled, hidden bool
	present         []roster.Session

	newest roster.Time // of the dates accepted
	// heard is the newest receipt, and told the newest date, of what is dated
	// at or before the moment asked for; told is unknown if nothing is.
	heard, told roster.Time

	// remembered are the roster's registers, in order; those before next are
	// folded. lasting are the stamps of the sessions that it has open.
	remembered []record
	next       int
	lasting    map[key]roster.Stamp
	// records are those read, in the order read; what is not above folded has
	// been folded.
	records []record
	folded  roster.Stamp
	listed  []roster.Session // of the last present, to be shared by the next

	open  map[key]*stay
	stays []Stay // ended, and asked for
}

// weight is how many records and sessions the machine holds.
func (m *machine) weight() int {
	n := 1 + len(m.present) + len(m.remembered) + len(m.records) + len(m.open) + len(m.stays)
	var shared *roster.Session
	for i := range m.records {
		if s := m.records[i].sessions; len(s) > 0 && &s[0] != shared {
			n += len(s)
			shared = &s[0]
		}
	}
	return n
}

// add adds a record that was read, and returns how many records and sessions
// that adds, and whether there is still a place for it. What the roster
// remembers is not held twice. Of a reset, though, the roster does not remember
// all.
func (m *machine) add(r record) (held int, placed bool) {
	if r.kind == roster.Login || r.kind == roster.Logout {
		if _, found := slices.BinarySearchFunc(m.remembered, r, byStamp); found {
			return 0, true
		}
	}
	if !r.stamp.After(m.folded) {
		return 0, false
	}
	if r.kind == roster.Present {
		if slices.Equal(r.sessions, m.listed) {
			r.sessions = m.listed
		}
		m.listed = r.sessions
	}
	m.records = append(m.records, r)
	return 1 + len(r.sessions), true
}

// fold folds the n oldest records, and the registers before the last of them.
func (m *machine) fold(n int, q *Question) {
	slices.SortFunc(m.records, byStamp)
	for i := range m.records[:n] {
		r := &m.records[i]
		m.foldRemembered(r.stamp, q)
		m.apply(r, q)
		m.folded = r.stamp
	}
	m.records = slices.Clone(m.records[n:])
}

// foldAll folds what is left.
func (m *machine) foldAll(q *Question) {
	m.fold(len(m.records), q)
	m.foldRemembered(roster.Stamp{Date: roster.MaxDate, Place: math.MaxUint64}, q)
}

// foldRemembered folds the registers up to a stamp. One whose event was read, too, says
// nothing more.
func (m *machine) foldRemembered(through roster.Stamp, q *Question) {
	for ; m.next < len(m.remembered); m.next++ {
		r := &m.remembered[m.next]
		if r.stamp.After(through) {
			return
		}
		if r.stamp != through {
			m.apply(r, q)
		}
	}
}

// apply folds one record.
func (m *machine) apply(r *record, q *Question) {
	switch r.kind {
	case roster.Login:
		m.raise(r, r.sessions[0], q)
	case roster.Logout:
		m.logout(r, q)
	default:
		m.reset(r, q)
	}
}

func (m *machine) logout(r *record, q *Question) {
	s := r.sessions[0]
	if s.ID != "" {
		m.end(key{id: s.ID}, r, q)
		return
	}
	for k, open := range m.open {
		if open.last.User == s.User {
			m.end(k, r, q)
		}
	}
}

// reset ends every stay that the record does not list, and begins those that it
// does.
func (m *machine) reset(r *record, q *Question) {
	listed := make(map[key]string, len(r.sessions))
	for _, s := range r.sessions {
		listed[keyOf(s)] = s.User
	}
	for k, open := range m.open {
		if listed[k] != open.last.User {
			m.end(k, r, q)
		}
	}
	for _, s := range r.sessions {
		m.raise(r, s, q)
	}
}

// raise begins a stay, or goes on with the user's own.
func (m *machine) raise(r *record, s roster.Session, q *Question) {
	k := keyOf(s)
	if s.Since == 0 {
		s.Since = r.stamp.Date
	}
	open := m.open[k]
	switch {
	case open == nil:
	case m.lasts(k, open), open.raised == r.stamp:
		return
	case open.last.User == s.User:
		open.goOn(s, r.stamp)
		return
	default:
		m.end(k, r, q)
	}
	if m.open == nil {
		m.open = map[key]*stay{}
	}
	began := &stay{began: r.stamp.Date, raised: r.stamp, first: s, last: s}
	began.first.Since = min(s.Since, r.stamp.Date)
	m.open[k] = began
}

// goOn notes that an event told of the stay again.
func (s *stay) goOn(told roster.Session, stamp roster.Stamp) {
	s.raised, s.last = stamp, told
	s.first.Since = min(s.first.Since, told.Since)
	s.first.Terminal = cmp.Or(s.first.Terminal, told.Terminal)
	s.first.Remote = cmp.Or(s.first.Remote, told.Remote)
	s.first.Service = cmp.Or(s.first.Service, told.Service)
}

// lasts reports whether the roster has the stay open: then nothing has ended
// it, whatever it looks like from here.
func (m *machine) lasts(k key, s *stay) bool { return m.lasting[k] == s.raised }

// end ends a stay, if there is one, and keeps it if it is asked for.
func (m *machine) end(k key, r *record, q *Question) {
	s := m.open[k]
	if s == nil || m.lasts(k, s) {
		return
	}
	delete(m.open, k)
	if q.Stays && q.overlaps(s.began, r.stamp.Date) {
		m.stays = append(m.stays, s.end(m.name, r.stamp.Date, r.how))
	}
}

func (s *stay) end(machine string, date roster.Time, how Ending) Stay {
	return Stay{Machine: machine, Session: s.first, Ended: date, How: how}
}

// sessions are those open at the end of the fold.
func (m *machine) sessions() []roster.Session {
	if m.settled {
		return m.present
	}
	var sessions []roster.Session
	for _, s := range m.open {
		sessions = append(sessions, s.last)
	}
	return sessions
}

// shown reports whether a machine with nobody belongs in a list.
func (m *machine) shown(hidden roster.Time) bool {
	if m.settled {
		return !m.hidden
	}
	return m.told != unknown && max(m.heard, m.told) >= hidden
}
