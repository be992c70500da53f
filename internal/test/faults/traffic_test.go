package faults

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
	"rollcall/proto/rollcall/v1/rollcallpb"
)

// The allowed lateness and skew, small enough that the traffic exceeds them.
const (
	lateness = time.Hour
	skew     = 10 * time.Minute
)

// event is the meaning of a message. Its JSON is a valid payload.
type event struct {
	Date     time.Time `json:"date"`
	Type     string    `json:"type"`
	Machine  string    `json:"machine"`
	User     string    `json:"user,omitempty"`
	Session  string    `json:"session,omitempty"`
	Sessions []stay    `json:"sessions,omitempty"`
	// Bad is the reason for which the message is to be refused; "" if it is valid.
	Bad string `json:"-"`
}

type stay struct {
	User    string `json:"user"`
	Session string `json:"session,omitempty"`
}

// The headers from which the oracle learns the meaning of a message. rollcall ignores
// them.
const (
	headerMeaning = "Meaning" // the event, in JSON
	headerBad     = "Bad"     // event.Bad
)

// Half of the events are of these machines, the others of moreMachines, so that writing
// a snapshot takes a while.
var machines = []string{"web", "db", "web.example.com", "ws 5", "räume/7", ".hidden.", "a*b>c", "mail", "m%20", "last"}

const moreMachines = 3000

// traffic generates random messages: all types, equal dates, late and future dates, both
// encodings, and messages to be refused for every reason.
type traffic struct {
	rng *rand.Rand
	now time.Time
}

func newTraffic(rng *rand.Rand) *traffic {
	return &traffic{rand.New(rand.NewPCG(rng.Uint64(), 1)), time.Now().Truncate(time.Second)}
}

// message generates the next message.
func (g *traffic) message() *nats.Msg {
	e := g.event()
	msg := nats.NewMsg(rollcallv1.DefaultSubject + ".events")
	if g.rng.IntN(2) == 0 {
		msg.Subject += "." + rollcallv1.EncodeMachine(e.Machine)
	}
	text, _ := json.Marshal(e) // an event always can be
	switch g.rng.IntN(10) {
	case 0:
		msg.Data = g.corrupt(msg, &e, string(text))
	case 1, 2, 3:
		msg.Data = e.protobuf()
	default:
		msg.Data = text
	}
	msg.Header.Set(headerMeaning, string(text))
	msg.Header.Set(headerBad, e.Bad)
	return msg
}

func (g *traffic) event() event {
	e := event{Date: g.date(), Machine: machines[g.rng.IntN(len(machines))]}
	if g.rng.IntN(2) == 0 {
		e.Machine = fmt.Sprintf("machine%d", g.rng.IntN(moreMachines))
	}
	switch n := g.rng.IntN(100); {
	case n < 50:
		e.Type, e.User, e.Session = "login", g.user(), g.session()
	case n < 85:
		e.Type, e.User, e.Session = "logout", g.user(), g.session()
	case n < 88:
		e.Type = "boot"
	case n < 91:
		e.Type = "shutdown"
	default:
		e.Type, e.Sessions = "present", g.sessions()
	}
	return e
}

// date is mostly within the last hour and often that of another event; some dates are
// late, some in the future.
func (g *traffic) date() time.Time {
	back := g.rng.IntN(3000)
	switch g.rng.IntN(20) {
	case 0:
		back = 2 * int(lateness/time.Second)
	case 1:
		back = -g.rng.IntN(2 * int(skew/time.Second))
	case 2:
		return g.now.Add(-time.Duration(g.rng.Int64N(int64(lateness))))
	}
	return g.now.Add(-time.Duration(back/10*10) * time.Second)
}

func (g *traffic) user() string { return fmt.Sprintf("u%d", g.rng.IntN(8)) }

func (g *traffic) session() string {
	if g.rng.IntN(2) == 0 {
		return ""
	}
	return fmt.Sprintf("s%d", g.rng.IntN(6))
}

// sessions generates a list with one entry for each session.
func (g *traffic) sessions() []stay {
	var list []stay
	for _, i := range g.rng.Perm(8)[:g.rng.IntN(4)] {
		s := stay{User: fmt.Sprintf("u%d", i)}
		if i%2 == 0 {
			s.Session = fmt.Sprintf("s%d", i)
		}
		list = append(list, s)
	}
	return list
}

// corrupt turns a valid message into one to be refused.
func (g *traffic) corrupt(msg *nats.Msg, e *event, text string) []byte {
	good := fmt.Sprintf(`"type":"%s"`, e.Type)
	switch g.rng.IntN(8) {
	case 0:
		e.Bad, text = "malformed", text[:len(text)-1]
	case 1:
		e.Bad, text = "malformed", text+"x"
	case 2:
		e.Bad, text = "missing_field", strings.Replace(text, `"machine":`, `"maschine":`, 1)
	case 3:
		e.Bad, text = "unknown_type", strings.Replace(text, good, `"type":"reboot"`, 1)
	case 4:
		e.Bad, text = "bad_date", strings.Replace(text, `"date":"2`, `"date":"-2`, 1)
	case 5:
		e.Bad, text = "bad_name", strings.Replace(text, `"machine":"`, `"machine":"\u202e`, 1)
	case 6:
		e.Bad, msg.Subject = "identity", rollcallv1.DefaultSubject+".events.stranger"
	case 7:
		e.Bad, msg.Subject = "identity", rollcallv1.DefaultSubject+".events.%41"
	}
	return []byte(text)
}

func (e *event) protobuf() []byte {
	m := &rollcallpb.Event{
		Date: timestamppb.New(e.Date), Machine: e.Machine, User: e.User, Session: e.Session,
		Type: rollcallpb.EventType(rollcallpb.EventType_value["EVENT_TYPE_"+strings.ToUpper(e.Type)]),
	}
	for _, s := range e.Sessions {
		m.Sessions = append(m.Sessions, &rollcallpb.Session{User: s.User, Session: s.Session})
	}
	data, _ := proto.Marshal(m) // all strings are UTF-8
	return data
}

// burst is the maximum number of messages published before waiting for their acks.
const burst = 32

// publish publishes bursts, with pauses, until the returned function is called. The
// server must stay up.
func publish(t *testing.T, url string, rng *rand.Rand, pause time.Duration) (stop func()) {
	t.Helper()
	g, js := newTraffic(rng), kit.JetStream(t, kit.Conn(t, url))
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-upTo(g.rng, pause):
			}
			if err := g.publish(js, 1+g.rng.IntN(burst)); err != nil {
				t.Errorf("publishing: %v", err)
				return
			}
		}
	})
	stop = sync.OnceFunc(func() { close(done); running.Wait() })
	t.Cleanup(stop)
	return stop
}

// publish publishes n messages, and returns when all have their acks.
func (g *traffic) publish(js jetstream.JetStream, n int) error {
	for range n {
		if _, err := js.PublishMsgAsync(g.message()); err != nil {
			return err
		}
	}
	select {
	case <-js.PublishAsyncComplete():
		return nil
	case <-time.After(30 * time.Second):
		return fmt.Errorf("no acks for %d messages", js.PublishAsyncPending())
	}
}
