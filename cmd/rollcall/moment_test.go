package main

import (
	"strings"
	"testing"
	"time"

	"rollcall/internal/test/kit"
)

// TestPeriods: --from means the beginning of a second, a minute or a day, and --at its
// end.
func TestPeriods(t *testing.T) {
	for _, c := range []struct {
		value      timeFlag
		utc        bool
		begin, end string
	}{
		{"", true, "", ""},
		{"2026-11-22", true, "2026-11-22T00:00:00Z", "2026-11-22T23:59:59.999999999Z"},
		{"2026-11-22", false, "2026-11-21T18:30:00Z", "2026-11-22T18:29:59.999999999Z"},
		{"2026-11-22 13:44:36", true, "2026-11-22T13:44:36Z", "2026-11-22T13:44:36.999999999Z"},
		{"2026-11-22T13:44Z", false, "2026-11-22T13:44:00Z", "2026-11-22T13:44:59.999999999Z"},
		{"2026-11-22T13:44:36.4Z", false, "2026-11-22T13:44:36.4Z", "2026-11-22T13:44:36.4Z"},
		{"1970-01-01", true, "1970-01-01T00:00:00Z", "1970-01-01T23:59:59.999999999Z"},
		{"2261-12-31T23:59", true, "2261-12-31T23:59:00Z", "2261-12-31T23:59:59.999999999Z"},
	} {
		a := zoneFlags{UTC: c.utc}
		begin, _, err := a.span(c.value, "")
		end, err2 := a.end(c.value)
		if begin != c.begin || end != c.end || err != nil || err2 != nil {
			t.Errorf("%s: %s to %s, %v, %v; want %s to %s", c.value, begin, end, err, err2, c.begin, c.end)
		}
	}
}

// TestTimeFlags: what begins with a - and a digit is a time, other flags are not. A wrong
// time is refused with the flag, the value and examples, before anything is asked.
func TestTimeFlags(t *testing.T) {
	kit.Environment(t, map[string]string{"NATS_URL": "nats://127.0.0.1:1"})
	const asked = "no server is listening there"
	for args, want := range map[string]string{
		"who web1 --at -1h":                asked,
		"who web1 --at=-1h":                asked,
		"who web1 --at -90m --utc":         asked,
		"who web1 --at|1h ago":             asked,
		"who web1 --at|yesterday 10:17":    asked,
		"where lane --at|mon 10:17":        asked,
		"report --at now":                  asked,
		"history --from -2d --to -1d":      asked,
		"report --silent-for 2d":           asked,
		"report --silent-for=1h30m":        asked,
		"who web1 --at -u":                 "--at: a time is missing, such as 10:17, ",
		"who web1 --at --utc":              "--at: a time is missing, such as 10:17, ",
		"who web1 --at":                    "--at: a time is missing, such as 10:17, ",
		"who web1 --at=":                   "--at: the time is empty: leave the flag out, or give one such as now or -1h; see \"rollcall who --help\"",
		"who web1 --at -1x":                `rollcall: --at=-1x: not a moment: use one such as now, "1h ago", 10:17, `,
		"who web1 --at|\x1b[2J":            `rollcall: --at="\x1b[2J": not a moment`,
		"history --from tomorrow":          "rollcall: --from=tomorrow: not a moment: use one such as",
		"history --to 2026-02-30":          "rollcall: --to=2026-02-30: no such day in the calendar",
		"history --to 2262-01-01":          "rollcall: --to=2262-01-01: not from 1970 to 2261",
		"report --at 25:00":                "rollcall: --at=25:00: no such time of day",
		"report --silent-for -1h":          `--silent-for: "-1h": not a span of time: use one such as 90m, 1h30m or 2d; see "rollcall report --help"`,
		"report --silent-for 0s":           `--silent-for: "0s": use more than 0`,
		"report --silent-for --utc":        "--silent-for: a span of time is missing, such as 90m",
		"report --silent-for 300000000000": `--silent-for: "300000000000": not a span of time`,
	} {
		line, value, given := strings.Cut(args, "|")
		words := strings.Fields(line)
		if given {
			words = append(words, value)
		}
		code := exitUsage
		if want == asked {
			code = exitFailed
		}
		if got := rollcall(t.Context(), nil, words...); got.code != code || !strings.Contains(got.err, want) {
			t.Errorf("%s: %+v; want %d, %s", args, got, code, want)
		}
	}
}

// TestSummerTimeFlag: the error of a time that exists twice has both readings, either of
// which is accepted.
func TestSummerTimeFlag(t *testing.T) {
	before := local
	defer func() { local = before }()
	var err error
	if local, err = time.LoadLocation("Europe/Berlin"); err != nil {
		t.Fatal(err)
	}
	var a zoneFlags
	_, err = a.end("2025-10-26 02:30")
	want := "--at=2025-10-26 02:30: this time exists twice in Europe/Berlin, as the clocks are set back: give one of the two in UTC: 2025-10-26T00:30Z or 2025-10-26T01:30Z"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if got, err := a.end("2025-10-26T01:30Z"); got != "2025-10-26T01:30:59.999999999Z" || err != nil {
		t.Errorf("the second reading: %s, %v", got, err)
	}
}

// TestPublishDate: the date of an event by hand is the beginning of the second or the
// minute that is given; a day is refused, even one that has just begun.
func TestPublishDate(t *testing.T) {
	for _, c := range []struct {
		date      timeFlag
		utc       bool
		want, err string
	}{
		{"2026-11-22 21:00:00.5", true, "2026-11-22T21:00:00.5Z", ""},
		{"2026-11-22 21:00", true, "2026-11-22T21:00:00Z", ""},
		{"2026-11-22 21:00", false, "2026-11-22T15:30:00Z", ""},
		{"2026-11-22T21:00:00+01:00", false, "2026-11-22T20:00:00Z", ""},
		{"2026-11-22", true, "", `--date=2026-11-22: a whole day: add the time, such as "2026-11-22 10:17"`},
		{"today", true, "", `--date=today: a whole day: add the time, such as "today 10:17"`},
	} {
		f := eventFlags{Date: c.date, UTC: c.utc}
		got, err := f.date()
		if c.err == "" && (got != c.want || err != nil) || c.err != "" && (err == nil || err.Error() != c.err) {
			t.Errorf("%s: %s, %v; want %s, %s", c.date, got, err, c.want, c.err)
		}
	}
}
