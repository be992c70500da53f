package main

import (
	"slices"
	"testing"
	"time"

	"rollcall/internal/api"
)

// TestHistoryRows: boots are put among the sessions of all pages by time, in both orders. A
// session that began at the moment of a boot began after it, and one whose beginning is
// unknown stands where it ended.
func TestHistoryRows(t *testing.T) {
	at := func(n int) time.Time { return time.Unix(int64(n)*60, 0).UTC() }
	began := func(n int) api.PastStay { return api.PastStay{User: "lane", Since: at(n), How: "open"} }
	ended := func(n int) api.PastStay { return api.PastStay{SinceUnknown: true, Ended: at(n), How: "logout"} }
	mark := func(n int, kind string) api.Mark { return api.Mark{Machine: "web1", Time: at(n), Kind: kind} }
	sessions := []api.PastStay{began(9), began(7), began(5), ended(3), began(1)}
	marks := []api.Mark{mark(8, "boot"), mark(7, "boot"), mark(6, "shutdown"), mark(3, "boot"), mark(0, "boot")}
	want := []int{9, 8, 7, 7, 6, 5, 3, 3, 1, 0}
	kinds := []string{"session", "boot", "session", "boot", "shutdown", "session", "session", "boot", "session", "boot"}
	for _, oldest := range []bool{false, true} {
		if oldest {
			slices.Reverse(sessions)
			slices.Reverse(marks)
			slices.Reverse(want)
			slices.Reverse(kinds)
		}
		for size := range len(sessions) + 1 {
			r := historyRows{oldest: oldest}
			rows := r.page(&api.HistoryAnswer{Sessions: sessions[:size], Marks: marks, MoreMarks: true, Cursor: "next"})
			rows = append(rows, r.page(&api.HistoryAnswer{Sessions: sessions[size:]})...)
			for i := range rows {
				row, minute := &rows[i], at(want[i])
				if row.kind != kinds[i] || !row.Since.Equal(minute) && !row.Ended.Equal(minute) {
					t.Errorf("oldest %t, pages of %d: row %d is %+v, want %s at %v", oldest, size, i, row, kinds[i], minute)
				}
			}
			if len(rows) != len(want) || !r.more || !r.first.Equal(at(0)) {
				t.Errorf("oldest %t: %d rows, more %t before %v", oldest, len(rows), r.more, r.first)
			}
		}
	}
}
