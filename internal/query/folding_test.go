package query

import (
	"fmt"
	"testing"

	"rollcall/internal/api"
	"rollcall/internal/client"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// TestQuestionsWhileFolding asks all questions while the roster is folded: neither
// waits for the other for long, places never decrease, and the race detector finds
// nothing.
func TestQuestionsWhileFolding(t *testing.T) {
	const machines, users = 50, 20
	r := roster.New(roster.DefaultSettings())
	kit.Feed(r, kit.Login("machine-1", "user-1"))
	nc := serve(t, source(r))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 20_000 {
			machine, user := fmt.Sprintf("machine-%d", i%machines), fmt.Sprintf("user-%d", i*7%users)
			if i%3 == 0 {
				kit.Feed(r, kit.Logout(machine, user))
			} else {
				kit.Feed(r, kit.Login(machine, user))
			}
		}
	}()
	asked, place := 0, uint64(0)
	for folding := true; folding; asked++ {
		for _, question := range []struct {
			endpoint string
			request  any
		}{
			{"status", api.StatusRequest{}},
			{"machine", api.MachineRequest{Machine: "machine-1"}},
			{"user", api.UserRequest{User: "user-1"}},
			{"report", api.ReportRequest{Filter: api.Filter{OnSeveral: true}}},
			{"report", api.ReportRequest{Filter: api.Filter{OnSeveral: true}, Longest: new(uint32(10))}},
		} {
			data, err := client.One(t.Context(), nc, subjects.Query(question.endpoint), question.request)
			if err != nil {
				t.Fatal(err)
			}
			head, err := api.Decode[anyAnswer](data)
			if err != nil || head.Place < place {
				t.Fatalf("%s: %v: place %d after %d", question.endpoint, err, head.Place, place)
			}
			place = head.Place
		}
		select {
		case <-done:
			folding = false
		default:
		}
	}
	t.Logf("asked %d times", asked)
}

// anyAnswer has the fields that all answers have.
type anyAnswer struct{ api.Head }
