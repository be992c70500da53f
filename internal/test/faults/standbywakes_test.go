package faults

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"rollcall/internal/test/kit"
)

// TestStandbyWakes: the active service is cut off while a page of a report and a change are
// under way, and stopped (SIGSTOP). Another one takes over. When the first is connected again
// and goes on, its page is refused, its change is ignored, and it answers the questions that
// have waited in its socket, but only with a refusal.
func TestStandbyWakes(t *testing.T) {
	t.Parallel()
	const ttl = 3 * time.Second
	server := kit.StartServer(t)
	p := newPair(t, server.URL, ttl)
	nc := kit.Conn(t, server.URL)
	js := kit.JetStream(t, nc)
	active := p.awaitBoth()
	old, next := p.members[active], p.members[1-active]
	w := startWatch(t, server.URL)
	kit.PublishLogins(t, js, 1) // m0
	kit.Eventually(t, func() bool { return len(w.on()) == 1 }, "watch shows the first machine")
	first := lastReport(t, js)
	late := listenTo(t, nc)

	kit.Eventually(t, func() bool { return old.metric("rollcall_changes_total") == 1 }, "the change of m0 is sent")
	old.link.stall(toServer)
	publish := func(kind, machine string) {
		t.Helper()
		event := fmt.Sprintf(`{"date":%q,"type":%q,"machine":%q,"user":"lane"}`, time.Now().UTC().Format(time.RFC3339Nano), kind, machine)
		if _, err := js.Publish(t.Context(), "rollcall.events", []byte(event)); err != nil {
			t.Fatal(err)
		}
	}
	publish("login", "m1")
	kit.Eventually(t, func() bool { return old.metric("rollcall_changes_total") == 2 }, "the change of m1 is under way")
	old.signal(syscall.SIGSTOP)
	defer old.signal(syscall.SIGCONT)
	if p.isActive(1 - active) {
		t.Fatal("the other one is active before it should be: nothing is proven")
	}
	refusals := askMany(t, nc, 10)

	kit.Eventually(t, func() bool { return p.isActive(1 - active) }, "the other one is active")
	publish("logout", "m1") // what is late says that somebody is on
	next.awaitPlace(3)
	kit.Eventually(t, func() bool { return lastReport(t, js).Place == 3 && len(w.on()) == 1 }, "the other one has reported")
	want := lastReport(t, js)

	old.link.heal()
	old.signal(syscall.SIGCONT)
	kit.Eventually(t, func() bool { return late.has(first.by(), 2) }, "the late page is sent")
	kit.Eventually(t, func() bool { return late.has("m1 lane", 2) }, "the late change is sent")
	kit.Eventually(t, func() bool { return refusals() == 10 }, "each question is refused")
	publish("login", "m2")
	kit.Eventually(t, func() bool { return len(w.on()) == 2 }, "watch shows the last machine")
	if report := next.report(server.URL); !equalUsers(w.on(), report) {
		t.Errorf("watch has %v, the report %s", w.on(), report)
	}
	kit.Eventually(t, func() bool { return lastReport(t, js).Place == 4 }, "the other one has reported")
	if got := lastReport(t, js); got.by() != want.by() || first.by() == want.by() {
		t.Errorf("the last report is of %s, before of %s, at first of %s", got.by(), want.by(), first.by())
	}
}

// reportHead is the beginning of a report.
type reportHead struct {
	ID    string `json:"report"`
	Place uint64 `json:"place"`
}

// by returns who made it: a process's ids begin alike.
func (r reportHead) by() string { return r.ID[:12] }

// lastReport returns the last report in its stream.
func lastReport(t *testing.T, js jetstream.JetStream) (head reportHead) {
	t.Helper()
	reports, err := js.Stream(t.Context(), "ROLLCALL_REPORTS")
	if err != nil {
		t.Fatal(err)
	}
	m, err := reports.GetLastMsgForSubject(t.Context(), "rollcall.reports")
	if err == nil {
		err = json.Unmarshal(m.Data, &head)
	}
	if err != nil {
		t.Fatal(err)
	}
	return head
}

// sent is what services have sent, stored or not: "WHO PLACE" for a page, "MACHINE CAME
// PLACE" for a change.
type sent struct {
	mu  sync.Mutex
	all []string
}

// listenTo listens to pages and changes.
func listenTo(t *testing.T, nc *nats.Conn) *sent {
	t.Helper()
	s := new(sent)
	for _, subject := range []string{"rollcall.reports", "rollcall.changes.>"} {
		if _, err := nc.Subscribe(subject, func(m *nats.Msg) {
			var body struct {
				reportHead
				Machine string   `json:"machine"`
				Came    []string `json:"came"`
			}
			if err := json.Unmarshal(m.Data, &body); err != nil {
				t.Errorf("%s: %v", m.Data, err)
				return
			}
			what := body.Machine + " " + strings.Join(body.Came, ",")
			if body.ID != "" {
				what = body.by()
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.all = append(s.all, fmt.Sprint(what, " ", body.Place))
		}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// has reports whether something was sent.
func (s *sent) has(what string, place uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, found := range s.all {
		if found == fmt.Sprint(what, " ", place) {
			return true
		}
	}
	return false
}

// askMany asks n questions, and returns a function that says how many have been refused. Any
// other answer is an error.
func askMany(t *testing.T, nc *nats.Conn, n int) (refused func() int) {
	t.Helper()
	inbox := nc.NewInbox()
	var mu sync.Mutex
	answers := map[string]int{}
	subscription, err := nc.Subscribe(inbox+".*", func(m *nats.Msg) {
		if code := m.Header.Get(micro.ErrorCodeHeader); code != "503" || !strings.HasPrefix(m.Header.Get(micro.ErrorHeader), "stands by") || len(m.Data) > 0 {
			t.Errorf("an answer: %v %s", m.Header, m.Data)
		}
		mu.Lock()
		defer mu.Unlock()
		if answers[m.Subject]++; answers[m.Subject] > 1 {
			t.Errorf("several answers: %v %s", m.Header, m.Data)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { subscription.Unsubscribe() }) //nolint:errcheck // the connection ends
	for i := range n {
		if err := nc.PublishRequest("rollcall.query.report", fmt.Sprintf("%s.%d", inbox, i), nil); err != nil {
			t.Fatal(err)
		}
	}
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(answers)
	}
}
