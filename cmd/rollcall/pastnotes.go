package main

import (
	"fmt"
	"slices"
	"strings"

	"rollcall/internal/api"
)

// pastNotes returns what to say of an answer about the past: that it is about now, and
// what it lacks.
func (i *incompleteness) pastNotes(a *zoneFlags) []string {
	var notes []string
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	if i.past.Future {
		note("that time lies ahead; this is the answer of now, %s", a.time(i.past.At))
	}
	//guard:false "an answer that reaches back too far says so" TestPastNotes
	if !i.past.KeptFrom.IsZero() {
		note("not complete: the history begins at %s; sessions that ended before are missing", a.time(i.past.KeptFrom))
	}
	//guard:false "an answer that lacks machines says so" TestPastNotes
	if i.past.MachinesIncomplete > 0 {
		note("not complete: %s", i.gaps(a))
	} else if reasons := i.losses(); len(reasons) > 0 {
		note("not complete (%s): machines not heard from by then may be missing", quoteUnprintable(strings.Join(reasons, ", ")))
	}
	if slices.Contains(i.reasons, "behind") {
		note("not complete: the history is behind, the newest events are missing; see rollcall status")
	}
	if slices.Contains(i.reasons, api.Stale) {
		note("not complete: the state of the stream of events is unknown: recent events may be missing")
	}
	return notes
}

// losses returns the reasons that are losses.
func (i *incompleteness) losses() []string {
	return slices.DeleteFunc(slices.Clone(i.reasons), func(reason string) bool {
		return slices.Contains([]string{"not_retained", "behind", api.Stale}, reason)
	})
}

// namedGaps is how many machines with gaps are named.
const namedGaps = 3

// gaps describes for which machines sessions may be missing, and from when to when.
func (i *incompleteness) gaps(a *zoneFlags) string {
	var parts, machines []string
	for _, gap := range i.past.Gaps {
		if !slices.Contains(machines, gap.Machine) {
			machines = append(machines, gap.Machine)
		}
		if len(machines) > namedGaps {
			machines = machines[:namedGaps]
			break
		}
		parts = append(parts, a.gap(&gap))
	}
	text := "sessions may be missing on " + strings.Join(parts, ", ")
	switch more := i.past.MachinesIncomplete - len(machines); {
	case len(parts) == 0:
		return fmt.Sprintf("sessions may be missing on %d machines", more)
	case more == 1:
		text += ", and on 1 more machine"
	case more > 1:
		text += fmt.Sprintf(", and on %d more machines", more)
	}
	return text
}

// gap describes one gap: "web1 from 10:00 to 11:00 (deleted)".
func (q *zoneFlags) gap(g *api.Gap) string {
	text := printable(g.Machine)
	if g.From.Unix() > 0 {
		text += " from " + q.time(g.From)
	}
	if !g.Until.IsZero() {
		text += " to " + q.time(g.Until)
	}
	return text + " (" + printable(g.Reason) + ")"
}
