package natsconn

import (
	"slices"
	"strings"
	"testing"
)

func TestOverlapAndCovers(t *testing.T) {
	for _, c := range []struct {
		a, b                    string
		overlap, aCovers, other bool // a covers b, b covers a
	}{
		{"a", "a", true, true, true},
		{"a", "b", false, false, false},
		{"a", "a.b", false, false, false},
		{"*", "a", true, true, false},
		{"*", "a.b", false, false, false},
		{">", "a", true, true, false},
		{">", "a.b.c", true, true, false},
		{">", ">", true, true, true},
		{"a.>", "a", false, false, false},
		{"a.>", "a.>", true, true, true},
		{"a.*", "a.>", true, false, true},
		{"a.*.x", "a.b.>", true, false, false},
		{"a.*.x", "a.b", false, false, false},
		{"*.b", "a.*", true, false, false},
		{"*.*", "a.>", true, false, false},
		{"rollcall.>", "rollcall.query.>", true, true, false},
		{"rollcall.*.x", "rollcall.query.>", true, false, false},
		{"rollcall.query", "rollcall.query.>", false, false, false},
		{"rollcall.q*", "rollcall.query.>", false, false, false}, // "q*" is a literal token
		{"*.query.report", "rollcall.query.>", true, false, false},
		{"rollcal.>", "rollcall.query.>", false, false, false},
	} {
		if got := overlap(c.a, c.b); got != c.overlap {
			t.Errorf("overlap(%q, %q) = %v", c.a, c.b, got)
		}
		if got := overlap(c.b, c.a); got != c.overlap {
			t.Errorf("overlap(%q, %q) = %v", c.b, c.a, got)
		}
		if got := covers(c.a, c.b); got != c.aCovers {
			t.Errorf("covers(%q, %q) = %v", c.a, c.b, got)
		}
		if got := covers(c.b, c.a); got != c.other {
			t.Errorf("covers(%q, %q) = %v", c.b, c.a, got)
		}
	}
}

// TestSubjectsExhaustively compares overlap and covers with matching every subject, as a
// server does, for all patterns of up to three tokens. "c" stands for any token
// that no pattern has.
func TestSubjectsExhaustively(t *testing.T) {
	subjects := sequences([]string{"a", "b", "c"}, 4)
	patterns := slices.DeleteFunc(sequences([]string{"a", "b", "*", ">"}, 3), func(p string) bool {
		return strings.Contains(p, ">.")
	})
	for _, a := range patterns {
		for _, b := range patterns {
			both, all := false, true
			for _, s := range subjects {
				both = both || matches(a, s) && matches(b, s)
				all = all && (matches(a, s) || !matches(b, s))
			}
			if overlap(a, b) != both || covers(a, b) != all {
				t.Errorf("%q and %q: overlap %v, want %v; covers %v, want %v", a, b, overlap(a, b), both, covers(a, b), all)
			}
		}
	}
}

// sequences returns all subjects of up to the given number of tokens.
func sequences(tokens []string, most int) []string {
	all := slices.Clone(tokens)
	for last := all; most > 1; most-- {
		var next []string
		for _, s := range last {
			for _, token := range tokens {
				next = append(next, s+"."+token)
			}
		}
		all, last = append(all, next...), next
	}
	return all
}

func matches(pattern, subject string) bool {
	p, s := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, token := range p {
		switch {
		case i == len(s):
			return false
		case token == ">":
			return true
		case token != "*" && token != s[i]:
			return false
		}
	}
	return len(p) == len(s)
}

func TestMissing(t *testing.T) {
	got := missing([]string{"r.events", "r.*"}, []string{"r.events", "r.events.>", "r.x"})
	if !slices.Equal(got, []string{"r.events.>"}) {
		t.Errorf("missing: %q", got)
	}
}
