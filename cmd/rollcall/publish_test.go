package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/publish"
	"rollcall/internal/test/kit"
)

// eventsStream creates a stream of events on the server.
func eventsStream(t *testing.T, url string, config jetstream.StreamConfig, options ...nats.Option) jetstream.Stream {
	t.Helper()
	js := kit.JetStream(t, kit.Conn(t, url, options...))
	config.Name, config.Subjects = "EVENTS", []string{"rollcall.events.>"}
	s, err := js.CreateStream(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// boots returns a line with a boot for each machine.
func boots(machines ...string) string {
	var b strings.Builder
	for _, machine := range machines {
		fmt.Fprintf(&b, `{"date":"2026-11-22T21:00:00Z","type":"boot","machine":%q}`+"\n", machine)
	}
	return b.String()
}

func (r result) check(t *testing.T, code int, out, err string) {
	t.Helper()
	if r.code != code || r.out != out || !strings.Contains(r.err, err) || (err == "") != (r.err == "") {
		t.Errorf("exit code %d, output %q, errors %q; want %d, %q, %q", r.code, r.out, r.err, code, out, err)
	}
}

func TestPublishKeepsTheOrder(t *testing.T) {
	nats := kit.StartServer(t)
	stream := eventsStream(t, nats.URL, jetstream.StreamConfig{})
	kit.Environment(t, map[string]string{"NATS_URL": nats.URL})
	const n = 3000 // several times what is in flight at once
	var machines []string
	for i := range n {
		machines = append(machines, fmt.Sprintf("m%d", i))
	}
	rollcall(t.Context(), strings.NewReader(boots(machines...)), "publish").
		check(t, exitDone, "3000 stored\n", "")
	for _, i := range []int{0, 1, 255, 256, 257, 1500, n - 1} {
		msg, err := stream.GetMsg(t.Context(), uint64(i+1))
		if err != nil || msg.Subject != "rollcall.events."+machines[i] {
			t.Errorf("message %d: %+v, %v; want machine %s", i+1, msg, err, machines[i])
		}
	}
}

// An event that the service would not recognise as JSON gets a Content-Type, others don't.
func TestPublishContentType(t *testing.T) {
	nats := kit.StartServer(t)
	stream := eventsStream(t, nats.URL, jetstream.StreamConfig{})
	kit.Environment(t, map[string]string{"NATS_URL": nats.URL})
	rollcall(t.Context(), strings.NewReader("\t"+boots("a")+boots("a")), "publish").
		check(t, exitDone, "2 stored\n", "")
	for seq, want := range map[uint64]string{1: "application/json", 2: ""} {
		msg, err := stream.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		if got := msg.Header.Get("Content-Type"); got != want {
			t.Errorf("message %d: Content-Type %q, want %q", seq, got, want)
		}
	}
}

func TestPublishOversize(t *testing.T) {
	nats := kit.StartServer(t)
	eventsStream(t, nats.URL, jetstream.StreamConfig{})
	kit.Environment(t, map[string]string{"NATS_URL": nats.URL})
	rollcall(t.Context(), strings.NewReader(boots("a")+strings.Repeat("x", 300_000)+"\n"+boots("b")), "publish").
		check(t, exitFailed, "2 stored, 1 refused\n", "stdin:2: oversize: payload: 300000 bytes, at most 262144: send less")
}

// users are an admin and an agent with these permissions.
func users(p *server.Permissions) func(*server.Options) {
	return func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "admin", Password: "admin"},
			{Username: "agent", Password: "agent", Permissions: p},
		}
	}
}

func asAgent(url string) map[string]string {
	return map[string]string{"NATS_URL": url, "NATS_USER": "agent", "NATS_PASSWORD": "agent"}
}

// A denied publish is reported with the server's reason, long before its ack times out,
// and the others are stored.
func TestPublishDenied(t *testing.T) {
	s := kit.StartServer(t, users(&server.Permissions{
		Publish: &server.SubjectPermission{Allow: []string{"rollcall.events.a"}},
	}))
	eventsStream(t, s.URL, jetstream.StreamConfig{}, nats.UserInfo("admin", "admin"))
	kit.Environment(t, asAgent(s.URL))
	begin := time.Now()
	rollcall(t.Context(), strings.NewReader(boots("a", "b", "a", "b")), "publish").
		check(t, exitFailed, "2 stored, 2 failed\n",
			`stdin:2: not stored: NATS does not let the user "agent" publish to "rollcall.events.b": use credentials that may`)
	if took := time.Since(begin); took > publish.AckWait {
		t.Errorf("took %v", took)
	}
}

