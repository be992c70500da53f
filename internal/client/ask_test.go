package client

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.uber.org/goleak"

	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const subject = "rollcall.query.report"

type request struct {
	Limit int `json:"limit,omitzero"`
}

func TestNobodyAnswers(t *testing.T) {
	nc := kit.Conn(t, kit.StartServer(t).URL)
	_, err := One(t.Context(), nc, subject, request{})
	want := "no rollcall answers on rollcall.query.report: is `rollcall serve` running on this NATS server?"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := One(ctx, nc, subject, request{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context canceled", err)
	}
	nc.Close()
	if _, err := One(t.Context(), nc, subject, request{}); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("got %v, want connection closed", err)
	}
}

// respond answers all questions until the test ends.
func respond(t *testing.T, answer func(m *nats.Msg)) *nats.Conn {
	t.Helper()
	nc := kit.Conn(t, kit.StartServer(t).URL)
	if _, err := nc.Subscribe(subject, answer); err != nil {
		t.Fatal(err)
	}
	return nc
}

// pages requests all pages.
func pages(t *testing.T, nc *nats.Conn, request any) (answers []string, err error) {
	for answer, err := range Pages(t.Context(), nc, subject, request) {
		if err != nil {
			return answers, err
		}
		if answers = append(answers, string(answer)); len(answers) > 100 {
			return answers, errors.New("no end of pages")
		}
	}
	return answers, nil
}

// Each page is requested with the original request and the cursor of the page
// before.
func TestPages(t *testing.T) {
	nc := respond(t, func(m *nats.Msg) {
		var q struct{ Cursor string }
		_ = json.Unmarshal(m.Data, &q, json.MatchCaseInsensitiveNames(true))
		n, _ := strconv.Atoi(q.Cursor)
		answer := map[string]any{"asked": string(m.Data)}
		if n < 3 {
			answer["cursor"] = strconv.Itoa(n + 1)
		}
		data, _ := json.Marshal(answer, json.Deterministic(true))
		_ = m.Respond(data)
	})
	got, err := pages(t, nc, request{Limit: 2})
	want := `{"asked":"{\"limit\":2}","cursor":"1"} {"asked":"{\"cursor\":\"1\",\"limit\":2}","cursor":"2"} ` +
		`{"asked":"{\"cursor\":\"2\",\"limit\":2}","cursor":"3"} {"asked":"{\"cursor\":\"3\",\"limit\":2}"}`
	if err != nil || strings.Join(got, " ") != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
}

func TestStrangeAnswers(t *testing.T) {
	always := func(answer string) *nats.Conn {
		return respond(t, func(m *nats.Msg) { _ = m.Respond([]byte(answer)) })
	}
	if _, err := pages(t, always("hello"), request{}); err == nil {
		t.Error("an answer that is not JSON gives no error")
	}
	got, err := pages(t, always(`{"cursor":"x"}`), request{})
	if err == nil || !strings.Contains(err.Error(), "cursor") || len(got) != 1 {
		t.Errorf("got %v, %v, want an error about the repeated cursor", got, err)
	}
}

// refuse answers a question with an error.
func refuse(m *nats.Msg, code int) {
	answer := nats.NewMsg(m.Reply)
	answer.Header.Set(micro.ErrorHeader, "no")
	answer.Header.Set(micro.ErrorCodeHeader, strconv.Itoa(code))
	_ = m.RespondMsg(answer)
}

// A busy service is asked a few times; any other error is returned at once.
func TestRefusals(t *testing.T) {
	var asked atomic.Int32
	nc := respond(t, func(m *nats.Msg) {
		if asked.Add(1) < maxAttempts {
			refuse(m, rollcallv1.CodeBusy)
			return
		}
		_ = m.Respond([]byte("{}"))
	})
	if answer, err := One(t.Context(), nc, subject, request{}); err != nil || string(answer) != "{}" {
		t.Errorf("got %s, %v, want {} when it is no longer busy", answer, err)
	}
	for code, times := range map[int]int32{rollcallv1.CodeBusy: maxAttempts, rollcallv1.CodeNotFound: 1} {
		var asked atomic.Int32
		nc := respond(t, func(m *nats.Msg) { asked.Add(1); refuse(m, code) })
		_, err := One(t.Context(), nc, subject, request{})
		refusal, ok := errors.AsType[*Refusal](err)
		if !ok || refusal.Code != code || err.Error() != "rollcall answers: no" || asked.Load() != times {
			t.Errorf("%d: got %v after asking %d times, want %d", code, err, asked.Load(), times)
		}
	}
}
