package history

import (
	"math"

	"rollcall/internal/roster"
)

// lose records a loss of the places up to one. From its newest date minus the allowed
// lateness on, the greatest that there was, each machine may lack events; from the
// beginning on, if events were judged otherwise than by the fold.
func (w *writer) lose(reason string, place uint64) error {
	//guard:drop Accepted "an accepted loss is not noted again" TestLossAccepted
	if place <= w.state.Accepted || place <= w.state.Loss && reason != differed {
		return nil
	}
	w.state.Loss, w.state.Resumed = place, 0
	w.changed = never
	if err := exec(w.c, "insert or replace into losses (place, reason) values (?, ?)", place, reason); err != nil {
		return err
	}
	lateness := w.state.Lateness
	if reason == differed {
		lateness = math.MaxInt64
	}
	// Of a machine that is in doubt already the doubt goes on.
	if err := exec(w.c, "update doubts set loss = ? where until is null and after is null", place); err != nil {
		return err
	}
	if err := exec(w.c, `insert into doubts (machine, since, reason, loss)
		select id, max(newest - ?1, 0), ?2, ?3 from machines where id not in (select machine from doubts where until is null and after is null and since <= max(newest - ?1, 0))
		on conflict (machine, since) do update set until = null, after = null, reason = excluded.reason, loss = excluded.loss`,
		lateness, reason, place); err != nil {
		return err
	}
	return w.remakeDoubted()
}

// remakeDoubted makes the windows again in which a logout now proves more: that
// somebody was on whose login was lost.
func (w *writer) remakeDoubted() error {
	q, err := prepared(w.c, `select distinct d.machine from doubts d where d.until is null
		and exists (select 1 from strays s where s.machine = d.machine and s.date >= d.since)`)
	if err != nil {
		return err
	}
	var machines []int64
	for q.next() {
		machines = append(machines, q.ColumnInt64(0))
	}
	if q.err != nil {
		return q.err
	}
	for _, id := range machines {
		win, err := w.windows.read(id, never)
		if err != nil {
			return err
		}
		r := w.rows(id)
		if err := r.remake(win); err != nil {
			return err
		}
	}
	return nil
}

// recordDoubts records what a machine's events say of the losses before them: a new
// machine may have been heard before; a boot, shutdown or present settles it.
func (w *writer) recordDoubts(r *rows, isNew bool, events []Accepted, settings roster.Settings) error {
	if w.state.Doubts {
		if err := r.settle(events); err != nil {
			return err
		}
	}
	if w.state.Loss == 0 {
		return nil
	}
	//guard:false "a machine heard first after a loss may have had sessions" TestLossAccepted
	if isNew {
		if err := exec(r.c, "insert or ignore into doubts (machine, since, reason, loss) select ?, 0, reason, place from losses where place = ?",
			r.machine, w.state.Loss); err != nil {
			return err
		}
	}
	if w.state.Resumed == 0 {
		return nil
	}
	after := w.state.Resumed.Add(settings.MaxSkew)
	for i := range events {
		e := &events[i]
		//guard:drop "e.Date > after" "a gap ends with what was sent after it" TestGapEnds
		if e.Type != roster.Login && e.Type != roster.Logout && e.Place > w.state.Loss && e.Date > after {
			return exec(r.c, "update doubts set until = ? where machine = ? and until is null and after is null", e.Date, r.machine)
		}
	}
	return nil
}

// doubt records that the machine may lack stays from a date on: until another, or
// never, in which case a boot, shutdown or present dated after a third ends it.
func (r *rows) doubt(since, until, after roster.Time, reason string) error {
	return exec(r.c, `insert into doubts (machine, since, until, after, reason) values (?1, ?2, ?3, ?4, ?5)
		on conflict (machine, since) do update set until = max(until, excluded.until), after = excluded.after where until is not null`,
		r.machine, since, until, after, reason)
}

// doubts returns the dates from which on the machine may lack events, in order.
func (r *rows) doubts() ([]roster.Time, error) {
	q, err := prepared(r.c, "select since from doubts where machine = +? order by since", r.machine)
	if err != nil {
		return nil, err
	}
	var dates []roster.Time
	for q.next() {
		dates = append(dates, q.time(0))
	}
	return dates, q.err
}

// limit records that events of known machines were refused because of a limit: until
// its next boot, shutdown or present a machine may lack what they told.
func (w *writer) limit(refused []Accepted) error {
	for i := range refused {
		e := &refused[i]
		m, err := w.find(e.Machine)
		if err != nil {
			return err
		}
		if m.id == 0 {
			continue
		}
		w.state.Doubts = true
		until := never
		if m.reset > e.Date {
			until = m.reset
		}
		if err := exec(w.c, "insert or ignore into doubts (machine, since, until, reason, after) values (?, ?, ?, ?, ?)",
			m.id, e.Date, until, roster.LossLimit.String(), e.Date); err != nil {
			return err
		}
	}
	return nil
}

// settle ends the doubts of the machine that are no fleet's.
func (r *rows) settle(events []Accepted) error {
	for i := range events {
		e := &events[i]
		if e.Type == roster.Login || e.Type == roster.Logout {
			continue
		}
		if err := exec(r.c, "update doubts set until = ?1 where machine = ?2 and until is null and after < ?1", e.Date, r.machine); err != nil {
			return err
		}
	}
	return nil
}

// accept accepts the losses up to a place: an operator knows of them, and considers what
// is known good as it is.
func (w *writer) accept(place uint64) (err error) {
	if place <= w.state.Accepted {
		return nil
	}
	if err := exec(w.c, "begin immediate"); err != nil {
		return err
	}
	w.changed = never
	defer func() { err = w.end(err) }()
	if err := exec(w.c, "update losses set accepted = 1 where place <= ?", place); err != nil {
		return err
	}
	//guard:set exec(...) error(nil) "an accepted loss makes no machine incomplete" TestLossAccepted
	if err := exec(w.c, "delete from doubts where loss <= ?", place); err != nil {
		return err
	}
	//guard:false "an accepted loss hides no machines" TestLossAccepted
	if w.state.Accepted = place; w.state.Loss <= place {
		w.state.Loss, w.state.Resumed = 0, 0
	}
	return w.saveState()
}
