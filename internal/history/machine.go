package history

import (
	"cmp"
	"math/bits"
	"slices"

	"zombiezen.com/go/sqlite"

	"rollcall/internal/roster"
)

// machine is one machine while its events are written.
type machine struct {
	id            int64
	first, newest roster.Time
	reset         roster.Time
}

// loadMachine returns a machine by its name, or a new one that has no number yet.
func loadMachine(c *sqlite.Conn, name string) (*machine, error) {
	q, err := prepared(c, "select id, first, newest, reset from machines where name = ?", name)
	if err != nil {
		return nil, err
	}
	m := &machine{first: never, newest: never, reset: never}
	for q.next() {
		*m = machine{q.ColumnInt64(0), q.time(1), q.time(2), q.time(3)}
	}
	return m, q.err
}

// save writes the machine's own row.
func (m *machine) save(c *sqlite.Conn, name string) error {
	if m.id == 0 {
		if err := exec(c, "insert into machines (name, first, newest, reset) values (?, ?, ?, ?)", name, m.first, m.newest, m.reset); err != nil {
			return err
		}
		m.id = c.LastInsertRowID()
		return nil
	}
	return exec(c, "update machines set first = ?, newest = ?, reset = ? where id = ?", m.first, m.newest, m.reset, m.id)
}

// rows reads and writes the stays of one machine.
type rows struct {
	c       *sqlite.Conn
	names   *names
	machine int64
	known   *cache[int64, packed] // the open stays of machines
	ended   *ended
	changed *roster.Time
}

// change notes that the stays of a moment and later may have changed.
func (r *rows) change(from roster.Time) { *r.changed = min(*r.changed, from) }

// open returns the stays that are open.
func (r *rows) open() (map[Key]*openStay, error) {
	if known, ok := r.known.get(r.machine); ok {
		return known.open(), nil
	}
	open, err := r.readOpen()
	if err == nil {
		r.known.put(r.machine, pack(open))
	}
	return open, err
}

// readOpen reads the stays that are open.
func (r *rows) readOpen() (map[Key]*openStay, error) {
	q, err := prepared(r.c, "select session, user, since, began, reset, detail from open where machine = ?", r.machine)
	if err != nil {
		return nil, err
	}
	open := map[Key]*openStay{}
	for q.next() {
		s := &openStay{Session: roster.Session{ID: q.ColumnText(0), Since: q.time(2)}, began: q.time(3), reset: q.time(4)}
		if err := r.fill(&s.Session, q.ColumnInt64(1), q.ColumnInt64(5)); err != nil {
			_ = q.Reset()
			return nil, err
		}
		open[KeyOf(&s.Session)] = s
	}
	return open, q.err
}

// fill sets a session's user and details by their numbers.
func (r *rows) fill(s *roster.Session, user, detail int64) (err error) {
	if s.User, err = r.names.userName(user); err != nil {
		return err
	}
	return r.names.fill(s, detail)
}

// replaceOpen writes which stays are open, given those that were. It returns the
// earliest beginning of those that are not open any more, or began otherwise.
func (r *rows) replaceOpen(before, now map[Key]*openStay) (late roster.Time, err error) {
	late = endOfTime
	for k, s := range before {
		is := now[k]
		if is == nil || is.Since != s.Since {
			late = min(late, s.Since)
		}
		if is != nil && is.User == s.User {
			continue
		}
		user, err := r.names.userNumber(s.User)
		if err != nil {
			return late, err
		}
		r.ended.record(r.machine, user, s.Since, endOfTime, -1)
		if err := exec(r.c, "delete from open where machine = ? and session = ? and user = ?", r.machine, s.ID, user); err != nil {
			return late, err
		}
	}
	for k, s := range now {
		was := before[k]
		if was == nil || was.Since != s.Since {
			late = min(late, s.Since)
		}
		if was != nil && *was == *s {
			continue
		}
		user, detail, err := r.numbers(&s.Session)
		if err != nil {
			return late, err
		}
		if was != nil && was.User == s.User {
			r.ended.record(r.machine, user, was.Since, endOfTime, -1)
		}
		r.ended.record(r.machine, user, s.Since, endOfTime, 1)
		if err := exec(r.c, "insert or replace into open (machine, session, user, since, began, reset, detail) values (?, ?, ?, ?, ?, ?, ?)",
			r.machine, s.ID, user, s.Since, s.began, s.reset, detail); err != nil {
			return late, err
		}
	}
	r.known.put(r.machine, pack(now))
	return late, nil
}

// numbers returns the numbers of a session's user and details.
func (r *rows) numbers(s *roster.Session) (user, detail int64, err error) {
	if user, err = r.names.userNumber(s.User); err != nil {
		return 0, 0, err
	}
	detail, err = r.names.detailNumber(detailsOf(s))
	return user, detail, err
}

// The stays of class c lasted less than 2^(shortest+step*c) nanoseconds: of class 0, some
// 18 minutes. With fewer classes, a question about a moment reads more stays that were over
// by then; with more, each question looks through more classes. Only tests change these.
var shortest, step = 40, 4

