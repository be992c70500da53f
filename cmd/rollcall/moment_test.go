package main

import (
	"testing"
	"time"
)

func TestParseMoment(t *testing.T) {
	zone := time.FixedZone("there", 5*60*60+30*60)
	for value, want := range map[string]string{
		"2026-11-20":                    "2026-11-19T18:30:00Z",
		"2026-11-20T09:00":              "2026-11-20T03:30:00Z",
		"2026-11-20T09:00:01":           "2026-11-20T03:30:01Z",
		"2026-11-20T09:00:01.123456789": "2026-11-20T03:30:01.123456789Z",
		"2026-11-20T09:00:01.5Z":        "2026-11-20T09:00:01.5Z",
		"2026-11-20T09:00:00-01:00":     "2026-11-20T10:00:00Z",
		"2026-11-31":                    "",
		"2026-11-20 09:00":              "",
		"09:00":                         "",
		"now":                           "",
	} {
		got, err := parseMoment(value, zone)
		if err != nil && want != "" || err == nil && got.UTC().Format(time.RFC3339Nano) != want {
			t.Errorf("%s: %v, %v; want %q", value, got, err, want)
		}
	}
}

func TestMoment(t *testing.T) {
	a := zoneFlags{UTC: true}
	for value, want := range map[string]string{
		"": "", "1970-01-01": "1970-01-01T00:00:00Z", "2261-12-31T23:59": "2261-12-31T23:59:00Z",
		"1969-12-31T23:59:59": "error", "2262-01-01": "error", "0000-01-01": "error", "x": "error",
	} {
		got, err := a.moment("--at", value)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%s: %s, %v; want %s", value, got, err, want)
		}
	}
}
