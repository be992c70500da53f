package moment

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseSpan(t *testing.T) {
	const bad = -1
	for text, want := range map[string]time.Duration{
		"90m": 90 * time.Minute, "1h30m": 90 * time.Minute, "1H 30M": 90 * time.Minute, "1.5h": 90 * time.Minute, " 1 hour 30 minutes ": 90 * time.Minute,
		"2d": 48 * time.Hour, "2503d5h": 2503*24*time.Hour + 5*time.Hour, "1w": 7 * 24 * time.Hour, "1 week": 7 * 24 * time.Hour, "0s": 0,
		"1.000000001s": 1000000001, "1.0000000019s": 1000000001, "2562047h47m16.854775807s": math.MaxInt64, "0.1d": 2*time.Hour + 24*time.Minute,
		"5us": 5000, "5µs": 5000, "5μs": 5000, "1ms": 1e6, "7ns": 7,
		"": bad, " ": bad, "90": bad, "m": bad, "-1h": bad, "+1h": bad, "1h-30m": bad, "1y": bad, "1mo": bad, ".5h": bad, "1.h": bad, "1h30": bad, "1e3s": bad, "1hm": bad,
		"2562047h47m16.854775808s": bad, "9223372036854775808ns": bad, "99999999999999999999s": bad, "15251w": bad, "15250w 2d": bad, "106751.99999999999999999d": bad,
	} {
		got, err := ParseSpan(text)
		if err != nil {
			got = bad
		}
		if got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
}

// TestSpansOfGo: what the standard library prints is read as what it was.
func TestSpansOfGo(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(r, "nanoseconds") >> rapid.IntRange(0, 62).Draw(r, "shift"))
		if got, err := ParseSpan(d.String()); got != d || err != nil {
			r.Fatalf("%v: %v, %v", d, got, err)
		}
	})
}

func FuzzParseSpan(f *testing.F) {
	for _, text := range []string{"90m", "1h30m", "2 days", "1.5w", "2562047h47m16.854775807s", "\xff", "1\u00b5s"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := ParseSpan(text); d < 0 || err != nil && d != 0 {
			t.Errorf("%q: %v, %v", text, d, err)
		}
	})
}
