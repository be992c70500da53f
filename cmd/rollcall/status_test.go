package main

import (
	"testing"

	"rollcall/internal/api"
)

// TestDescribeSource: the status says what is missing of a source, and since when.
func TestDescribeSource(t *testing.T) {
	for want, s := range map[string]api.Source{
		"ber/E, 0 events missing":                            {Source: "ber/E"},
		"fra/E, 30 events missing":                           {Source: "fra/E", Missing: 30},
		"fra/E, 30 events missing, the last before place 66": {Source: "fra/E", Missing: 30, Gap: 66},
		"fra/E, 2 events missing, the last before place 6, created anew before place 9: its end may be missing": {Source: "fra/E", Missing: 2, Gap: 6, Recreated: 9},
		`"fra\u202e/E", 0 events missing, created anew before place 9: its end may be missing`:                  {Source: "fra\u202e/E", Recreated: 9},
	} {
		if got := describeSource(&s); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}
