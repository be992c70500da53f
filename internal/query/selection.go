package query

import (
	"iter"
	"slices"
	"sort"
	"strings"

	"rollcall/internal/api"
	"rollcall/internal/history"
	"rollcall/internal/roster"
)

// selection selects machines. The zero value selects all.
type selection struct {
	names []string               // in order; nil: any
	match func(name string) bool // nil: any
}

// selectionOf selects the machines of these names, if there are any, that match a pattern
// or, if parts is true, contain it.
func selectionOf(names []string, pattern string, parts bool) selection {
	s := selection{names: sortedNames(names)}
	switch part := api.Fold(pattern); {
	case pattern == "":
	case parts:
		s.match = func(name string) bool { return strings.Contains(api.Fold(name), part) }
	default:
		s.match = func(name string) bool { return api.Matches(pattern, name) }
	}
	return s
}

// selects reports whether a machine is selected.
func (s *selection) selects(machine string) bool {
	if s.names != nil {
		if _, found := slices.BinarySearch(s.names, machine); !found {
			return false
		}
	}
	return s.match == nil || s.match(machine)
}

// machines yields, in order, the machines that may be selected: those that it names, or
// all, after one.
func (s *selection) machines(r *roster.Roster, after string) iter.Seq[roster.View] {
	if s.names == nil {
		return r.Machines(after)
	}
	return func(yield func(roster.View) bool) {
		for more, i := true, sort.SearchStrings(s.names, after+"\x00"); more && i < len(s.names); i++ {
			r.Machine(s.names[i], func(v roster.View) { more = !v.Shown() || yield(v) })
		}
	}
}

// filter returns the selection for a question to the history.
func (s selection) filter() history.Filter {
	return history.Filter{Machines: s.names, Match: s.match}
}
