package main

import (
	"cmp"
	"time"

	"rollcall/internal/api"
)

// historyRow is a line of a history: a session, or a boot or shutdown, which has since.
type historyRow struct {
	api.PastStay
	kind string
}

// ofSession is the kind of a row that is neither boot nor shutdown.
const ofSession = "session"

// historyRows puts boots and shutdowns, which the first page of an answer has, among its
// sessions.
type historyRows struct {
	oldest bool
	marks  []api.Mark // those to come
	// more says that there are marks before the first one.
	more  bool
	first time.Time
}

// page returns the rows of a page: its sessions with the marks up to the last of them; on
// the last page with all.
func (r *historyRows) page(a *api.HistoryAnswer) []historyRow {
	r.add(a)
	var rows []historyRow
	for i := range a.Sessions {
		s := &a.Sessions[i]
		rows = r.take(rows, func(m *api.Mark) bool { return r.before(m, s) })
		rows = append(rows, historyRow{*s, ofSession})
	}
	if a.Cursor == "" {
		rows = r.take(rows, func(*api.Mark) bool { return true })
	}
	return rows
}

// add adds the marks of a page.
func (r *historyRows) add(a *api.HistoryAnswer) {
	r.marks = append(r.marks, a.Marks...)
	if n := len(a.Marks); a.MoreMarks && n > 0 {
		r.more, r.first = true, a.Marks[n-1].Time
		if r.oldest {
			r.first = a.Marks[0].Time
		}
	}
}

// take moves the next marks to the rows, as long as they are wanted.
func (r *historyRows) take(rows []historyRow, wanted func(*api.Mark) bool) []historyRow {
	for len(r.marks) > 0 && wanted(&r.marks[0]) {
		m := &r.marks[0]
		rows = append(rows, historyRow{api.PastStay{Machine: m.Machine, Since: m.Time}, m.Kind})
		r.marks = r.marks[1:]
	}
	return rows
}

// before reports whether a mark is printed before a session. One that began at the moment
// of a boot began after it.
func (r *historyRows) before(m *api.Mark, s *api.PastStay) bool {
	at := s.Since
	if s.SinceUnknown {
		at = s.Ended
	}
	if r.oldest {
		return !m.Time.After(at)
	}
	return m.Time.After(at)
}

// columns are the columns of a history, with or without boots.
func (v *historyView) columns(boots bool) []column[historyRow] {
	all := []column[historyRow]{
		{field: "user", title: "USER", value: func(r *historyRow) any { return r.User }, cell: whose},
		{field: "machine", title: "MACHINE", value: func(r *historyRow) any { return r.Machine }},
		{field: "since", title: "SINCE", value: func(r *historyRow) any { return r.Since }, cell: v.since},
		{field: "ended", title: "UNTIL", value: func(r *historyRow) any { return r.Ended }, cell: v.until},
		{title: "FOR", cell: lasted, spare: true}, // UNTIL tells it too
		{field: "how", title: "END", value: func(r *historyRow) any { return r.How }},
		{field: "remote", title: "REMOTE", value: func(r *historyRow) any { return r.Remote }},
		{field: "terminal", value: func(r *historyRow) any { return r.Terminal }},
		{field: "service", value: func(r *historyRow) any { return r.Service }},
		{field: "session", value: func(r *historyRow) any { return r.ID }},
	}
	if boots {
		all = append(all, column[historyRow]{field: "kind", value: func(r *historyRow) any { return r.kind }})
	}
	return all
}

// whose returns whose session a row is, or that it is none.
func whose(r *historyRow) string {
	if r.kind != ofSession {
		return "(" + r.kind + ")"
	}
	return cmp.Or(r.User, "(unknown)")
}

// lasted returns how long a session lasted; "" while it is open.
func lasted(r *historyRow) string {
	if r.Ended.IsZero() || r.SinceUnknown {
		return ""
	}
	return span(r.Ended.Sub(r.Since))
}

// since returns when a session began.
func (v *historyView) since(r *historyRow) string {
	if r.SinceUnknown {
		return "unknown"
	}
	return v.shown(r.Since)
}

// until returns when a session ended: the time of day if that was on the day on which it
// began; "" while it is open.
func (v *historyView) until(r *historyRow) string {
	if r.Ended.IsZero() {
		return ""
	}
	const day = len(time.DateOnly)
	until := v.shown(r.Ended)
	if !r.SinceUnknown && v.shown(r.Since)[:day] == until[:day] {
		return until[day+1:]
	}
	return until
}
