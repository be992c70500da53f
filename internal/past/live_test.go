package past

import (
	"fmt"
	"testing"
	"time"

	"rollcall/internal/test/kit"
)

// TestLiveFleetFits: a session that has been open since before the moment, and
// that the roster has open, is held once, though the roster remembers it and its
// event is read too.
func TestLiveFleetFits(t *testing.T) {
	const machines, users = 20, 10
	w := lonely(t, settings(1000*time.Hour), func(c *Config) { c.MaxRecords = 2 * machines * users })
	for i := range machines {
		for u := range users {
			w.send(at(ago(20), kit.Login(fmt.Sprintf("m%d", i), fmt.Sprintf("user-%d", u))), false)
		}
		w.send(at(ago(1), kit.Login(fmt.Sprintf("m%d", i), "lane")), false)
	}
	w.read(t, t)
	if n := len(w.ask(t, t, Question{To: ago(10)}).On); n != machines*users {
		t.Errorf("%d are on, want %d", n, machines*users)
	}
}
