package agent

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/agent/spool"
	"rollcall/internal/natsconn"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// outage is an agent that publishes to a server, which can be reconfigured.
type outage struct {
	*Agent
	t      *testing.T
	server *kit.Server
	js     jetstream.JetStream // of the test
	log    kit.Output
}

// smallSpool is the smallest spool that there can be.
const smallSpool = 4 << 20

// startOutage starts a server with a stream, and an agent that publishes to it as a user
// who may do no more than it has to. The agent makes no events by itself.
func startOutage(t *testing.T, options ...func(*server.Options)) *outage {
	o := &outage{t: t, server: kit.StartServer(t, append(options, mayPublish("rollcall.events.web1"), mayReceive("_INBOX.>"))...)}
	o.js = kit.JetStream(t, kit.Conn(t, strings.Replace(o.server.URL, "//", "//admin:x@", 1)))
	kit.CreateStream(t, o.js, jetstream.StreamConfig{Name: rollcallv1.DefaultEventsStream, Subjects: []string{"rollcall.events.>"}, AllowDirect: true})
	o.Agent = newTestAgent(t, t.TempDir())
	if err := o.Spool.Close(); err != nil {
		t.Fatal(err)
	}
	// What it logs is not throttled here, and is much.
	o.Log = slog.New(slog.NewTextHandler(&o.log, nil))
	var err error
	if o.Spool, err = spool.Open(o.Dir, spool.Config{Max: smallSpool, MachineID: "m", Log: o.Log}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		o.Spool.Close()
		if t.Failed() {
			t.Logf("log of the agent:\n%s", &o.log)
		}
	})
	kit.Run(t, func(ctx context.Context) error {
		return o.Publish(ctx, func(ctx context.Context, options ...nats.Option) (*nats.Conn, error) {
			return natsconn.Await(ctx, natsconn.Options{URL: o.server.URL, User: "web1", Password: "x"}, "rollcall-agent", o.Log, nil, options...)
		})
	})
	return o
}

// users are the test and the agent; change sets what the agent may do.
func users(o *server.Options, change func(*server.Permissions)) {
	may := &server.Permissions{}
	if len(o.Users) > 0 {
		*may = *o.Users[1].Permissions
	}
	change(may)
	o.Users = []*server.User{{Username: "admin", Password: "x"}, {Username: "web1", Password: "x", Permissions: may}}
}

func mayPublish(subjects ...string) func(*server.Options) {
	return func(o *server.Options) {
		users(o, func(p *server.Permissions) { p.Publish = &server.SubjectPermission{Allow: subjects} })
	}
}

func mayReceive(subjects ...string) func(*server.Options) {
	return func(o *server.Options) {
		users(o, func(p *server.Permissions) { p.Subscribe = &server.SubjectPermission{Allow: subjects} })
	}
}

// logins makes n logins, in sessions that are always the same.
func (o *outage) logins(n int) {
	o.t.Helper()
	for i := range n {
		o.add(&roster.Event{Type: roster.Login, Session: roster.Session{User: "lane", ID: fmt.Sprint(i)}}, time.Now())
	}
	o.write()
}

// list makes a list of n sessions.
func (o *outage) list(n int) {
	o.t.Helper()
	e := roster.Event{Type: roster.Present, Every: o.Every}
	for i := range n {
		e.Sessions = append(e.Sessions, roster.Session{User: "lane", ID: fmt.Sprint(i), Remote: "client-217.office.example.com", Service: "sshd"})
	}
	o.add(&e, time.Now())
	o.write()
}

func (o *outage) write() {
	o.t.Helper()
	if err := o.flush(o.t.Context()); err != nil {
		o.t.Fatal(err)
	}
}

// wantAll waits until everything is stored that was not dropped, and checks that the
// service knows, to the number, what was dropped.
func (o *outage) wantAll(dropped bool) {
	o.t.Helper()
	kit.Eventually(o.t, func() bool { return o.Status().Waiting == 0 }, "all is stored")
	all := events(o.t, o.js)
	st := fold(all).Status()
	agent := o.Status()
	if st.Missing != agent.Dropped || (agent.Dropped > 0) != dropped {
		o.t.Errorf("%d events are missing, and the agent dropped %d", st.Missing, agent.Dropped)
	}
	if st.Fates[roster.DeadLettered] != 0 {
		o.t.Errorf("%d are refused", st.Fates[roster.DeadLettered])
	}
	seen := map[uint64]bool{}
	for _, m := range all {
		seen[m.Event.Number] = true
	}
	if n := uint64(len(seen)); n+agent.Dropped != agent.Number || !seen[agent.Number] {
		o.t.Errorf("%d of %d events are stored, %d were dropped", n, agent.Number, agent.Dropped)
	}
}

// awaitLog waits for a line of the log with these words.
func (o *outage) awaitLog(words ...string) {
	o.t.Helper()
	kit.Eventually(o.t, func() bool {
		for line := range strings.Lines(o.log.String()) {
			if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) }) {
				return true
			}
		}
		return false
	}, fmt.Sprintf("the log has %q", words))
}

// TestSpoolOverflows: while the server is away for longer than the spool holds, the oldest
// events are dropped. The service knows how many, and the rest arrives.
func TestSpoolOverflows(t *testing.T) {
	t.Parallel()
	o := startOutage(t)
	o.logins(100)
	o.wantAll(false)
	o.server.Stop()
	for range 60 { // 6 MB
		o.list(1000)
		o.logins(10)
	}
	o.server.Start()
	o.wantAll(true)
}

// TestPermissionTakenAway: an agent that may not publish any more, or not receive that its
// events are stored, says so, and waits; once it may again, all is stored.
func TestPermissionTakenAway(t *testing.T) {
	for _, c := range []struct {
		name        string
		take, give  func(*server.Options)
		says        []string
		stillStored bool
	}{
		{"publish", mayPublish("nothing"), mayPublish("rollcall.events.web1"), []string{"level=ERROR", `Publish to \"rollcall.events.web1\"`, "user=web1"}, false},
		{"receive", mayReceive("nothing"), mayReceive("_INBOX.>"), []string{"level=ERROR", `Subscription to \"_INBOX.`, "user=web1"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := startOutage(t)
			o.logins(10)
			o.wantAll(false)
			o.server.Reload(c.take)
			o.logins(300)
			o.awaitLog(c.says...)
			o.awaitLog("events not stored")
			if !c.stillStored && o.Status().Stored != 10 {
				t.Errorf("%+v", o.Status())
			}
			o.server.Reload(c.give)
			o.logins(10)
			o.wantAll(false)
		})
	}
}

// TestMaxPayload: an event that is larger than the server allows is waited for, and said
// so; once the server allows it, all is stored.
func TestMaxPayload(t *testing.T) {
	limit := func(n int32) func(*server.Options) { return func(o *server.Options) { o.MaxPayload = n } }
	for _, connected := range []bool{false, true} {
		t.Run(fmt.Sprintf("lowered while connected=%v", connected), func(t *testing.T) {
			t.Parallel()
			first := int32(1024)
			if connected {
				first = 1 << 20
			}
			o := startOutage(t, limit(first))
			o.logins(10)
			o.wantAll(false)
			o.server.Reload(limit(1024))
			o.list(100)
			o.logins(10)
			o.awaitLog("events not stored", "maximum payload")
			o.server.Reload(limit(1 << 20))
			o.wantAll(false)
		})
	}
}
