package main

import (
	"fmt"
	"slices"
	"strings"

	"rollcall/internal/api"
)

// sessionRow is an open session in a list.
type sessionRow struct {
	machine string
	silent  bool
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
		{field: "silent", value: func(r *sessionRow) any { return r.silent }},
		{field: "since_exact", value: func(r *sessionRow) any { return r.SinceExact == nil || *r.SinceExact }},
		{title: "NOTE", cell: func(r *sessionRow) string { return note(r.silent) }, colour: func(*sessionRow) colour { return warning }},
	}
	for i := range columns {
		if slices.Contains(hidden, columns[i].title) {
			columns[i].title = ""
		}
	}
	return columns
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
func sessionRows(machines []api.MachineSessions) []sessionRow {
	var rows []sessionRow
	for i := range machines {
		for _, s := range machines[i].Sessions {
			rows = append(rows, sessionRow{machines[i].Name, machines[i].Silent, s})
		}
	}
	return rows
}

// tally counts what a list of sessions tells of, for a line below it.
type tally struct {
	machines, inUse, silent, sessions int
	last                              string // machine
	users                             map[string]struct{}
}

// maxTallied is how many users are told apart at most.
const maxTallied = 1_000_000

func (t *tally) add(machines []api.MachineSessions) {
	if t.users == nil {
		t.users = make(map[string]struct{})
	}
	for i := range machines {
		m := &machines[i]
		if m.Name != t.last { // else it goes on from the page before
			t.last = m.Name
			t.machines++
			t.inUse += count(len(m.Sessions) > 0)
			t.silent += count(m.Silent)
		}
		t.sessions += len(m.Sessions)
		for _, s := range m.Sessions {
			if len(t.users) < maxTallied {
				t.users[s.User] = struct{}{}
			}
		}
	}
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

// fleetLine describes the machines asked about: "302 of 700 machines in use, 275 users;
// 12 silent".
func fleetLine(inUse, machines, users, silent int) string {
	line := fmt.Sprintf("%d of %s in use, %s", inUse, plural(machines, "machine"), plural(users, "user"))
	if silent > 0 {
		line += fmt.Sprintf("; %d silent", silent)
	}
	return line
}

// plural returns a number of things: "1 user", "2 users".
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
			text += " " + strings.TrimSpace(name+" "+quoteUnprintable(value))
		}
	}
	if text == "" {
		return ""
	}
	return " match" + text
}
