package natsconn

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/test/kit"
)

// withMachine configures an administrator, and a machine that may publish its own
// events and nothing else.
func withMachine(o *server.Options) {
	o.Users = []*server.User{
		{Username: "admin", Password: "pw"},
		{Username: "web", Password: "pw", Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: []string{"rollcall.events.web"}},
			Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
		}},
	}
}

// hostile returns the JetStream of the administrator, who has created the stream of
// events with the given change, and that of the machine.
func hostile(t *testing.T, change func(*jetstream.StreamConfig)) (admin, web jetstream.JetStream) {
	s := kit.StartServer(t, withMachine)
	admin = kit.JetStream(t, kit.Conn(t, s.URL, nats.UserInfo("admin", "pw")))
	web = kit.JetStream(t, kit.Conn(t, s.URL, nats.UserInfo("web", "pw")))
	c := jetstream.StreamConfig{Name: "ROLLCALL_EVENTS", Subjects: []string{"rollcall.events", "rollcall.events.>"}}
	change(&c)
	makeStream(t, admin, c)
	return admin, web
}

// event is one that the machine publishes.
func event(payload string, headers ...string) *nats.Msg {
	m := nats.NewMsg("rollcall.events.web")
	m.Data = []byte(payload)
	for i := 0; i < len(headers); i += 2 {
		m.Header.Set(headers[i], headers[i+1])
	}
	return m
}

// TestSchedulesForge: in a stream that allows schedules, a machine's credentials
// can store an event on the subject of another machine, indistinguishable from that
// machine's own. Such a stream is refused; our own does not allow schedules.
func TestSchedulesForge(t *testing.T) {
	admin, web := hostile(t, func(c *jetstream.StreamConfig) { c.AllowMsgSchedules = true })
	at := time.Now().UTC().Add(time.Second)
	forged := event(`{"date":"`+at.Format(time.RFC3339)+`","type":"login","machine":"db1","user":"forged"}`,
		"Nats-Schedule", "@at "+at.Format(time.RFC3339), "Nats-Schedule-Target", "rollcall.events.db1")
	if _, err := web.PublishMsg(t.Context(), forged); err != nil {
		t.Fatal(err)
	}
	stream, err := admin.Stream(t.Context(), "ROLLCALL_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, func() bool {
		m, err := stream.GetLastMsgForSubject(t.Context(), "rollcall.events.db1")
		return err == nil && string(m.Data) == string(forged.Data)
	}, "the server publishes for another machine")
	refused(t, admin, "stream ROLLCALL_EVENTS: allow_msg_schedules is true")

	if err := admin.DeleteStream(t.Context(), "ROLLCALL_EVENTS"); err != nil {
		t.Fatal(err)
	}
	prepared(t, admin)
	if _, err := web.PublishMsg(t.Context(), forged); err == nil {
		t.Error("our stream accepts a schedule")
	}
}

// TestRollupEmpties: where rollups are allowed, a machine's credentials can delete
// the events of all. Such a stream is refused; our own does not allow rollups.
func TestRollupEmpties(t *testing.T) {
	admin, web := hostile(t, func(c *jetstream.StreamConfig) { c.AllowRollup = true })
	if _, err := admin.Publish(t.Context(), "rollcall.events.db1", []byte("an event")); err != nil {
		t.Fatal(err)
	}
	rollup := event("x", "Nats-Rollup", "all")
	if _, err := web.PublishMsg(t.Context(), rollup); err != nil {
		t.Fatal(err)
	}
	stream, err := admin.Stream(t.Context(), "ROLLCALL_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.GetLastMsgForSubject(t.Context(), "rollcall.events.db1"); err == nil {
		t.Error("the event of another machine still exists")
	}
	refused(t, admin, "stream ROLLCALL_EVENTS: allow_rollup_hdrs is true")

	if err := admin.DeleteStream(t.Context(), "ROLLCALL_EVENTS"); err != nil {
		t.Fatal(err)
	}
	prepared(t, admin)
	if _, err := web.PublishMsg(t.Context(), rollup); err == nil {
		t.Error("our stream accepts a rollup")
	}
}

// prepared creates our streams, retrying right after one was deleted.
func prepared(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	kit.Eventually(t, func() bool {
		_, err := Prepare(t.Context(), js, ourStreams(t), kit.Logger(t))
		return err == nil
	}, "the streams are created")
}