// A connection that may not receive replies gets no acks; the event may be stored
// nevertheless, and the message does not deny that.
func TestPublishWithoutAnswers(t *testing.T) {
	s := kit.StartServer(t, users(&server.Permissions{
		Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX_agent.>"}},
	}))
	stream := eventsStream(t, s.URL, jetstream.StreamConfig{}, nats.UserInfo("admin", "admin"))
	kit.Environment(t, asAgent(s.URL))
	got := rollcall(t.Context(), strings.NewReader(boots("a")), "publish")
	got.check(t, exitFailed, "0 stored, 1 without an ack\n",
		"rollcall: publish: stdin:1: no ack, so it may or may not be stored: NATS does not let the user \"agent\" receive answers on \"_INBOX.")
	if !strings.Contains(got.err, ": set NATS_INBOX_PREFIX to ") {
		t.Errorf("%q does not say what to set", got.err)
	}
	kit.Eventually(t, func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Msgs == 1
	}, "the event is stored")

	t.Setenv("NATS_INBOX_PREFIX", "_INBOX_agent")
	rollcall(t.Context(), strings.NewReader(boots("a")), "publish").
		check(t, exitDone, "1 stored\n", "")
}

// A message that the stream refuses is reported, and the next is sent.
func TestPublishRefusedByTheStream(t *testing.T) {
	s := kit.StartServer(t)
	eventsStream(t, s.URL, jetstream.StreamConfig{MaxMsgSize: 100})
	kit.Environment(t, map[string]string{"NATS_URL": s.URL})
	rollcall(t.Context(), strings.NewReader(boots("a", strings.Repeat("b", 100), "c")), "publish").
		check(t, exitFailed, "2 stored, 1 failed\n", "stdin:2: not stored: nats: API error")
}

func TestPublishOverServerLimit(t *testing.T) {
	s := kit.StartServer(t, func(o *server.Options) { o.MaxPayload = 1000 })
	eventsStream(t, s.URL, jetstream.StreamConfig{})
	kit.Environment(t, map[string]string{"NATS_URL": s.URL})
	long := strings.Replace(boots("b"), "{", "{"+strings.Repeat(" ", 2000), 1)
	rollcall(t.Context(), strings.NewReader(boots("a")+long+boots("c")), "publish").
		check(t, exitFailed, "2 stored, 1 failed\n", "stdin:2: not stored: ")
}

// interruptible runs publish on an input that gives one event and then blocks
// until the test ends, and calls then when that event is stored.
func interruptible(ctx context.Context, t *testing.T, stream jetstream.Stream, then func(more io.Writer)) result {
	t.Helper()
	r, w := io.Pipe()
	t.Cleanup(func() { w.Close() })
	done := make(chan result)
	go func() { done <- rollcall(ctx, r, "publish") }()
	if _, err := io.WriteString(w, boots("a")); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Msgs == 1
	}, "the event is stored")
	then(w)
	return <-done
}

func TestPublishInterrupted(t *testing.T) {
	s := kit.StartServer(t)
	stream := eventsStream(t, s.URL, jetstream.StreamConfig{})
	kit.Environment(t, map[string]string{"NATS_URL": s.URL})
	ctx, interrupt := context.WithCancel(t.Context())
	interruptible(ctx, t, stream, func(io.Writer) { interrupt() }).
		check(t, exitFailed, "1 stored\n", "rollcall: publish: interrupted after stdin:1; publish the lines after that one\n")
}

func TestPublishLosesTheServer(t *testing.T) {
	s := kit.StartServer(t)
	stream := eventsStream(t, s.URL, jetstream.StreamConfig{})
	kit.Environment(t, map[string]string{"NATS_URL": s.URL})
	got := interruptible(t.Context(), t, stream, func(more io.Writer) {
		s.Stop()
		_, _ = io.WriteString(more, boots("b"))
	})
	// The server may stop after it has stored the first event and before its ack; then
	// the second may not have been sent.
	want := [2]string{"1 stored, 1 without an ack\n", "stdin:2"}
	if strings.HasPrefix(got.out, "0 ") {
		want = [2]string{"0 stored, 2 without an ack\n", "stdin:1"}
	}
	if strings.HasPrefix(got.out, "0 stored, 1 ") {
		want[0] = "0 stored, 1 without an ack\n"
	}
	got.check(t, exitFailed, want[0], "rollcall: publish: "+want[1]+": no ack, so it may or may not be stored: the connection was lost; check that the server is running, then publish from here on\n")
}

// A name that is not UTF-8 is refused, not changed: two names never become one.
func TestPublishInvalidUTF8(t *testing.T) {
	for _, args := range [][]string{
		{"--login", "a\xff", "--machine", "m"},
		{"--login", "a", "--machine", "m\xff"},
		{"--login", "a", "--machine", "m", "--session", "\xff"},
	} {
		if got := rollcall(t.Context(), nil, append([]string{"publish"}, args...)...); got.code != exitUsage || !strings.Contains(got.err, "UTF-8") {
			t.Errorf("%q: %+v", args, got)
		}
	}
}
