package main

import (
	"strings"
	"testing"
	"time"

	"rollcall/internal/client"
)

// TestWatchNames: whatever the names of users, a line is unambiguous about who came, who left
// and who is on.
func TestWatchNames(t *testing.T) {
	for want, d := range map[string]client.Difference{
		`00:00:00Z web: +john smith -lane (a, john smith)`: {Came: []string{"john smith"}, Left: []string{"lane"}, Users: []string{"a", "john smith"}},
		`00:00:00Z web: +"a -b" ("c, d", nobody)`:          {Came: []string{"a -b"}, Users: []string{"c, d", "nobody"}},
		`00:00:00Z web: +"x (y" -"+ -" (+ -, x (y)`:        {Came: []string{"x (y"}, Left: []string{"+ -"}, Users: []string{"+ -", "x (y"}},
		`00:00:00Z web: -lane (nobody)`:                    {Left: []string{"lane"}},
		`00:00:00Z web: -lane ("nobody")`:                  {Left: []string{"lane"}, Users: []string{"nobody"}},
		`00:00:00Z web: +" lane" (" lane")`:                {Came: []string{" lane"}, Users: []string{" lane"}},
	} {
		d.Machine, d.When = "web", time.Unix(0, 0)
		if got := (&watchCmd{UTC: true}).line(&d, 80); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
	d := client.Difference{Machine: "a: b", Users: []string{"c, d"}, First: true}
	var out strings.Builder
	if err := (&watchCmd{}).printer(&out)(&d); err != nil || out.String() != `"a: b": "c, d"`+"\n" {
		t.Errorf("%q (%v)", out.String(), err)
	}
}
