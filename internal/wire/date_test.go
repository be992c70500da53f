package wire

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/roster"
)

// goodDates are decoded both as date and as since.
var goodDates = map[string]roster.Time{
	"1970-01-01T00:00:00Z":                0,
	"1970-01-01 00:00:00":                 0,
	"1970-01-01T00:00:00.000000000Z":      0,
	"1970-01-01T00:00:00.000000001Z":      1,
	"1969-12-31T23:59:59-00:01":           59e9,
	"1970-01-01T01:00:00+01:00":           0,
	"1970-01-01T23:59:00+23:59":           0,
	"2261-12-31T23:59:59.999999999Z":      roster.MaxDate,
	"2261-12-31 23:59:59.999999999":       roster.MaxDate,
	"2262-01-01T00:29:59.999999999+00:30": roster.MaxDate,
	"2262-01-01T23:58:59.999999999+23:59": roster.MaxDate,
	"2026-11-22T21:00:00Z":                1_795_381_200e9,
	"2026-11-22T21:00:00-00:00":           1_795_381_200e9,
	"2026-11-22T22:30:00+01:30":           1_795_381_200e9,
	"2026-11-22T12:00:00-09:00":           1_795_381_200e9,
	"2026-11-22 21:00:00.5":               1_795_381_200_500_000_000,
	"2026-11-22T21:00:00.05Z":             1_795_381_200_050_000_000,
	"2026-11-22T21:00:00.123456789+00:00": 1_795_381_200_123_456_789,
	"2000-02-29T00:00:00Z":                951_782_400e9,
	"2024-02-29 23:59:59":                 1_709_251_199e9,
	"2100-02-28T23:59:59Z":                4_107_542_399e9,
}

// badDates are decoded both as date and as since; the values are the problems.
var badDates = map[string]string{
	"2026-11-22":                            notADate,
	"2026-11-22T21:00Z":                     notADate,
	"2026-11-22T21:00:00":                   noZone,
	"2026-11-22T21:00:00.5":                 noZone,
	"2026-11-22t21:00:00Z":                  notADate,
	"2026-11-22T21:00:00z":                  notADate,
	"2026-11-22_21:00:00Z":                  notADate,
	"2026-11-22t21:00:00":                   notADate,
	"2026-11-22_21:00:00.5":                 notADate,
	"2026-11-22  21:00:00":                  notADate,
	"2026-11-22 21:00:00Z":                  notADate,
	"2026-11-22 21:00:00+00:00":             notADate,
	"2026-11-22 21:00:00 UTC":               notADate,
	" 2026-11-22 21:00:00":                  notADate,
	"2026-11-22 21:00:00 ":                  notADate,
	"2026-11-22T21:00:00Z ":                 notADate,
	"2026-11-22T21:00:00 Z":                 notADate,
	"2026-11-22T21:00:00ZZ":                 notADate,
	"2026-11-22T21:00:00.Z":                 notADate,
	"2026-11-22 21:00:00.":                  notADate,
	"2026-11-22T21:00:00,5Z":                notADate,
	"2026-11-22T21:00:00.5.5Z":              notADate,
	"2026-11-22T21:00:00.1234567890Z":       longer,
	"2026-11-22 21:00:00.0000000000":        longer,
	"2026-11-22T21:00:00+1:00":              notADate,
	"2026-11-22T21:00:00+0100":              notADate,
	"2026-11-22T21:00:00+01":                notADate,
	"2026-11-22T21:00:00+01.00":             notADate,
	"2026-11-22T21:00:00+01:00:00":          notADate,
	"2026-11-22T21:00:00+24:00":             notADate,
	"2026-11-22T21:00:00+01:60":             notADate,
	"2026-11-22T21:00:00\u221201:00":        notADate,
	"2026-11-22T21:00:00+-1:00":             notADate,
	"2026-11-22T21:00:00[Europe/Paris]":     notADate,
	"2026-13-22T21:00:00Z":                  noSuchDay,
	"2026-00-22T21:00:00Z":                  noSuchDay,
	"2026-11-00T21:00:00Z":                  noSuchDay,
	"2026-11-31T21:00:00Z":                  noSuchDay,
	"2026-02-29T21:00:00Z":                  noSuchDay,
	"2100-02-29 21:00:00":                   noSuchDay,
	"2026-04-31T00:00:00Z":                  noSuchDay,
	"2026-12-32T00:00:00Z":                  noSuchDay,
	"2026-11-22T24:00:00Z":                  noSuchTime,
	"2026-11-22T21:60:00Z":                  noSuchTime,
	"2026-11-22T21:00:61Z":                  noSuchTime,
	"2016-12-31T23:59:60Z":                  leapSecond,
	"2016-12-31 23:59:60.5":                 leapSecond,
	"1969-12-31T23:59:59.999999999Z":        outOfRange,
	"1970-01-01T00:00:00+00:01":             outOfRange,
	"1969-12-31 23:59:59":                   outOfRange,
	"2262-01-01T00:00:00Z":                  outOfRange,
	"2261-12-31T23:59:59-00:01":             outOfRange,
	"2262-04-11T23:47:16.854775807Z":        outOfRange,
	"0000-01-01T00:00:00Z":                  outOfRange,
	"9999-12-31T23:59:59Z":                  outOfRange,
	"12026-11-22T21:00:00Z":                 notADate,
	"-026-11-22T21:00:00Z":                  notADate,
	"+026-11-22T21:00:00Z":                  notADate,
	"26-11-22T21:00:00Z":                    notADate,
	"2026-1-2T21:00:00Z":                    notADate,
	"2026/11/22 21:00:00":                   notADate,
	"20261122T210000Z":                      notADate,
	"2026-W47-7T21:00:00Z":                  notADate,
	"Sun, 22 Nov 2026 21:00:00 GMT":         notADate,
	"1795381200":                            notADate,
	"now":                                   notADate,
	"２０２６-11-22T21:00:00Z":                  notADate,
	"2026-11-22T2\u0661:00:00Z":             notADate,
	"2026-11-22T21:00:00.\u0661Z":           notADate,
	strings.Repeat("2026-11-22T21:00:", 99): notADate,
}

