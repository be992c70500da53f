package history

import (
	"rollcall/internal/roster"
)

// reconcile makes the history agree with the roster, at one place, about who is on. The
// roster decides: a stay that only the history has open is removed, and one that only
// the roster has begins with its since. Where they differ, the machine's past since
// then is in doubt.
func (h *History) reconcile(cut *roster.Cut) error {
	err := h.writeAgreement(cut)
	if err == nil {
		h.note(nil)
	}
	return err
}

func (h *History) writeAgreement(cut *roster.Cut) (err error) {
	w := h.w
	if err := exec(w.c, "begin immediate"); err != nil {
		return err
	}
	w.changed = endOfTime
	defer func() {
		if err = w.end(err); err == nil {
			w.differs, h.reconciled = false, true
			h.note(nil)
		}
	}()
	differ := 0
	seen := map[int64]bool{}
	after := cut.Status.Receipt.Add(h.Roster.Settings().MaxSkew)
	for v := range cut.All() {
		m, err := loadMachine(w.c, v.Name())
		if err != nil {
			return err
		}
		differs, err := w.agree(m, v.Name(), v.AppendSessions(nil), v.Newest(), after)
		if err != nil {
			return err
		}
		seen[m.id] = true // which a machine that is new to the history has only now
		if differs {
			differ++
		}
	}
	n, err := w.closeUnknown(seen, after)
	if err != nil {
		return err
	}
	if err := w.saveState(); err != nil {
		return err
	}
	if differ += n; differ > 0 {
		h.Log.Warn("the history and the roster differed in who is on: the roster's is kept, and the history of these machines is incomplete", "machines", differ)
	}
	return nil
}

// agree makes a machine's open stays those that the roster has, and reports whether
// they differed, or the roster's newest date is one that the history lacks. A boot,
// shutdown or present dated after a date settles it.
func (w *writer) agree(m *machine, name string, on []roster.Session, newest, after roster.Time) (differs bool, err error) {
	open := map[Key]*openStay{}
	if m.id != 0 {
		if open, err = w.rows(m.id).open(); err != nil {
			return false, err
		}
	}
	now := make(map[Key]*openStay, len(on))
	from := endOfTime
	for i := range on {
		k := KeyOf(&on[i])
		if was := open[k]; was != nil && was.User == on[i].User {
			now[k] = was
			continue
		}
		now[k] = &openStay{Session: on[i], began: on[i].Since, reset: m.reset}
		from = min(from, on[i].Since)
	}
	for k, s := range open {
		if now[k] != s {
			from = min(from, s.Since)
		}
	}
	//guard:false "the history learns the newest dates that only the roster has" TestOlderThanTheRosterKnows
	if m.newest < newest {
		from = min(from, newest)
	}
	//guard:true "the roster decides who is on" TestRosterDecides
	if from == endOfTime {
		return false, nil
	}
	m.newest = max(m.newest, newest)
	if m.id == 0 {
		m.first = from
		if w.state.Loss != 0 {
			from = 0
		}
	}
	if err := m.save(w.c, name); err != nil {
		return true, err
	}
	w.machines.delete(name)
	return true, w.adopt(w.rows(m.id), m, open, now, from, after)
}

// adopt makes stays the open ones of a machine, whatever its events say: no event
// dated before can be placed any more.
func (w *writer) adopt(r *rows, m *machine, open, now map[Key]*openStay, from, after roster.Time) error {
	if err := w.windows.begin(m.id, m.newest+1, &fold{open: now, reset: m.reset}, w.state.Position.Place); err != nil {
		return err
	}
	late, err := r.replaceOpen(open, now)
	if err != nil {
		return err
	}
	r.change(late)
	w.state.Doubts = true
	return r.doubt(from, never, after, differed)
}

// differed is the reason of a gap where the history and the roster differed.
const differed = "differed"

// closeUnknown removes the open stays of machines that the roster does not have.
func (w *writer) closeUnknown(seen map[int64]bool, after roster.Time) (n int, err error) {
	q, err := prepared(w.c, "select distinct e.machine, m.name from open e join machines m on m.id = e.machine")
	if err != nil {
		return 0, err
	}
	var unknown []string
	for q.next() {
		//guard:false "the roster decides who is on, of machines that it does not know" TestRosterDecides
		if !seen[q.ColumnInt64(0)] {
			unknown = append(unknown, q.ColumnText(1))
		}
	}
	if q.err != nil {
		return 0, q.err
	}
	for _, name := range unknown {
		m, err := loadMachine(w.c, name)
		if err == nil {
			_, err = w.agree(m, name, nil, never, after)
		}
		if err != nil {
			return n, err
		}
	}
	return len(unknown), nil
}
