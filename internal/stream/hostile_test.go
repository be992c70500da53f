package stream

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

func subjectsBelow(c *jetstream.StreamConfig) { c.Subjects = append(c.Subjects, "events.>") }

// raw sends lines of the NATS protocol as no client library would.
func raw(t *testing.T, s *kit.Server, lines string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "CONNECT {\"headers\":true,\"verbose\":false}\r\n%sPING\r\n", lines)
	conn.SetReadDeadline(time.Now().Add(10 * time.Second)) //nolint:errcheck // the read fails then
	for in := bufio.NewScanner(conn); in.Scan(); {
		switch line := in.Text(); {
		case line == "PONG":
			return
		case strings.HasPrefix(line, "-ERR"):
			t.Fatalf("the server answered %s", line)
		}
	}
	t.Fatal("no PONG")
}

// TestProofOfHostileMessages: a position whose last message has broken headers,
// or a subject that is not UTF-8, verifies at the next start: no message can
// keep the service from starting.
func TestProofOfHostileMessages(t *testing.T) {
	hpub := func(header, payload string) string {
		return fmt.Sprintf("HPUB events %d %d\r\n%s%s\r\n", len(header), len(header)+len(payload), header, payload)
	}
	for name, lines := range map[string]string{
		"broken header":  hpub("NATS/1.0\r\nGARBAGE WITHOUT COLON\r\n\r\n", "message 1"),
		"short status":   hpub("NATS/1.0 1\r\n\r\n", "message 1"),
		"status of ours": hpub("NATS/1.0 409 Consumer Deleted\r\n\r\n", "message 1"),
		"empty header":   hpub("NATS/1.0\r\n\r\n", "message 1"),
		"odd keys":       hpub("NATS/1.0\r\n: x\r\nA:\r\nA:  y \r\na:z\r\n\r\n", "message 1"),
		"subject":        "PUB events.\xff\xfe.\xc3 9\r\nmessage 1\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := newSetup(t, subjectsBelow)
			raw(t, s.Server, lines)
			r := s.read(roster.Position{})
			r.await("message 1")
			at, err := r.end()
			if err != nil || at.Place != 1 {
				t.Fatalf("position %d, error %v", at.Place, err)
			}
			s.publish(2, 2)
			r = s.read(at)
			r.await("message 2")
			r.wantMessages(2)
			if r.unread != 0 {
				t.Error("detected as another stream")
			}
		})
	}
}

// TestPullsAreCounted: the remaining messages and bytes of a pull are counted exactly
// as the server counts them. The server reports nothing when a pull reaches its bytes,
// so with a wrong count the reader would wait forever.
func TestPullsAreCounted(t *testing.T) {
	s := newSetup(t)
	data := make([]byte, 9000)
	for i := range 6000 { // more than three pulls of 16 MiB
		msg := &nats.Msg{Subject: "events", Data: data[:8000+i%1000]}
		if i%5 == 0 {
			msg.Header = nats.Header{"A": {"b"}}
		}
		if _, err := s.js.PublishMsgAsync(msg); err != nil {
			t.Fatal(err)
		}
		if i%1000 == 0 {
			<-s.js.PublishAsyncComplete()
		}
	}
	<-s.js.PublishAsyncComplete()
	d, err := s.reader(prometheus.NewRegistry()).source.consume(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	c := d.(*consumer)
	ended := 0
	for n := 0; n < 6000; {
		if err := c.requestMore(); err != nil {
			t.Fatal(err)
		}
		msg := <-c.messages
		if left := msg.Header.Get("Nats-Pending-Bytes"); left != "" {
			l := c.subscriptionOf(msg)
			if fmt.Sprint(l.bytes) != left || fmt.Sprint(l.messages) != msg.Header.Get("Nats-Pending-Messages") {
				t.Errorf("counted %d messages and %d bytes remaining, the server %v", l.messages, l.bytes, msg.Header)
			}
			ended++
		}
		got, err := c.handle(nil, msg)
		if err != nil {
			t.Fatal(err)
		}
		n += len(got)
	}
	if ended == 0 {
		t.Error("no pull ended by its bytes")
	}
}
