package natsserver

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"rollcall/internal/natsconn"
	"rollcall/internal/test/kit"
)

// TestWithoutKey: a program without the key publishes events and gets acks, asks
// questions, receives reports and changes, finds the service and sees the streams.
func TestWithoutKey(t *testing.T) {
	dir := t.TempDir()
	e := embedded(t, "127.0.0.1:0", dir)
	admin := connected(t, natsconn.Options{URL: e.URL(), NKey: natsconn.KeyFile(dir)})
	if _, err := natsconn.Prepare(t.Context(), kit.JetStream(t, admin), ourStreams(t), quiet()); err != nil {
		t.Fatal(err)
	}
	service, err := micro.AddService(admin, micro.Config{Name: "rollcall", Version: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	defer service.Stop()                                                                  //nolint:errcheck // the test ends
	answer := micro.HandlerFunc(func(r micro.Request) { r.Respond([]byte("an answer")) }) //nolint:errcheck // it would time out
	if err := service.AddEndpoint("report", answer, micro.WithEndpointSubject("rollcall.query.report")); err != nil {
		t.Fatal(err)
	}

	local := connected(t, natsconn.Options{URL: e.URL()})
	js := kit.JetStream(t, local)
	for _, subject := range []string{"rollcall.events", "rollcall.events.web.example.com"} {
		if ack, err := js.Publish(t.Context(), subject, []byte("x")); err != nil || ack.Stream != "ROLLCALL_EVENTS" {
			t.Errorf("publishing to %s: %v", subject, err)
		}
	}
	for subject, want := range map[string]string{
		"rollcall.query.report": "an answer", "$SRV.PING": `"name":"rollcall"`, "$SRV.INFO.rollcall": "rollcall.query.report",
		"$JS.API.STREAM.INFO.ROLLCALL_EVENTS": `"messages":2`, "$JS.API.STREAM.LIST": "ROLLCALL_REPORTS",
	} {
		if m, err := local.Request(subject, nil, 5*time.Second); err != nil || !strings.Contains(string(m.Data), want) {
			t.Errorf("%s: %v %+v", subject, err, m)
		}
	}
	received := make(chan *nats.Msg, 10)
	for _, subject := range []string{"rollcall.reports", "rollcall.changes", "rollcall.changes.>"} {
		if _, err := local.ChanSubscribe(subject, received); err != nil {
			t.Fatal(err)
		}
	}
	if err := local.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{"rollcall.reports", "rollcall.changes", "rollcall.changes.web.example.com"} {
		if err := admin.Publish(subject, nil); err != nil {
			t.Fatal(err)
		}
		select {
		case m := <-received:
			if m.Subject != subject {
				t.Errorf("%s arrived as %s", subject, m.Subject)
			}
		case <-time.After(20 * time.Second):
			t.Errorf("%s was not received", subject)
		}
	}
	kit.Eventually(t, func() bool { // it is delivered before it is stored
		m, err := local.Request("$JS.API.DIRECT.GET.ROLLCALL_REPORTS.rollcall.reports", nil, 5*time.Second)
		return err == nil && m.Header.Get("Nats-Subject") == "rollcall.reports"
	}, "the last report is stored")
}

// TestWithoutKeyNothingElse: without the key nobody deletes or changes anything,
// even by directing a reply to a subject where it is a request, and nobody poses as
// rollcall to other programs.
func TestWithoutKeyNothingElse(t *testing.T) {
	dir := t.TempDir()
	e := embedded(t, "127.0.0.1:0", dir)
	admin := kit.JetStream(t, connected(t, natsconn.Options{URL: e.URL(), NKey: natsconn.KeyFile(dir)}))
	if _, err := natsconn.Prepare(t.Context(), admin, ourStreams(t), quiet()); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Publish(t.Context(), "rollcall.deadletters.1", nil); err != nil {
		t.Fatal(err)
	}
	local := connected(t, natsconn.Options{URL: e.URL()})
	requests := []string{
		"$JS.API.STREAM.DELETE.ROLLCALL_EVENTS", "$JS.API.STREAM.DELETE.ROLLCALL_DEADLETTERS", "$JS.API.STREAM.PURGE.ROLLCALL_DEADLETTERS",
		"$JS.API.STREAM.CREATE.MINE", "$JS.API.STREAM.UPDATE.ROLLCALL_EVENTS", "$JS.API.CONSUMER.CREATE.ROLLCALL_EVENTS", "rollcall.deadletters.2",
	}
	for _, subject := range requests {
		if m, err := local.Request(subject, nil, 300*time.Millisecond); err == nil {
			t.Errorf("%s is answered: %s", subject, m.Data)
		}
		for _, question := range []string{"$JS.API.DIRECT.GET.ROLLCALL_DEADLETTERS", "$JS.API.STREAM.MSG.GET.ROLLCALL_DEADLETTERS"} {
			if err := local.PublishRequest(question, subject, []byte(`{"seq":1}`)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, subject := range []string{"$JS.API.>", "$SRV.>"} { // to pose as the server or rollcall
		nosy := connected(t, natsconn.Options{URL: e.URL()})
		if _, err := nosy.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
		kit.Eventually(t, func() bool { return errors.Is(nosy.LastError(), nats.ErrPermissionViolation) }, subject+" may not be subscribed to")
	}
	other := connected(t, natsconn.Options{URL: e.URL()})
	sub, err := other.SubscribeSync("rollcall.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(other.Flush(), local.Publish("rollcall.reports", nil), local.Publish("rollcall.changes.web", nil), local.Publish("rollcall.query.report", nil), local.Flush()); err != nil {
		t.Fatal(err)
	}
	if m, err := sub.NextMsg(300 * time.Millisecond); err == nil {
		t.Errorf("another program receives %s", m.Subject)
	}
	for name, want := range map[string]uint64{"ROLLCALL_EVENTS": 0, "ROLLCALL_DEADLETTERS": 1, "ROLLCALL_REPORTS": 0} {
		s, err := admin.Stream(t.Context(), name)
		if err != nil || s.CachedInfo().State.Msgs != want {
			t.Errorf("%s: %v, %+v", name, err, s)
		}
	}
	if _, err := admin.Stream(t.Context(), "MINE"); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Error("a stream was created")
	}
}

// TestKeyFile: only its owner can read the key; it stays the same; an invalid one is
// an error.
func TestKeyFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "admin.nk")
	public, err := key(file)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if again, err := key(file); err != nil || again != public {
		t.Errorf("%s, then %s (%v)", public, again, err)
	}
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = key(file)
	wantError(t, err, false, file, "remove the file")
}

// TestStreamsStay: streams that an embedded server created before it had accounts
// still exist.
func TestStreamsStay(t *testing.T) {
	s := kit.StartServer(t)
	makeStream(t, kit.JetStream(t, kit.Conn(t, s.URL)), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
	s.Stop()
	e := embedded(t, "127.0.0.1:0", s.Dir)
	if _, err := kit.JetStream(t, connected(t, natsconn.Options{URL: e.URL(), NKey: natsconn.KeyFile(s.Dir)})).Stream(t.Context(), "S"); err != nil {
		t.Error(err)
	}
}
