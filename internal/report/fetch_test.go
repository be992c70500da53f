package report

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"rollcall/internal/testkit"
)

func TestNobodyAnswers(t *testing.T) {
	nc := testkit.Conn(t, testkit.StartServer(t).URL)
	_, err := Join(Fetch(t.Context(), nc, subjects, Request{}))
	want := "no rollcall answers on rollcall.query.report: is `rollcall serve` running on this NATS server?"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Join(Fetch(ctx, nc, subjects, Request{})); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that of the context", err)
	}
	nc.Close()
	if _, err := Join(Fetch(t.Context(), nc, subjects, Request{})); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("got %v, want connection closed", err)
	}
}

// respond answers all questions for reports with the same bytes.
func respond(t *testing.T, data string) *nats.Conn {
	t.Helper()
	nc := testkit.Conn(t, testkit.StartServer(t).URL)
	_, err := nc.Subscribe(question1, func(m *nats.Msg) { _ = m.Respond([]byte(data)) })
	if err != nil {
		t.Fatal(err)
	}
	return nc
}

func TestStrangeAnswers(t *testing.T) {
	if _, err := Join(Fetch(t.Context(), respond(t, "hello"), subjects, Request{})); err == nil {
		t.Error("an answer that is no report is no error")
	}
	again := Report{ID: "1", When: testkit.At, Stream: "S", Reasons: []string{}, Cursor: "x"}
	if _, err := Join(Fetch(t.Context(), respond(t, string(again.AppendJSON(nil))), subjects, Request{})); err == nil ||
		!strings.Contains(err.Error(), "cursor") {
		t.Errorf("got %v, want an error about the cursor that stands still", err)
	}
}
