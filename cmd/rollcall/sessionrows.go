package main

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"

	"rollcall/internal/api"
)

// sessionRow is an open session in a list.
type sessionRow struct {
	machine string
	silent  bool
	past    bool // it is about the past, when nobody was silent
	api.Session
}

// sessionColumns are the columns of a list of open sessions. Those of these titles are not
// shown on terminals.
func sessionColumns(first, second column[sessionRow], hidden ...string) []column[sessionRow] {
	columns := []column[sessionRow]{
		first, second,
		{field: "since", title: "SINCE", value: func(r *sessionRow) any { return r.Since }},
		{field: "remote", title: "REMOTE", value: func(r *sessionRow) any { return r.Remote }},
		{field: "terminal", title: "TERMINAL", value: func(r *sessionRow) any { return r.Terminal }},
		{field: "service", title: "SERVICE", value: func(r *sessionRow) any { return r.Service }},
		{field: "session", title: "SESSION", value: func(r *sessionRow) any { return r.ID }},
		{field: "silent", value: func(r *sessionRow) any { return r.now(r.silent) }},
		{field: "since_exact", value: func(r *sessionRow) any { return r.now(r.SinceExact == nil || *r.SinceExact) }},
		{title: "NOTE", cell: func(r *sessionRow) string { return note(r.silent) }, colour: func(*sessionRow) colour { return warning }},
	}
	for i := range columns {
		if slices.Contains(hidden, columns[i].title) {
			columns[i].title = ""
		}
	}
	return columns
}

// now returns what is only known of now; nil about the past.
func (r *sessionRow) now(is bool) any {
	if r.past {
		return nil
	}
	return is
}

var (
	userColumn    = column[sessionRow]{field: "user", title: "USER", value: func(r *sessionRow) any { return r.User }}
	machineColumn = column[sessionRow]{field: "machine", title: "MACHINE", value: func(r *sessionRow) any { return r.machine }}
)

// note is the cell that marks a silent machine.
func note(silent bool) string {
	if silent {
		return "silent"
	}
	return ""
}

// sessionRows returns the rows of a page of sessions.
func sessionRows(machines []api.MachineSessions, past bool) []sessionRow {
	var rows []sessionRow
	for i := range machines {
		for _, s := range machines[i].Sessions {
			rows = append(rows, sessionRow{machines[i].Name, machines[i].Silent, past, s})
		}
	}
	return rows
}

// printSessions asks for sessions on several machines, prints them, and counts them.
func (a *asker) printSessions(ctx context.Context, request *api.SessionsRequest, q *queryFlags, columns []column[sessionRow]) (*tally, error) {
	list, err := newListing(a.std, &q.outputFlags, &q.zoneFlags, columns)
	if err != nil {
		return nil, err
	}
	counts := newTally()
	err = a.pages(ctx, "sessions", request, decoded(a.std, &q.outputFlags, func(page *api.SessionsAnswer) error {
		counts.addSessions(page.Machines)
		return list.print(sessionRows(page.Machines, page.Past != nil))
	}))
	return counts, err
}

// tally counts what a list tells of, for a line below it. Users are told apart by hashes: of
// a large fleet their names would take too much memory.
type tally struct {
	machines, inUse, silent, sessions int
	last                              string // machine
	seed                              maphash.Seed
	users                             map[uint64]struct{}
}

func newTally() *tally { return &tally{seed: maphash.MakeSeed(), users: make(map[uint64]struct{})} }

// addMachine counts a machine, which may go on from the page before.
func (t *tally) addMachine(name string, inUse, silent bool) {
	if name == t.last {
		return
	}
	t.last = name
	t.machines++
	t.inUse += count(inUse)
	t.silent += count(silent)
}

func (t *tally) addUser(name string) { t.users[maphash.String(t.seed, name)] = struct{}{} }

func (t *tally) addSessions(machines []api.MachineSessions) {
	for i := range machines {
		m := &machines[i]
		t.addMachine(m.Name, len(m.Sessions) > 0, m.Silent)
		t.sessions += len(m.Sessions)
		for _, s := range m.Sessions {
			t.addUser(s.User)
		}
	}
}

func (t *tally) addReport(machines []api.Machine) {
	for i := range machines {
		m := &machines[i]
		t.addMachine(m.Name, len(m.Users) > 0, m.Silent)
		for _, user := range m.Users {
			t.addUser(user)
		}
	}
}

// fleet describes the machines that a pattern selects: "302 of 700 machines in use, 275
// users; 12 silent".
func (t *tally) fleet(pattern string) string {
	switch {
	case t.machines == 0 && pattern == "":
		return "no machines: rollcall has accepted no event yet"
	case t.machines == 0:
		return "no machines match " + quoteUnprintable(pattern)
	}
	line := fmt.Sprintf("%d of %s in use, %s", t.inUse, plural(t.machines, "machine"), plural(len(t.users), "user"))
	if t.silent > 0 {
		line += fmt.Sprintf("; %d silent", t.silent)
	}
	return line
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

// plural returns a count with its noun, in the plural unless it is 1: "1 user", "2 users".
func plural(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// filters describes what a list was filtered by, for a message that nothing matches:
// " match --user lane --remote 10.0.0.7". given are names of flags and their values; those
// without a value are left out.
func filters(given ...string) string {
	text := ""
	for i := 0; i+1 < len(given); i += 2 {
		if name, value := given[i], given[i+1]; value != "" {
			text += " " + strings.TrimSpace(name+" "+quoteUnprintable(strings.TrimSpace(value)))
		}
	}
	if text == "" {
		return ""
	}
	return " match" + text
}

// ofThose describes the pattern that a count is restricted to.
func ofThose(pattern string) string {
	if pattern == "" {
		return ""
	}
	return ", of those that match " + quoteUnprintable(pattern)
}
