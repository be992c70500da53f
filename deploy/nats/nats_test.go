// Package nats_test runs a server with the files of this folder and checks who may do
// what.
package nats_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/deploy/internal/program"
)

// cases are subjects that a user may not publish or subscribe to.
type cases struct{ publish, subscribe []string }

// nobody has the cases that are denied to everybody but the admin.
var nobody = cases{
	publish: []string{
		"$JS.API.STREAM.DELETE.ROLLCALL_EVENTS", "$JS.API.STREAM.DELETE.ROLLCALL_DEADLETTERS", "$JS.API.STREAM.DELETE.ROLLCALL_REPORTS",
		"$JS.API.STREAM.PURGE.ROLLCALL_EVENTS", "$JS.API.STREAM.PURGE.ROLLCALL_DEADLETTERS", "$JS.API.STREAM.PURGE.ROLLCALL_REPORTS",
		"$JS.API.STREAM.MSG.DELETE.ROLLCALL_EVENTS", "$JS.API.STREAM.MSG.DELETE.ROLLCALL_DEADLETTERS",
		"$JS.API.STREAM.UPDATE.ROLLCALL_EVENTS", "$JS.API.STREAM.CREATE.OTHER", "$JS.API.STREAM.CREATE.ROLLCALL_EVENTS",
		"$JS.API.STREAM.SNAPSHOT.ROLLCALL_EVENTS", "$JS.API.STREAM.RESTORE.OTHER",
		"$JS.API.STREAM.LEADER.STEPDOWN.ROLLCALL_EVENTS", "$JS.API.STREAM.PEER.REMOVE.ROLLCALL_EVENTS",
		"$JS.API.CONSUMER.CREATE.ROLLCALL_DEADLETTERS.x", "$JS.API.CONSUMER.DURABLE.CREATE.ROLLCALL_EVENTS.x",
		"$SYS.REQ.SERVER.PING", "rollcall.events", "rollcall.events.web2", "other", "_INBOX.x",
	},
	subscribe: []string{
		">", "*", "rollcall.>", "rollcall.*", "rollcall.events.>", "rollcall.events.web1", "rollcall.deadletters.>",
		"_INBOX.>", "_R_.>", "_INBOX_service.>", "_INBOX_admin.>", "$JS.>", "$JS.EVENT.>", "$SYS.>", "other",
	},
}

// denied checks that the server denies a connection these cases, and those of nobody.
func (c cases) denied(t *testing.T, nc *conn) {
	t.Helper()
	cases{append(c.publish, nobody.publish...), append(c.subscribe, nobody.subscribe...)}.deniedOnly(t, nc)
}

// deniedOnly checks that the server denies a connection these cases.
func (c cases) deniedOnly(t *testing.T, nc *conn) {
	t.Helper()
	for _, subject := range c.publish {
		if err := nc.Publish(subject, []byte("{}")); err != nil {
			t.Fatal(err)
		}
		nc.wantDenied("publishing to " + subject)
	}
	for _, subject := range c.subscribe {
		if _, err := nc.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
		nc.wantDenied("subscribing to " + subject)
	}
}

