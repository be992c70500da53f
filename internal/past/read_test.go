package past

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// TestLargeMessages: messages of a megabyte, of which few make a pull, are read
// past.
func TestLargeMessages(t *testing.T) {
	w := lonely(t, settings(1000*time.Hour))
	junk := make([]byte, 1000<<10)
	for range 6 {
		w.raw(w.subjects.Events(), junk)
		w.raw(w.subjects.EventsOf("web"), junk)
	}
	w.send(at(ago(5), kit.Login("web", "lane")), true)
	w.send(at(ago(4), kit.Logout("web", "lane")), false)
	w.read(t, t)
	for _, machine := range []string{"", "web"} {
		a := w.ask(t, t, Question{Machine: machine, To: ago(4.5)})
		if len(a.On) != 1 || a.On[0].Session.User != "lane" {
			t.Errorf("machine %q: %v, want lane", machine, a.On)
		}
	}
}

// TestFromMQTT: what came by MQTT is found where the machine's other events are.
func TestFromMQTT(t *testing.T) {
	w := lonely(t, settings(1000*time.Hour))
	const machine = "web.example.com"
	w.sendTo(w.subjects.Events()+".web//example//com", at(ago(5), kit.Login(machine, "lane")))
	w.send(at(ago(4), kit.Login(machine, "chris")), false)
	w.sendTo(w.subjects.Events()+".web//example//com", at(ago(3), kit.Logout(machine, "chris")))
	w.send(at(ago(2), kit.Logout(machine, "lane")), true)
	w.read(t, t)
	if a := w.ask(t, t, Question{Machine: machine, Stays: true, To: roster.MaxDate}); len(a.Stays) != 2 {
		t.Errorf("%v, want a stay of chris and one of lane", a.Stays)
	}
	if a := w.ask(t, t, Question{Machine: machine, To: ago(4.5)}); len(a.On) != 1 || a.On[0].Session.User != "lane" {
		t.Errorf("%v, want lane", a.On)
	}
}

// TestAnotherStream: the past is not made of another stream's events, also when
// that comes while it is read.
func TestAnotherStream(t *testing.T) {
	w, moment := hundred(t)
	w.patience = time.Millisecond
	w.behind.Store(true)
	begun, err := w.Ask(t.Context(), Question{To: moment})
	if err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, func() bool { return begun.inquiry.last.Load() > 0 }, "the stream was looked at")
	w.patience = 20 * time.Second
	config := w.stream.CachedInfo().Config
	if err := w.land.js.DeleteStream(t.Context(), config.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Ask(t.Context(), Question{To: moment}); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("without the stream: %v", err)
	}
	kit.CreateStream(t, w.land.js, config)
	if _, err := w.Ask(t.Context(), Question{To: moment}); !errors.Is(err, errAnother) {
		t.Errorf("with another stream: %v", err)
	}
	for range w.sent {
		w.raw(w.subjects.Events(), []byte("{}"))
	}
	w.store(t)
	if _, err := w.Ask(t.Context(), Question{To: moment}); !errors.Is(err, errAnother) {
		t.Errorf("with another stream that is as long: %v", err)
	}
	w.behind.Store(false)
	if _, err := w.Continue(t.Context(), begun.Take(0)); !errors.Is(err, errAnother) {
		t.Errorf("begun with the other: %v", err)
	}
	w.awaitNone(t)
	w.counted(t, resultFailed, 4)
}

// TestServerAway: a question outlives its consumers and the connection.
func TestServerAway(t *testing.T) {
	server := kit.StartServer(t)
	nc := kit.Conn(t, server.URL)
	l := &land{nc: nc, js: kit.JetStream(t, nc), durable: true}
	w := l.world(t, t, settings(1000*time.Hour))
	t.Cleanup(w.Close)
	for i := range 3 * pullMessages {
		e := kit.Login("web", "lane")
		if i%2 == 1 {
			e = kit.Logout("web", "lane")
		}
		w.send(at(ago(100-float64(i)/100), e), i%3 == 0)
	}
	w.read(t, t)
	pulled := make(chan struct{})
	away := make(chan struct{})
	pulls := 0
	w.config.Behind = func() bool {
		if pulls++; pulls == 3 {
			close(pulled)
			<-away
		}
		return false
	}
	go func() {
		<-pulled
		server.Stop()
		close(away)
		server.Start()
	}()
	q := Question{Machine: "web", Stays: true, To: roster.MaxDate}
	a := w.ask(t, t, q)
	if len(a.Stays) != 3*pullMessages/2 || a.Unplaced != 0 {
		t.Errorf("%d stays, want %d", len(a.Stays), 3*pullMessages/2)
	}
}

// TestDroppedMessages: what was lost on the way is read again.
func TestDroppedMessages(t *testing.T) {
	w := lonely(t, settings(1000*time.Hour))
	const n = 2*pullMessages + 100
	for range n {
		w.raw(w.subjects.Events(), []byte("junk"))
	}
	w.store(t)
	source := &retained{
		js: w.land.js, nc: w.nc, log: kit.Logger(t), stream: w.config.Stream,
		created: roster.TimeOf(w.stream.CachedInfo().Created), first: 1, last: n,
	}
	l := &lane{retained: source, next: 1}
	defer l.close()
	var got uint64
	for !l.ended {
		messages, err := l.read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			if got++; m.sequence != got {
				t.Fatalf("sequence %d after %d", m.sequence, got-1)
			}
		}
		if got == pullMessages { // somebody else gets the next ones
			_, err := w.nc.Request("$JS.API.CONSUMER.MSG.NEXT."+l.stream+"."+l.consumer, []byte(`{"batch":10,"no_wait":true}`), apiTimeout)
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if got != n {
		t.Errorf("%d messages, want %d", got, n)
	}
}
