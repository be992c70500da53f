package agent

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/roster"
)

// TestDates: dates strictly rise while the clock does not go back by more than nine
// minutes, and are never further ahead of it than that; where it does, they follow it.
func TestDates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d dates
		clock := time.Unix(1_800_000_000, 0)
		newest := roster.TimeOf(clock)
		for range rapid.IntRange(1, 50).Draw(t, "events") {
			clock = clock.Add(time.Duration(rapid.SampledFrom([]int{0, 1, 1000, -1000, -8 * 60 * 1e9, -30 * 60 * 1e9, 1e9, 3600 * 1e9}).Draw(t, "step")))
			last := d.last
			date, back := d.next(clock)
			at := roster.TimeOf(clock)
			switch {
			case back && (date != at || last-at <= roster.Time(9*time.Minute)):
				t.Fatalf("%v follows the clock at %v, after %v", date, at, last)
			case !back && (date <= last || date < at || date > at && date != last+1):
				t.Fatalf("%v at %v, after %v", date, at, last)
			case date-at > roster.Time(9*time.Minute):
				t.Fatalf("%v is %v ahead", date, time.Duration(date-at))
			}
			newest = max(newest, date)
		}
	})
}