// TestMachine: a machine can publish its own events and receive the acks, and can do
// nothing else.
func TestMachine(t *testing.T) {
	w := newWorld(t)
	for name, machine := range map[string]string{"web1": "web1", "web.example.com": "web.example.com", "space%20ship": "space ship"} {
		w.publish(name, "--login", "lane", "--machine", machine)
	}
	inbox := "_INBOX_" + strings.TrimSpace(read(t, w.path("keys/web.example.com.key")))
	cases{
		publish: []string{
			"rollcall.events.web.example.com", "rollcall.events.web1.x", "rollcall.events.web", "rollcall.reports", "rollcall.changes.web1",
			"rollcall.deadletters.1", "rollcall.query.report", "$JS.API.INFO", "$JS.API.STREAM.INFO.ROLLCALL_EVENTS",
			"$JS.API.STREAM.MSG.GET.ROLLCALL_EVENTS", "$JS.API.CONSUMER.CREATE.ROLLCALL_EVENTS.x", "$SRV.PING", "_R_.x", inbox + ".x",
		},
		subscribe: []string{"rollcall.reports", "rollcall.changes.>", "rollcall.query.>", "$SRV.>", "_INBOX_reader.>", inbox + ".>"},
	}.denied(t, w.connect("web1"))

	out, err := w.rollcall("web1", "publish", "--login", "lane", "--machine", "web2")
	if err == nil || !strings.Contains(out, `publish to "rollcall.events.web2": use credentials that may`) {
		t.Errorf("publishing for another machine: %v: %s", err, out)
	}
	if got := w.stored("ROLLCALL_EVENTS"); got != len(machines) {
		t.Errorf("%d events are stored, want %d", got, len(machines))
	}
}

// stored returns the number of messages of a stream.
func (w *world) stored(stream string) int {
	w.t.Helper()
	s, err := jetStream(w.t, w.connect("admin")).Stream(w.t.Context(), stream)
	if err != nil {
		w.t.Fatal(err)
	}
	return int(s.CachedInfo().State.Msgs)
}

