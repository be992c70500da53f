package main

import (
	"fmt"
	"strings"
	"testing"

	"rollcall/internal/report"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// TestMissingEvents: who and status tell how many events never arrived, and that numbers
// were used twice; so do the report and answers in JSON.
func TestMissingEvents(t *testing.T) {
	r := roster.New(roster.DefaultSettings())
	numbered := func(e roster.Event, number uint64) roster.Event {
		e.Origin, e.Number = "6f0c2a91", number
		return e
	}
	kit.Feed(r, numbered(kit.Login("web1", "lane"), 1), numbered(kit.Login("web1", "chris"), 5), numbered(kit.Logout("web1", "chris"), 5), kit.Login("db1", "lane"))
	answeringAt(t, report.Source{Roster: r, Stream: "EVENTS", CaughtUp: func() bool { return true }})
	for _, c := range []struct{ args, out, err string }{
		{
			"who web1 --utc", "lane\t",
			"web1: last heard 2026-11-22 21:00:03Z\nrollcall: who: events of web1 that never arrived: 3\n" +
				"rollcall: who: events of origin 6f0c2a91 with numbers of earlier ones: 1: the folder of the agent was restored from a copy, or two agents use copies of it\n",
		},
		{"who db1 --utc", "lane\t", "db1: last heard 2026-11-22 21:00:04Z\n"},
		{"status", "missing       events that never arrived: 3\n", ""},
		{"who web1 --output json", `"missing":3,"origins":[{"origin":"6f0c2a91","number":5,"date":"2026-11-22T21:00:03Z","missing":3,"reused":1}]`, ""},
		{"report --output json", `"machines":[{"machine":"db1","heard":"2026-11-22T21:00:04Z","changed":"2026-11-22T21:00:04Z","users":["lane"]},{"machine":"web1","heard":"2026-11-22T21:00:03Z","missing":3,"changed":"2026-11-22T21:00:03Z","users":["lane"]}]`, ""},
	} {
		got := rollcall(t.Context(), nil, strings.Fields(c.args)...)
		if got.code != exitDone || !strings.Contains(got.out, c.out) || got.err != c.err {
			t.Errorf("%s: %s", c.args, fmt.Sprintf("%+v", got))
		}
	}
}
