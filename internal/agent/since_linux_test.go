package agent

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"rollcall/internal/history"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	"rollcall/internal/wire"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// publish publishes an event of the machine, as another publisher than the agent does.
func (m *installed) publish(e roster.Event) {
	m.t.Helper()
	e.Machine, e.Date = "web1", roster.TimeOf(time.Now())
	if _, err := m.js.Publish(m.t.Context(), "rollcall.events.web1", wire.AppendJSON(nil, &e)); err != nil {
		m.t.Fatal(err)
	}
}

// purge removes all events of the stream.
func (m *installed) purge() {
	m.t.Helper()
	stream, err := m.js.Stream(m.t.Context(), rollcallv1.DefaultEventsStream)
	if err == nil {
		err = stream.Purge(m.t.Context())
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

// startFirst starts an agent that has told nothing yet.
func (m *installed) startFirst(since string) {
	m.t.Helper()
	m.Run("systemctl", "stop", "rollcall-agent")
	m.Run("bash", "-c", "rm -rf /var/lib/rollcall-agent; echo ROLLCALL_AGENT_SINCE="+since+" >>/etc/rollcall-agent/agent.env")
	m.Run("systemctl", "start", "rollcall-agent")
}

// stays returns the stays of the stream.
func (m *installed) stays() []history.MachineStay {
	m.t.Helper()
	stays, _ := staysOf(m.t, events(m.t, m.js))
	return stays
}

// wantStays checks that these are all stays of the stream, each once, in any order: "ada c1
// logout".
func (m *installed) wantStays(want ...string) {
	m.t.Helper()
	var got []string
	for _, s := range m.stays() {
		got = append(got, s.Session.User+" "+s.Session.ID+" "+s.How.String())
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		m.t.Errorf("the stays are\n%q, want\n%q", got, want)
	}
}

// TestSince: from wherever the first start reads, each stay is told of once, with its
// beginning.
func TestSince(t *testing.T) {
	t.Parallel()
	m := boot(t)
	m.AddUsers("ada", "bob")
	first, cut := m.brief("bob"), m.Login("ada", "")
	m.Cut()
	m.Boot()
	second, ada := m.brief("bob"), m.Login("ada", "")

	// Another publisher has told of what it saw.
	m.publish(roster.Event{Type: roster.Login, Session: roster.Session{User: "ada", ID: "ssh-1"}})
	m.publish(roster.Event{Type: roster.Login, Session: roster.Session{User: "bob", ID: "ssh-2"}})
	m.publish(roster.Event{Type: roster.Logout, Session: roster.Session{User: "bob", ID: "ssh-2"}})
	m.Run("bash", "-c", "echo ROLLCALL_AGENT_PRESENT=1m >>/etc/rollcall-agent/agent.env")
	m.startFirst("now")
	m.wantOn("who is on now", as("ada", ada))
	third := m.brief("bob")
	m.Run("bash", "-c", `echo '{"type":"login","user":"carol","session":"ftp-1"}' | rollcall-agent tell`)
	m.Run("systemctl", "restart", "rollcall-agent")
	m.Run("systemctl", "restart", "rollcall-agent")
	kit.Eventually(t, func() bool {
		_, err := m.Try("bash", "-c", `echo '{"type":"logout","session":"ftp-1"}' | rollcall-agent tell`)
		return err == nil
	}, "the agent listens again")
	again := m.Login("bob", "")
	m.wantOn("a login after that", as("ada", ada), as("bob", again))
	m.wantStays("ada ssh-1 present", "bob ssh-2 logout", as("ada", ada)+" open", "bob "+third+" logout", "carol ftp-1 logout", as("bob", again)+" open")
	m.wantBeginnings(as("ada", ada), "bob "+third, as("bob", again))

	lists := func() (n int) {
		for _, message := range events(m.t, m.js) {
			if e := &message.Event; e.Type == roster.Present {
				n++
				if e.Every != time.Minute {
					t.Errorf("a list says that one comes every %v", e.Every)
				}
			}
		}
		return n
	}
	was := lists()
	for end := time.Now().Add(2 * time.Minute); lists() == was; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no list within two minutes after %d", was)
		}
	}

	m.Run("systemctl", "stop", "rollcall-agent")
	m.purge()
	m.startFirst("all")
	m.wantOn("the whole journal was read", as("ada", ada), as("bob", again))
	m.wantStays("bob "+first+" logout", as("ada", cut)+" boot", "bob "+second+" logout", as("ada", ada)+" open", "bob "+third+" logout", as("bob", again)+" open")
	m.wantBeginnings("bob "+first, as("ada", cut), "bob "+second, as("ada", ada), "bob "+third, as("bob", again))
}

// wantBeginnings checks that sessions began when the journal says so.
func (m *installed) wantBeginnings(sessions ...string) {
	m.t.Helper()
	began := map[string]time.Time{}
	for _, r := range m.Journal("MESSAGE_ID=" + sessionStarted) {
		micros, err := strconv.ParseInt(r["_SOURCE_REALTIME_TIMESTAMP"], 10, 64)
		if err != nil {
			m.t.Fatal(err)
		}
		began[r["USER_ID"]+" "+r["SESSION_ID"]] = time.UnixMicro(micros)
	}
	for _, s := range m.stays() {
		name := s.Session.User + " " + s.Session.ID
		if !slices.Contains(sessions, name) {
			continue
		}
		if since := s.Session.Since.Time(); since.Sub(began[name]).Abs() > time.Second {
			m.t.Errorf("%s is on since %v; it began at %v", name, since, began[name])
		}
	}
}
