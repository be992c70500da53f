package roster_test

import (
	"fmt"
	"slices"
	"testing"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

func TestOnSeveral(t *testing.T) {
	r := roster.New(roster.DefaultSettings())
	expect := func(want ...bool) {
		t.Helper()
		if got := r.OnSeveral([]string{"lane", "chris", "nobody"}); !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	}
	expect(false, false, false)
	kit.Feed(r, kit.Login("a", "lane"), kit.Login("a", "chris"))
	expect(false, false, false)
	kit.Feed(r, kit.Login("b", "lane"))
	expect(true, false, false)
	kit.Feed(r, kit.Logout("a", "lane"))
	expect(false, false, false)
}

// TestManyOnSeveral asks about more users than are looked up at a time.
func TestManyOnSeveral(t *testing.T) {
	r := roster.New(roster.DefaultSettings())
	var users []string
	var want []bool
	for i := range 1200 {
		users, want = append(users, fmt.Sprint(i)), append(want, i%3 == 0)
		kit.Feed(r, kit.Login("a", users[i]))
		if want[i] {
			kit.Feed(r, kit.Login("b", users[i]))
		}
	}
	if got := r.OnSeveral(users); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