// classOf returns the class of a stay by how long it lasted.
func classOf(lasted roster.Time) int { return (bits.Len64(uint64(lasted)>>shortest) + step - 1) / step }

// spanOf returns what all stays of a class have lasted less than.
func spanOf(class int) roster.Time {
	return roster.Time(min(uint64(1)<<min(shortest+step*class, 63), 1<<63-1))
}

// insert writes a stay that has ended.
func (r *rows) insert(s *Stay) error {
	user, detail, err := r.numbers(&s.Session)
	if err != nil {
		return err
	}
	since, unseen := s.Session.Since, 0
	if since == Unknown {
		since, unseen = s.Ended, 1
	}
	return r.ended.add(endedRow{
		endedKey: endedKey{class: classOf(s.Ended - since), since: since, machine: r.machine},
		user:     user, session: s.Session.ID, ended: s.Ended, how: s.How, unseen: unseen, detail: detail,
	})
}

// endedFrom selects, of each class, the stays of a machine that ended after a date.
func endedFrom(columns, where string) string {
	return overLevels(columns, fromClasses, byMachine, `i.machine = +?1 and i.class = c.class
		and i.since > ?2 - c.span and e.ended > ?2`+where)
}

// lastOff returns the newest date above after and below until at which a key, or all
// sessions of its user, was told to be off; never if there is none.
func (r *rows) lastOff(k Key, user string, after, until roster.Time) (roster.Time, error) {
	after = max(after, -1) // before all, and a span can be subtracted
	userNumber, err := r.names.userNumber(user)
	if err != nil {
		return never, err
	}
	newest := never
	if err := r.ended.flush(); err != nil {
		return never, err
	}
	q, err := prepared(r.c, "select max(ended) from ("+endedFrom("select e.ended as ended", ` and e.ended < ?3
		and case when e.session = '' then e.user = ?4 and (?5 = '' or e.how = 1) else e.session = ?5 end`)+")",
		r.machine, after, until, userNumber, k.ID)
	if err != nil {
		return never, err
	}
	for q.next() {
		newest = q.time(0)
	}
	if q.err != nil {
		return never, q.err
	}
	q, err = prepared(r.c, `select max(date) from strays where machine = +?1 and date > ?2 and date < ?3
		and case when session = '' then user = ?4 else session = ?5 end`, r.machine, after, until, userNumber, k.ID)
	if err != nil {
		return never, err
	}
	for q.next() {
		newest = max(newest, q.time(0))
	}
	return newest, q.err
}

// stored is a stay in the database, with the key of its row.
type stored struct {
	Stay
	endedKey
	user int64
}

// since reads the stays that ended at a date or later; never: all.
func (r *rows) since(date roster.Time) ([]stored, error) {
	if err := r.ended.flush(); err != nil {
		return nil, err
	}
	q, err := prepared(r.c, endedFrom("select e.class, e.since, e.n, e.user, e.session, e.ended, e.how, e.unseen, e.detail", ""),
		r.machine, max(date, 0)-1)
	if err != nil {
		return nil, err
	}
	var list []stored
	for q.next() {
		s := stored{endedKey: endedKey{q.ColumnInt(0), q.time(1), r.machine, q.ColumnInt64(2)}, user: q.ColumnInt64(3)}
		s.Session = roster.Session{ID: q.ColumnText(4), Since: s.since}
		s.Ended, s.How = q.time(5), Ending(q.ColumnInt(6))
		if q.ColumnInt(7) != 0 {
			s.Session.Since = Unknown
		}
		if err := r.fill(&s.Session, s.user, q.ColumnInt64(8)); err != nil {
			_ = q.Reset()
			return nil, err
		}
		list = append(list, s)
	}
	return list, q.err
}

// replaceEnded writes which stays ended at a date or later.
func (r *rows) replaceEnded(date roster.Time, now []Stay) error {
	before, err := r.since(date)
	if err != nil {
		return err
	}
	left := slices.Clone(now)
	for i := range before {
		if at := slices.Index(left, before[i].Stay); at >= 0 {
			left = slices.Delete(left, at, at+1)
			continue
		}
		s := &before[i]
		r.change(s.since)
		if err := r.ended.delete(&s.endedKey, s.user, s.Ended); err != nil {
			return err
		}
	}
	for i := range left {
		if left[i].Session.Since != Unknown {
			r.change(left[i].Session.Since)
		}
		if err := r.insert(&left[i]); err != nil {
			return err
		}
	}
	return nil
}

// insertStrays writes strays.
func (r *rows) insertStrays(strays []stray) error {
	for _, s := range strays {
		user, err := r.names.userNumber(s.user)
		if err != nil {
			return err
		}
		if err := exec(r.c, "insert or ignore into strays (machine, date, session, user) values (?, ?, ?, ?)", r.machine, s.date, s.key.ID, user); err != nil {
			return err
		}
	}
	return nil
}

// compareDates orders events by their dates.
func compareDates(a, b roster.Event) int { return cmp.Compare(a.Date, b.Date) }
