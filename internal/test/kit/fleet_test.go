package kit

import (
	"testing"

	"rollcall/internal/roster"
)

func TestFleet(t *testing.T) {
	for name, shape := range map[string]Shape{"mixed": Mixed, "five": Five} {
		t.Run(name, func(t *testing.T) {
			f, again := NewFleet(1, shape, 12_000), NewFleet(1, shape, 12_000)
			if f.Pairs() != 12_000 {
				t.Fatalf("%d pairs", f.Pairs())
			}
			r := f.Roster()
			if st := r.Status(); st.Sessions != f.Pairs() || st.Machines != f.Machines() {
				t.Errorf("%d sessions on %d machines, want %d on %d", st.Sessions, st.Machines, f.Pairs(), f.Machines())
			}
			users := 0
			for v := range r.Machines("") {
				users += v.UserCount()
			}
			if users != f.Pairs() {
				t.Errorf("%d users of machines, want %d: two pairs have the same user and machine", users, f.Pairs())
			}
			f.Fold(r, 20_000)
			if st := r.Status(); st.Fates[roster.Applied] < 31_000 || st.Fates[roster.DeadLettered] > 0 {
				t.Errorf("fates %v", st.Fates)
			}
			other := again.Roster()
			again.Fold(other, 20_000)
			if r.Status() != other.Status() {
				t.Error("the same seed generated another fleet")
			}
		})
	}
}