// TestAnswersElsewhere: NATS does not check the reply subject of a request, but wherever a
// machine or a reader directs an answer, it has no effect there.
func TestAnswersElsewhere(t *testing.T) {
	w := newWorld(t)
	admin := w.connect("admin")
	js := jetStream(t, admin)
	letter := nats.NewMsg("rollcall.events.web1")
	letter.Data = []byte(`{"date":"2026-11-22 21:00:00","type":"login","machine":"web2","user":"mallory"}`)
	if _, err := js.PublishMsg(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	program.Serve(t, w.user("service")...)
	program.Eventually(t, "a report and a dead letter are stored", func() bool {
		return w.stored("ROLLCALL_REPORTS") == 1 && w.stored("ROLLCALL_DEADLETTERS") == 1
	})

	machine, reader := w.connect("web1"), w.connect("reader")
	elsewhere := []string{
		"rollcall.events.web2", "rollcall.events", "rollcall.reports", "rollcall.deadletters.9", "rollcall.changes.web2", "_INBOX_admin.x",
		"$JS.API.STREAM.DELETE.ROLLCALL_DEADLETTERS", "$JS.API.STREAM.PURGE.ROLLCALL_DEADLETTERS", "$JS.API.STREAM.PURGE.ROLLCALL_REPORTS",
		"$JS.API.STREAM.MSG.DELETE.ROLLCALL_DEADLETTERS", "$JS.API.STREAM.DELETE.ROLLCALL_EVENTS", "$JS.API.STREAM.CREATE.OTHER",
	}
	changes, err := admin.SubscribeSync("rollcall.changes.web2")
	if err != nil {
		t.Fatal(err)
	}
	for _, subject := range elsewhere {
		if err := machine.PublishRequest("rollcall.events.web1", subject, []byte("{}")); err != nil {
			t.Fatal(err)
		}
		for _, question := range []struct{ subject, request string }{
			{"$JS.API.DIRECT.GET.ROLLCALL_DEADLETTERS", `{"seq":1}`},
			{"$JS.API.DIRECT.GET.ROLLCALL_DEADLETTERS", `{"seq":1,"batch":100}`},
			{"rollcall.query.report", ""},
		} {
			if err := reader.PublishRequest(question.subject, subject, []byte(question.request)); err != nil {
				t.Fatal(err)
			}
		}
	}
	machine.wantAllowed("publishing")
	reader.wantAllowed("asking")
	want := 1 + len(elsewhere) // what was published, and none of the answers
	program.Eventually(t, "all events are stored and refused", func() bool { return w.stored("ROLLCALL_DEADLETTERS") >= want })
	if got := w.stored("ROLLCALL_EVENTS"); got != want {
		t.Errorf("%d events are stored, want %d", got, want)
	}
	if got := w.stored("ROLLCALL_REPORTS"); got != 1 {
		t.Errorf("%d reports are stored, want 1", got)
	}
	if msg, err := changes.NextMsg(time.Second); err == nil {
		t.Errorf("an answer arrived as a change: %s", msg.Data)
	}
	if out, err := w.rollcall("reader", "where", "mallory"); err == nil || !strings.Contains(out+err.Error(), `"mallory" is unknown`) {
		t.Errorf("%v: %s", err, out)
	}
}

// TestReader: a reader can ask all questions with the real commands, and can do nothing
// else.
func TestReader(t *testing.T) {
	w := newWorld(t)
	s := program.Serve(t, w.user("service")...)
	w.publish("web1", "--login", "lane", "--machine", "web1")
	watch := program.Start(t, w.user("reader"), program.Rollcall(t), "watch")
	watch.AwaitLog("web1: lane")
	w.publish("web1", "--login", "ada", "--machine", "web1")
	watch.AwaitLog("+ada")
	forged := nats.NewMsg("rollcall.events.web1")
	forged.Data = []byte(`{"date":"2026-11-22 21:00:00","type":"login","machine":"web2","user":"mallory"}`)
	if _, err := jetStream(t, w.connect("admin")).PublishMsg(t.Context(), forged); err != nil {
		t.Fatal(err)
	}
	program.Eventually(t, "the dead letter is stored", func() bool { return w.stored("ROLLCALL_DEADLETTERS") == 1 })
	for _, c := range []struct{ command, want string }{
		{"report", "web1: ada, lane"},
		{"who web1", "lane"},
		{"where lane", "web1"},
		{"where ada", "web1"},
		{"history --user lane", "web1"},
		{"report --at 2026-11-22T21:00:00Z", ""},
		{"status", "ROLLCALL_EVENTS"},
		{"deadletters", "identity"},
		{"deadletters --output json", `"machine":"web1"`},
	} {
		if out, err := w.rollcall("reader", strings.Fields(c.command)...); err != nil || !strings.Contains(out, c.want) {
			t.Errorf("%s: %v:\n%s", c.command, err, out)
		}
	}
	cases{
		publish: []string{
			"rollcall.events.web1", "rollcall.reports", "rollcall.changes.web1", "rollcall.deadletters.1",
			"$JS.API.INFO", "$JS.API.STREAM.INFO.ROLLCALL_EVENTS", "$JS.API.STREAM.MSG.GET.ROLLCALL_EVENTS",
			"$JS.API.DIRECT.GET.ROLLCALL_EVENTS", "$JS.API.CONSUMER.CREATE.ROLLCALL_EVENTS.x", "$SRV.PING", "_R_.x", "_INBOX_web1.x",
		},
		subscribe: []string{"rollcall.query.>", "$SRV.>", "_INBOX_rollcall.>"},
	}.denied(t, w.connect("reader"))

	reader := w.connect("reader")
	if counts, err := reader.Request("rollcall.query.counts", nil, 5*time.Second); err != nil || !strings.Contains(string(counts.Data), `"counts":[{`) {
		t.Errorf("%v: %+v", err, counts)
	}
	last, err := reader.Request("$JS.API.DIRECT.GET.ROLLCALL_REPORTS.rollcall.reports", nil, 5*time.Second)
	if err != nil || last.Header.Get("Nats-Subject") != "rollcall.reports" {
		t.Errorf("the last report: %+v (%v)", last, err)
	}
	wantNoDenials(t, s.Log())
}

func wantNoDenials(t *testing.T, log string) {
	t.Helper()
	for line := range strings.Lines(log) {
		if strings.Contains(line, "denies") || strings.Contains(line, "Violation") {
			t.Error(line)
		}
	}
}

// TestService: the service can do all of its work, also after a restart of the server.
func TestService(t *testing.T) {
	w := newWorld(t)
	variables := append(w.user("service"),
		"ROLLCALL_SNAPSHOT_INTERVAL=100ms", "ROLLCALL_REPORT_INTERVAL=100ms", "ROLLCALL_DATA_DIR="+t.TempDir())
	s := program.Serve(t, variables...)
	admin := w.connect("admin", nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	changes, err := admin.SubscribeSync("rollcall.changes.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := admin.Publish("rollcall.events.web1", []byte("{")); err != nil {
		t.Fatal(err)
	}
	w.publish("web1", "--login", "lane", "--machine", "web1")
	others := 0
	program.Eventually(t, "a change is published", func() bool { // changes before publishing starts are not
		others++
		w.publish("web1", "--login", fmt.Sprint("user", others), "--machine", "web1")
		change, err := changes.NextMsg(time.Second)
		return err == nil && change.Subject == "rollcall.changes.web1"
	})
	admin.wantAllowed("subscribing to changes")
	if pong, err := admin.Request("$SRV.PING.rollcall", nil, 5*time.Second); err != nil || !strings.Contains(string(pong.Data), `"name":"rollcall"`) {
		t.Errorf("not discovered: %v", err)
	}
	if out, err := w.rollcall("admin", "who", "web1"); err != nil || !strings.Contains(out, "lane") {
		t.Errorf("the admin asks: %v: %s", err, out)
	}

	w.server.Shutdown()
	w.server.WaitForShutdown()
	w.start()
	w.publish("web1", "--login", "ada", "--machine", "web1")
	program.Eventually(t, "the report is stored again", func() bool { return strings.Contains(w.lastReport(), `"users":["ada","lane",`) })
	if got := s.Get("/readyz?verbose"); !strings.Contains(got, "[+] nats: CONNECTED") {
		t.Error(got)
	}
	if got := s.Get("/readyz?verbose"); !strings.Contains(got, "[-] stream: has one replica: it is lost with its server's disk (ready without it)\n") {
		t.Error(got)
	}
	s.Stop()
	wantNoDenials(t, s.Log())

	s = program.Serve(t, variables...)
	if !strings.Contains(s.Log(), "snapshot loaded") {
		t.Error("no snapshot was loaded")
	}
	position := fmt.Sprintf("\nrollcall_position %d\n", w.stored("ROLLCALL_EVENTS"))
	program.Eventually(t, "it has read all events", func() bool { return strings.Contains(s.Get("/metrics"), position) })
	wantNoDenials(t, s.Log())
	if got := w.stored("ROLLCALL_DEADLETTERS"); got != 1 {
		t.Errorf("%d dead letters, want 1", got)
	}
}

// lastReport returns the stored report.
func (w *world) lastReport() string {
	w.t.Helper()
	s, err := jetStream(w.t, w.connect("admin")).Stream(w.t.Context(), "ROLLCALL_REPORTS")
	if err != nil {
		w.t.Fatal(err)
	}
	m, err := s.GetLastMsgForSubject(w.t.Context(), "rollcall.reports")
	if err != nil {
		return ""
	}
	return string(m.Data)
}

// TestTwoServices: two services detect each other, and a reader gets answers of both.
func TestTwoServices(t *testing.T) {
	w := newWorld(t)
	w.wantTwo(w.user("service"), w.connect("reader"))
}

// wantTwo starts two services and checks that they detect each other.
func (w *world) wantTwo(service []string, reader *conn) {
	w.t.Helper()
	one := program.Serve(w.t, service...)
	two := program.Serve(w.t, append(service, "ROLLCALL_MAX_SKEW=1m")...)
	for _, s := range []*program.Service{one, two} {
		program.Eventually(w.t, "each reports the other", func() bool {
			return strings.Contains(s.Log(), "another rollcall answers on the same subjects") &&
				strings.Contains(s.Get("/metrics"), "\nrollcall_instances 2\n")
		})
		wantNoDenials(w.t, s.Log())
	}
	inbox := reader.NewInbox()
	answers, err := reader.SubscribeSync(inbox)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := reader.PublishRequest("rollcall.query.instances", inbox, nil); err != nil {
		w.t.Fatal(err)
	}
	seen := map[string]bool{}
	for range 2 {
		answer, err := answers.NextMsg(10 * time.Second)
		if err != nil {
			w.t.Fatalf("%d answers: %v", len(seen), err)
		}
		seen[string(answer.Data)] = true
	}
	if extra, err := answers.NextMsg(200 * time.Millisecond); err == nil || len(seen) != 2 {
		w.t.Errorf("answers %v and %v, want two", seen, extra)
	}
}

// TestServiceDenied: the service may not do what it does not need.
func TestServiceDenied(t *testing.T) {
	w := newWorld(t)
	service := w.connect("service")
	cases{
		publish: []string{
			"rollcall.events.web1", "rollcall.query.report", "$JS.API.STREAM.CREATE.ROLLCALL_DEADLETTERS",
			"$JS.API.DIRECT.GET.ROLLCALL_EVENTS", "$JS.API.CONSUMER.DELETE.ROLLCALL_DEADLETTERS.x", "_INBOX_reader.x", "$SRV.PING",
		},
		subscribe: []string{"rollcall.events", "rollcall.reports", "_INBOX_reader.>"},
	}.denied(t, service)
}

// TestStreamsMissing: the service may not create streams, and names the missing ones and
// the permission.
func TestStreamsMissing(t *testing.T) {
	w := newFolder(t)
	w.start()
	variables := append(w.user("service"), "ROLLCALL_DATA_DIR="+t.TempDir(), "ROLLCALL_HTTP_ADDR=127.0.0.1:0")
	out, err := command(t, variables, "serve")
	if fmt.Sprint(err) != "exit status 78" || !strings.Contains(out, "missing streams ROLLCALL_EVENTS, ROLLCALL_REPORTS, ROLLCALL_DEADLETTERS") || !strings.Contains(out, "$JS.API.STREAM.CREATE.ROLLCALL_EVENTS") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestStreams: the streams that the admin creates have the sizes in the README, which the
// server has room for, in three replicas too, and else equal those that rollcall would create.
func TestStreams(t *testing.T) {
	w := newWorld(t)
	theirs, ours := jetStream(t, w.connect("admin")), jetStream(t, dial(t, program.Serve(t).NATS))
	all := 0.0
	for name, size := range map[string]float64{"ROLLCALL_EVENTS": 10, "ROLLCALL_DEADLETTERS": 2.5, "ROLLCALL_REPORTS": 1.25} {
		made, want := streamConfig(t, theirs, name), streamConfig(t, ours, name)
		if made.MaxBytes != int64(size*(1<<30)) {
			t.Errorf("%s: at most %d bytes, want %v GiB", name, made.MaxBytes, size)
		}
		if !strings.Contains(read(t, "README.md"), fmt.Sprint(size, " GiB of ")) {
			t.Errorf("%s: README.md does not have %v GiB", name, size)
		}
		all += 3 * float64(made.MaxBytes)
		made.MaxBytes = want.MaxBytes
		if !reflect.DeepEqual(made, want) {
			t.Errorf("%s is created as\n%+v, by rollcall serve as\n%+v", name, made, want)
		}
	}
	if limit := float64(w.server.JetStreamConfig().MaxStore); all > limit {
		t.Errorf("three replicas take %.0f bytes, the server has %.0f", all, limit)
	}
}

func streamConfig(t *testing.T, js jetstream.JetStream, name string) jetstream.StreamConfig {
	t.Helper()
	s, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	config := s.CachedInfo().Config
	config.Metadata = nil
	return config
}
