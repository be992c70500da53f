package roster_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// TestRestoredIndex: a restored roster knows where each user is, and how often, like
// the saved one, and both still agree after the last logout: users with several
// sessions on a machine, on one machine, on some, and on enough to be found by an
// index.
func TestRestoredIndex(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 0))
	saved := roster.New(roster.DefaultSettings())
	users := map[string]int{"once": 1, "twice": 2, "few": 5, "most": 30, "all": 100}
	var open []roster.Event
	for user, machines := range users {
		for i := range machines {
			for session := range 1 + i%3 {
				e := kit.Login(fmt.Sprintf("m%02d", i), user)
				e.Session.ID = fmt.Sprintf("%d%s", session, user)
				open = append(open, e)
			}
		}
	}
	rng.Shuffle(len(open), func(i, j int) { open[i], open[j] = open[j], open[i] })
	kit.Feed(saved, open...)
	restored := restore(t, saved)
	compare := func() {
		t.Helper()
		if a, b := saved.Status(), restored.Status(); a != b {
			t.Fatalf("restored: %+v, saved: %+v", b, a)
		}
		if a, b := counts(saved), counts(restored); !slices.Equal(a, b) {
			t.Fatalf("restored: %v, saved: %v", b, a)
		}
		for user := range users {
			if a, b := saved.User(user), restored.User(user); !slices.Equal(a, b) {
				t.Fatalf("restored: %s on %v, saved: %v", user, b, a)
			}
		}
	}
	compare()
	for len(open) > 0 {
		n := min(len(open), 20)
		for i := range n {
			e := open[i]
			e.Type = roster.Logout
			kit.Feed(saved, e)
			kit.Feed(restored, e)
		}
		open = open[n:]
		compare()
	}
	if st := restored.Status(); st.Users != 0 || st.Several != 0 || st.Sessions != 0 {
		t.Errorf("after the last logout: %+v", st)
	}
}

// counts returns the number of users on each machine.
func counts(r *roster.Roster) (n []int) {
	for v := range r.Machines("") {
		n = append(n, v.UserCount())
	}
	return n
}
