package agent

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/agent/spool"
	"rollcall/internal/natsconn"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	"rollcall/internal/wire"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

var fleetSize = flag.Int("fleet.agents", 40, "how many agents TestFleet runs")

// TestFleet: the agents of a fleet come back within a minute after their server was
// restarted, and no event of theirs is lost. It logs how many came back in each second.
func TestFleet(t *testing.T) {
	server := kit.StartServer(t)
	js := kit.JetStream(t, kit.Conn(t, server.URL, nats.ReconnectWait(10*time.Millisecond), nats.MaxReconnects(-1)))
	kit.CreateStream(t, js, jetstream.StreamConfig{Name: "E", Subjects: []string{"rollcall.events.>"}})
	agents := startFleet(t, server.URL)
	others := server.NATS().NumClients() - len(agents)

	const each = 3
	appendAll(t, agents, each)
	server.Stop()
	appendAll(t, agents, each)
	start := time.Now()
	server.Start()
	var perSecond []int
	kit.Eventually(t, func() bool {
		back := server.NATS().NumClients() - others
		for second := int(time.Since(start).Seconds()); len(perSecond) <= second; {
			perSecond = append(perSecond, back)
		}
		perSecond[len(perSecond)-1] = back
		return back == len(agents)
	}, "all are back")
	took := time.Since(start)
	for i := len(perSecond) - 1; i > 0; i-- {
		perSecond[i] -= perSecond[i-1]
	}
	t.Logf("%d agents were back after %v; in each second: %v", len(agents), took.Round(10*time.Millisecond), perSecond)
	if took > time.Minute {
		t.Error("want within a minute")
	}
	appendAll(t, agents, each)
	kit.Eventually(t, func() bool {
		for _, a := range agents {
			if a.Spool.Stats().Waiting > 0 {
				return false
			}
		}
		return true
	}, "all is stored")
	wantNumbers(t, js, 3*each)
}

// startFleet starts agents that only publish, and waits until they are connected.
func startFleet(t *testing.T, url string) []*Agent {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	agents := make([]*Agent, *fleetSize)
	for i := range agents {
		kept, err := spool.Open(t.TempDir(), spool.Config{MachineID: "m", Log: log})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { kept.Close() })
		a := &Agent{Config: Config{Machine: fmt.Sprintf("web%d", i), Subjects: testSubjects(t), Spool: kept, Log: log}}
		agents[i] = a
		kit.Run(t, func(ctx context.Context) error {
			return a.Publish(ctx, func(ctx context.Context, options ...nats.Option) (*nats.Conn, error) {
				return natsconn.Await(ctx, natsconn.Options{URL: url}, "rollcall-agent", log, nil, options...)
			})
		})
	}
	kit.Eventually(t, func() bool {
		for _, a := range agents {
			if a.Status().Server == "" {
				return false
			}
		}
		return true
	}, "all are connected")
	return agents
}

// appendAll appends the next n events to each agent's spool.
func appendAll(t *testing.T, agents []*Agent, n int) {
	var g sync.WaitGroup
	for _, a := range agents {
		g.Go(func() { appendLogins(t, a, n) })
	}
	g.Wait()
}

// wantNumbers checks that the stream has the first n events of each agent.
func wantNumbers(t *testing.T, js jetstream.JetStream, n int) {
	t.Helper()
	c, err := js.OrderedConsumer(t.Context(), "E", jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	info, err := js.Stream(t.Context(), "E")
	if err != nil {
		t.Fatal(err)
	}
	messages := int(info.CachedInfo().State.Msgs)
	d, numbers := wire.NewDecoder(testSubjects(t)), map[string]map[uint64]bool{}
	for range messages {
		m, err := c.Next()
		if err != nil {
			t.Fatal(err)
		}
		var e roster.Event
		if refusal := d.Decode(m.Subject(), m.Headers().Get(rollcallv1.HeaderContentType), m.Data(), &e); refusal != nil {
			t.Fatal(refusal)
		}
		if numbers[e.Machine] == nil {
			numbers[e.Machine] = map[uint64]bool{}
		}
		numbers[e.Machine][e.Number] = true
	}
	for machine, seen := range numbers {
		for number := range uint64(n) {
			if !seen[number+1] {
				t.Errorf("event %d of %s is lost", number+1, machine)
			}
		}
	}
	t.Logf("%d agents, %d messages, of which %d were published again", len(numbers), messages, messages-n*len(numbers))
	if len(numbers) != *fleetSize {
		t.Errorf("want %d agents", *fleetSize)
	}
}

// TestReconnectDelay: a fleet spreads over seconds when it comes back, the more the longer
// the server is away; and nobody waits for more than half a minute.
func TestReconnectDelay(t *testing.T) {
	const draws = 10_000
	for attempts, most := range map[int]int{1: draws / 8, 20: draws / 20} {
		seconds := map[int]int{}
		for range draws {
			seconds[int(reconnectDelay(attempts).Seconds())]++
		}
		for second, n := range seconds {
			if n > most || second >= 30 {
				t.Errorf("attempt %d: %d of %d delays are of %d s", attempts, n, draws, second)
			}
		}
	}
}