// TestDatesFormattedByTime: a date formatted by package time parses as the same
// moment, at any offset and with any number of decimals.
func TestDatesFormattedByTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := roster.Time(rapid.Int64Range(int64(roster.MinDate), int64(roster.MaxDate)).Draw(t, "date"))
		zone := time.FixedZone("", 60*rapid.IntRange(-23*60-59, 23*60+59).Draw(t, "offset in minutes"))
		for _, text := range []string{
			want.Time().In(zone).Format("2006-01-02T15:04:05.999999999Z07:00"),
			want.Time().In(zone).Format("2006-01-02T15:04:05.000000000-07:00"),
			want.Time().Format("2006-01-02 15:04:05.999999999"),
		} {
			if got, problem := parseDate(text); got != want || problem != "" {
				t.Fatalf("%s: %v, %q; want %v", text, got, problem, want)
			}
		}
	})
}

// TestDatesAgainstOracle: texts of the right length parse as the oracle parses them.
func TestDatesAgainstOracle(t *testing.T) {
	two := rapid.IntRange(0, 99)
	rapid.Check(t, func(t *rapid.T) {
		text := fmt.Sprintf("%s-%02d-%02d%s%02d:%02d:%02d%s%s",
			rapid.SampledFrom([]string{"1968", "1969", "1970", "2000", "2024", "2100", "2261", "2262", "0004", "20x4"}).Draw(t, "year"),
			rapid.IntRange(0, 13).Draw(t, "month"), rapid.IntRange(0, 32).Draw(t, "day"),
			rapid.SampledFrom([]string{"T", "T", "T", " ", "t", "_"}).Draw(t, "separator"),
			rapid.IntRange(0, 24).Draw(t, "hour"), rapid.IntRange(0, 61).Draw(t, "minute"), rapid.IntRange(0, 61).Draw(t, "second"),
			rapid.SampledFrom([]string{"", "", ".1", ".000000001", ".999999999", ".", ".1234567890", ",5"}).Draw(t, "decimals"),
			rapid.SampledFrom([]string{"", "", "Z", "Z", "z", "+00:00", "-23:59", fmt.Sprintf("+%02d:%02d", two.Draw(t, "hours"), two.Draw(t, "minutes"))}).Draw(t, "zone"))
		want := plainDateOf(text)
		got, problem := parseDate(text)
		if want.bad != (problem != "") {
			t.Fatalf("%s: %q, the oracle has bad %v", text, problem, want.bad)
		}
		if !want.bad && got != roster.TimeOf(want.at) {
			t.Fatalf("%s: %v, want %v", text, got, want.at)
		}
	})
}
