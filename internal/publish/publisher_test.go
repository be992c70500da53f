package publish

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"rollcall/internal/natsconn"
	"rollcall/internal/test/kit"
	"rollcall/internal/wire"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

func TestTally(t *testing.T) {
	for _, test := range []struct {
		tally Tally
		want  string
	}{
		{Tally{}, "0 stored"},
		{Tally{Stored: 6}, "6 stored"},
		{Tally{Stored: 6, Refused: 1}, "6 stored, 1 refused"},
		{Tally{6, 1, 2, 3}, "6 stored, 1 refused, 2 failed, 3 without an ack"},
	} {
		if got := test.tally.String(); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

type noProgress struct{}

func (noProgress) Advance(int)           {}
func (noProgress) Report(string, ...any) {}

// TestLostServer: an event sent after the connection was lost is not waited for:
// whether it is stored is unknown at once.
func TestLostServer(t *testing.T) {
	s := kit.StartServer(t)
	subjects, err := rollcallv1.NewSubjects("rollcall")
	if err != nil {
		t.Fatal(err)
	}
	p := New(subjects, wire.NewDecoder(subjects), natsconn.Options{}.Denied)
	conn, err := nats.Connect(s.URL, p.Options()...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s.Stop()
	kit.Eventually(t, conn.IsReconnecting, "the client has noticed")
	event := `{"date":"2026-11-22T21:00:00Z","type":"boot","machine":"web1"}`
	tally, err := p.Send(t.Context(), conn, []Input{{Name: "stdin", Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(event)), nil }}}, noProgress{})
	if tally != (Tally{NoAck: 1}) || !errors.Is(err, errLost) {
		t.Errorf("%v, %v", tally, err)
	}
}
