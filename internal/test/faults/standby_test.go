package faults

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"rollcall/internal/test/kit"
)

// pair is two services that stand by for each other, each with a data folder and a link to
// the server of its own.
type pair struct {
	t         *testing.T
	url       string // of the server
	ttl       time.Duration
	members   [2]*member
	variables []string
	started   []*process
}

// member is one of them.
type member struct {
	*process
	dir  string
	link *proxy
}

// newPair starts two services, and waits until one of them is active and the other one
// stands by.
func newPair(t *testing.T, url string, ttl time.Duration, variables ...string) *pair {
	t.Helper()
	p := &pair{t: t, url: url, ttl: ttl, variables: append(variables, "ROLLCALL_STANDBY=true", "ROLLCALL_STANDBY_TTL="+ttl.String())}
	for i := range p.members {
		p.members[i] = &member{dir: t.TempDir(), link: newProxy(t, url)}
		p.start(i)
	}
	p.awaitBoth()
	return p
}

// start starts one of the services.
func (p *pair) start(i int) {
	p.t.Helper()
	m := p.members[i]
	m.process = serve(p.t, m.dir, m.link.URL, p.variables...)
	p.started = append(p.started, m.process)
}

// awaitBoth waits until one service is active and the other one ready, and returns the
// number of the active one.
func (p *pair) awaitBoth() (active int) {
	p.t.Helper()
	for _, m := range p.members {
		m.awaitLog("ready", "place")
	}
	kit.Eventually(p.t, func() bool {
		is := [2]bool{p.isActive(0), p.isActive(1)}
		active = slices.Index(is[:], true)
		return is[0] != is[1]
	}, "one service is active")
	return active
}

func (p *pair) isActive(i int) bool { return p.members[i].metric("rollcall_active") == 1 }

// goodAnswer returns the place of an answer; false if the message is a refusal.
func goodAnswer(m *nats.Msg) (place uint64, ok bool) {
	if m.Header.Get(micro.ErrorHeader) != "" || m.Header.Get("Status") != "" {
		return 0, false
	}
	var head struct {
		Place uint64 `json:"place"`
	}
	err := json.Unmarshal(m.Data, &head)
	return head.Place, err == nil
}

// TestStandbyStopped: while the active service is stopped (SIGSTOP), another one takes over,
// and every question is answered; when it goes on, it answers none of the questions that
// have arrived meanwhile.
func TestStandbyStopped(t *testing.T) {
	t.Parallel()
	server := kit.StartServer(t)
	p := newPair(t, server.URL, time.Second)
	nc := kit.Conn(t, server.URL)
	js := kit.JetStream(t, nc)
	active := p.awaitBoth()
	kit.PublishLogins(t, js, 1)
	p.members[1-active].awaitPlace(1)

	stopped := p.members[active]
	stopped.cmd.Process.Signal(syscall.SIGSTOP)       //nolint:errcheck // the test fails then
	defer stopped.cmd.Process.Signal(syscall.SIGCONT) //nolint:errcheck // it may have ended
	kit.Eventually(t, func() bool { return p.isActive(1 - active) }, "the other one is active")
	kit.PublishLogins(t, js, 1)
	p.members[1-active].awaitPlace(2)

	const questions = 30
	var answers [questions]atomic.Int32
	inbox := nc.NewInbox()
	subscription, err := nc.Subscribe(inbox+".*", func(m *nats.Msg) {
		place, ok := goodAnswer(m)
		if !ok {
			return
		}
		var n int
		fmt.Sscan(m.Subject[len(inbox)+1:], &n)
		answers[n].Add(1)
		if place != 2 {
			t.Errorf("question %d: an answer at place %d, after one at place 2", n, place)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer subscription.Unsubscribe() //nolint:errcheck // the connection ends
	for n := range questions {
		if err := nc.PublishRequest("rollcall.query.report", fmt.Sprintf("%s.%d", inbox, n), nil); err != nil {
			t.Fatal(err)
		}
	}
	kit.Eventually(t, func() bool {
		for n := range answers {
			if answers[n].Load() == 0 {
				return false
			}
		}
		return true
	}, "every question is answered")

	stopped.cmd.Process.Signal(syscall.SIGCONT) //nolint:errcheck // the test fails then
	kit.Eventually(t, func() bool { return stopped.metric("rollcall_active") == 0 && stopped.metric("rollcall_position") == 2 }, "the stopped one stands by")
	for n := range answers {
		if got := answers[n].Load(); got != 1 {
			t.Errorf("question %d: %d answers", n, got)
		}
	}
}
