package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/micro"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// TestFloodOfPastQuestions: more questions about the past than may wait, while events keep
// coming: the fold keeps up, the excess is refused, questions about now are answered, and
// memory is bounded.
func TestFloodOfPastQuestions(t *testing.T) {
	kit.Long(t)
	const most, askers, machines, rounds, memory = 66, 100, 1000, 20, 64 << 20
	withoutRace(t)
	s := kit.StartServer(t)
	p := serve(t, t.TempDir(), "NATS_URL="+s.URL, "GOGC=10",
		"ROLLCALL_SNAPSHOT_INTERVAL=1h", "ROLLCALL_REPORT_INTERVAL=1h")
	// Each machine's event of a minute: its user comes or leaves.
	round := func(n int) (events []roster.Event) {
		for i := range machines {
			e := kit.Login(machineName(i), "lane")
			if n%2 == 1 {
				e = kit.Logout(machineName(i), "lane")
			}
			events = append(events, kit.On(fmt.Sprintf("2020-01-21 %02d:%02d:00", n/60, n%60), e))
		}
		return events
	}
	for n := range rounds {
		store(t, s.URL, round(n))
	}
	p.reaches(rounds * machines)

	peak := p.watchMemory()
	ctx, end := context.WithCancel(t.Context())
	var refused, answered atomic.Int64
	var asking sync.WaitGroup
	for i := range askers {
		endpoint, question := "history", `{"user":"lane","remote":"nowhere","cursor":%q}`
		switch i % 3 {
		case 0:
			endpoint, question = "report", `{"at":"2020-01-21T00:10:00Z","cursor":%q}`
		case 1: // in one page
			endpoint, question = "counts", `{"from":"2020-01-21T00:00:00Z","to":"2020-01-21T01:00:00Z","step":"10s"}%.0s`
		}
		asking.Go(func() {
			nc := kit.Conn(t, s.URL)
			var page struct {
				Cursor string `json:"cursor"`
			}
			for ctx.Err() == nil {
				answer, err := nc.RequestWithContext(ctx, "rollcall.query."+endpoint, fmt.Appendf(nil, question, page.Cursor))
				page.Cursor = ""
				switch {
				case ctx.Err() != nil:
				case err != nil:
					t.Error(err)
					return
				case answer.Header.Get(micro.ErrorCodeHeader) == fmt.Sprint(rollcallv1.CodeBusy):
					refused.Add(1)
					select { // some 400 questions a second are enough
					case <-ctx.Done():
					case <-time.After(50 * time.Millisecond):
					}
				case answer.Header.Get(micro.ErrorCodeHeader) != "":
					t.Errorf("%v", answer.Header)
					return
				default:
					if err := json.Unmarshal(answer.Data, &page); err != nil {
						t.Error(err)
						return
					}
					if page.Cursor == "" {
						answered.Add(1)
					}
				}
			}
		})
	}
	kit.Eventually(t, func() bool { return answered.Load() >= most && refused.Load() >= 100 }, "some are answered and the others refused")
	for n := range 20 {
		store(t, s.URL, round(rounds+n))
		p.reaches((rounds + n + 1) * machines)
		var waiting int
		if _, err := fmt.Sscan(p.metric("rollcall_history_questions"), &waiting); err != nil || waiting > most {
			t.Errorf("%d questions wait or are being answered: %v", waiting, err)
		}
	}
	began := time.Now()
	got := p.tool("", "who", machineName(7), "--utc")
	if !strings.Contains(got.err, "nobody is logged in") {
		t.Errorf("%+v", got)
	}
	t.Logf("%d answered, %d refused; who took %v; the service had %d MiB more", answered.Load(), refused.Load(), time.Since(began), peak()>>20)
	if peak() > memory {
		t.Errorf("the service had %d bytes more", peak())
	}
	end()
	asking.Wait()
}
