package stream

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/roster"
)

// backup takes a backup of the stream and returns a function that restores it.
func (s *setup) backup() (restore func()) {
	s.t.Helper()
	nc := s.js.Conn()
	chunks, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		s.t.Fatal(err)
	}
	var snapshot server.JSApiStreamSnapshotResponse
	s.request("$JS.API.STREAM.SNAPSHOT."+name, server.JSApiStreamSnapshotRequest{DeliverSubject: chunks.Subject}, &snapshot)
	var data [][]byte
	for {
		m, err := chunks.NextMsg(10 * time.Second)
		if err != nil {
			s.t.Fatal(err)
		}
		if len(m.Data) == 0 {
			break
		}
		data = append(data, m.Data)
		if m.Reply != "" {
			m.Respond(nil) //nolint:errcheck // the next chunk does not arrive then
		}
	}
	return func() {
		s.t.Helper()
		var ready server.JSApiStreamRestoreResponse
		s.request("$JS.API.STREAM.RESTORE."+name, server.JSApiStreamRestoreRequest{Config: *snapshot.Config, State: *snapshot.State}, &ready)
		for _, chunk := range append(data, nil) {
			m, err := nc.Request(ready.DeliverSubject, chunk, 10*time.Second)
			if err != nil {
				s.t.Fatal(err)
			}
			if bytes.Contains(m.Data, []byte(`"error"`)) {
				s.t.Fatalf("restoring: %s", m.Data)
			}
		}
	}
}

// request sends a request to the server's API.
func (s *setup) request(subject string, request, answer any) {
	s.t.Helper()
	b, err := json.Marshal(request)
	if err != nil {
		s.t.Fatal(err)
	}
	m, err := s.js.Conn().Request(subject, b, 10*time.Second)
	if err != nil {
		s.t.Fatal(err)
	}
	var failed struct{ Error *jetstream.APIError }
	if err := errors.Join(json.Unmarshal(m.Data, &failed), json.Unmarshal(m.Data, answer)); err != nil || failed.Error != nil {
		s.t.Fatalf("%s: %s (%v)", subject, m.Data, err)
	}
}

// TestRestoredBackup: a stream restored from a backup, as by "nats stream restore", has
// a new creation time; its messages prove that it is a copy, and reading continues
// after the newest position that it has.
func TestRestoredBackup(t *testing.T) {
	s := newSetup(t)
	s.publish(1, 10)
	r := s.read(roster.Position{})
	r.await("message 10")
	earlier, _ := r.end()
	s.earlier = []roster.Position{earlier}
	s.publish(11, 15)
	restore := s.backup()
	s.publish(16, 20)
	r = s.read(earlier)
	r.await("message 20")
	at, _ := r.end()
	if err := s.js.DeleteStream(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	restore()
	s.publish(21, 22)
	r = s.read(at)
	r.await("message 22")
	r.wantMessages(11, 12, 13, 14, 15, 21, 22)
	r.wantPlaces(map[uint64]roster.Loss{}, 21, 22, 23, 24, 25, 26, 27)
	end, _ := r.end()
	if end.Judged != at.Proof.Receipt || end.Proof.Created == at.Proof.Created || r.unread != 1 {
		t.Errorf("at %+v after %+v, %d incarnations", end, at, r.unread)
	}
	// The stream after that is not a copy, and was never judged.
	if err := s.js.DeleteStream(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	s.create()
	s.publish(31, 32)
	s.earlier = nil
	r = s.read(end)
	r.await("message 32")
	if end, _ := r.end(); end.Judged != 0 {
		t.Errorf("messages of another stream count as judged up to %v", end.Judged)
	}
}
