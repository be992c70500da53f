package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"pgregory.net/rapid"

	"rollcall/internal/roster"
	"rollcall/internal/testkit"
)

const question1 = "rollcall.query.report"

// serve answers for the source until the test ends, and returns a client's
// connection.
func serve(t testing.TB, s Source, options ...func(*server.Options)) *nats.Conn {
	t.Helper()
	return serveVersion(t, s, "v1.2.3", options...)
}

func serveVersion(t testing.TB, s Source, version string, options ...func(*server.Options)) *nats.Conn {
	t.Helper()
	url := testkit.StartServer(t, options...).URL
	service := NewService(ServiceConfig{
		Source: s, Conn: testkit.Conn(t, url), Subjects: subjects, Version: version, Log: testkit.Logger(t),
	})
	runService(t, service)
	nc := testkit.Conn(t, url)
	testkit.Eventually(t, func() bool {
		_, err := nc.Request(question1, nil, time.Minute)
		return !errors.Is(err, nats.ErrNoResponders)
	}, "the service answers")
	return nc
}

// runService runs a service until the test ends.
func runService(t testing.TB, service *Service) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- service.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("running the service: %v", err)
		}
	})
}

// fetch asks for the whole report in answers of so many machines.
func fetch(t testing.TB, nc *nats.Conn, limit int) []Report {
	t.Helper()
	var answers []Report
	for answer, err := range Fetch(t.Context(), nc, subjects, Request{Limit: limit}) {
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, answer)
	}
	return answers
}

func TestAnswerSeed(t *testing.T) {
	r := testkit.Seed()
	nc := serve(t, source(r))
	before := time.Now()
	answers := fetch(t, nc, 0)
	if len(answers) != 1 {
		t.Fatalf("%d answers, want 1", len(answers))
	}
	got := answers[0]
	if got.When.Before(before.Add(-time.Second)) || got.ID == "" {
		t.Errorf("report %q of %v", got.ID, got.When)
	}
	want := Report{
		ID: got.ID, When: got.When, Stream: "ROLLCALL_EVENTS", Sequence: 6, Place: 6,
		Complete: true, Reasons: []string{}, Machines: machines(r),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	m, err := nc.Request(question1, nil, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	var keys map[string]any
	if err := json.Unmarshal(m.Data, &keys); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"page", "pages", "cursor"} {
		if _, ok := keys[key]; ok {
			t.Errorf("the last answer has %s", key)
		}
	}
}

func TestAnswersByLimit(t *testing.T) {
	r := fleet(103, 2)
	nc := serve(t, source(r))
	want := machines(r)
	for _, limit := range []int{1, 2, 50, 102, 103, 104, 1 << 31} {
		answers := fetch(t, nc, limit)
		for i, a := range answers {
			if n := len(a.Machines); n > limit || n < limit && i < len(answers)-1 {
				t.Fatalf("limit %d: answer %d of %d has %d machines", limit, i+1, len(answers), n)
			}
		}
		got, err := Join(all(answers...))
		if err != nil || !reflect.DeepEqual(got.Machines, want) {
			t.Errorf("limit %d: the answers joined aren't the roster (%v)", limit, err)
		}
	}
}

func TestAnswersByPayload(t *testing.T) {
	r := fleet(1000, 2)
	for i := range 900 { // more than fit one answer
		testkit.Feed(r, testkit.Login("big", fmt.Sprintf(`DOMAIN\user-%04d`, i)))
	}
	for i := range 300 {
		testkit.Feed(r, testkit.Login("machine-000500.example.com", fmt.Sprintf("user-%04d", i)))
	}
	nc := serve(t, source(r), func(o *server.Options) { o.MaxPayload = 4 << 10 })
	for _, limit := range []int{0, 1, 3} {
		answers := fetch(t, nc, limit)
		got, err := Join(all(answers...))
		if err != nil || !reflect.DeepEqual(got.Machines, machines(r)) {
			t.Errorf("limit %d: the answers joined aren't the roster (%v)", limit, err)
		}
	}
}

// Whatever the machines and the room, the answers joined are the roster.
func TestAnswersJoined(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := roster.New(roster.DefaultSettings())
		for _, m := range anyReport(t).Machines {
			if strings.Contains(m.Name, "\x00") {
				continue
			}
			testkit.Feed(r, testkit.Logout(m.Name, "nobody"))
			for _, user := range m.Users {
				testkit.Feed(r, testkit.Login(m.Name, strings.ReplaceAll(user, "\x00", "0")))
			}
		}
		room := rapid.IntRange(700, 3000).Draw(t, "room")
		q := question{limit: rapid.IntRange(1, 5).Draw(t, "limit")}
		var answers []Report
		for {
			rows, more := gather(r, q, room)
			b, next := appendAnswer(nil, rows, more, room)
			if len(b) > max(room, 1200) {
				t.Fatalf("%d bytes of machines, room is %d", len(b), room)
			}
			var list []Machine
			if err := json.Unmarshal(slices.Concat([]byte("["), b, []byte("]")), &list); err != nil {
				t.Fatal(err)
			}
			answers = append(answers, Report{ID: "id", Machines: list})
			if next == "" {
				break
			}
			var err error
			if q.after, err = parseCursor(next); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := Join(all(answers...)); err != nil || !reflect.DeepEqual(got.Machines, machines(r)) {
			t.Fatalf("got %+v, %v; want %+v", got.Machines, err, machines(r))
		}
	})
}

// A machine that changes between two answers within it: those who stay are
// there once, and when nobody is left after the cursor the next machine comes.
func TestMachineChangesBetweenAnswers(t *testing.T) {
	r := roster.New(roster.DefaultSettings())
	testkit.Feed(r, testkit.Login("a", "k"), testkit.Login("a", "m"), testkit.Login("b", "z"))
	within := question{limit: 10, after: cursor{"a", "k"}}
	if rows, _ := gather(r, within, 1000); len(rows) != 2 || !slices.Equal(rows[0].users, []string{"m"}) {
		t.Errorf("got %+v", rows)
	}
	testkit.Feed(r, roster.Event{Type: roster.Boot, Machine: "a"})
	if rows, _ := gather(r, within, 1000); len(rows) != 1 || rows[0].name != "b" {
		t.Errorf("got %+v", rows)
	}
}

func TestBadRequests(t *testing.T) {
	nc := serve(t, source(testkit.Seed()))
	good := cursor{machine: "a"}.String()
	for request, want := range map[string]string{
		``:                              "",
		` `:                             "",
		`{}`:                            "",
		`{"cursor":"` + good + `"}`:     "",
		`{"limit":1,"cursor":null}`:     "",
		`{"limit":4294967295}`:          "",
		`null`:                          "request: ",
		`[]`:                            "request: ",
		`"x"`:                           "request: ",
		`{`:                             "request: ",
		`{} {}`:                         "request: ",
		"\x00":                          "request: ",
		"{\"limit\":\xff}":              "request: ",
		`{"limit":1,"limit":2}`:         "limit",
		`{"limit":0}`:                   "limit: ",
		`{"limit":-1}`:                  "limit: ",
		`{"limit":1.5}`:                 "limit: ",
		`{"limit":"1"}`:                 "limit: ",
		`{"limit":4294967296}`:          "limit: ",
		`{"Limit":1}`:                   `"Limit": `,
		`{"machine":"a"}`:               `"machine": `,
		"{\"a\\nb\":1}":                 `"a\nb": `,
		`{"cursor":1}`:                  "cursor: ",
		`{"cursor":"!"}`:                "cursor: ",
		`{"cursor":"YQ=="}`:             "cursor: ",
		`{"cursor":"YR"}`:               "cursor: ", // stray bits
		`{"cursor":"AA"}`:               "cursor: ", // no machine
		`{"cursor":"YQA"}`:              "cursor: ", // no user
		`{"cursor":"YQBiAGM"}`:          "cursor: ", // a third name
		`{"cursor":"_w"}`:               "cursor: ", // no UTF-8
		`{"cursor":"` + long(256) + `"`: "request: ",
		`{"cursor":"` + cursor{machine: long(256)}.String() + `"}`:    "cursor: ",
		`{"cursor":"` + cursor{"a", long(256)}.String() + `"}`:        "cursor: ",
		`{"cursor":"` + cursor{long(255), long(255)}.String() + `"}`:  "",
		`{"` + long(1000) + `":1}`:                                    `"xxx`,
		`{"cursor":"` + strings.Repeat("A", 2000) + `","limit":null}`: "cursor: ",
		`{"cursor":"` + strings.Repeat("A", 5000) + `"}`:              "request: ",
	} {
		m, err := nc.Request(question1, []byte(request), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		code, description := m.Header.Get(micro.ErrorCodeHeader), m.Header.Get(micro.ErrorHeader)
		if want == "" {
			if description != "" {
				t.Errorf("%s: %s %s", request, code, description)
			}
			continue
		}
		if code != "400" || !strings.Contains(description, want) || len(description) > 300 {
			t.Errorf("%.50q: %s %q; want 400 and %q", request, code, description, want)
		}
	}
}

func long(n int) string { return strings.Repeat("x", n) }

func TestCursor(t *testing.T) {
	for _, c := range []cursor{{}, {machine: "a"}, {"a", "b"}, {hostile[0], hostile[5]}, {long(255), long(255)}} {
		s := c.String()
		if got, err := parseCursor(s); err != nil || got != c {
			t.Errorf("%q: %+v, %v; want %+v", s, got, err, c)
		}
		if len(s) > maxCursor {
			t.Errorf("%q has %d bytes, more than %d", s, len(s), maxCursor)
		}
	}
}

func TestNotCaughtUp(t *testing.T) {
	var caughtUp atomic.Bool
	s := source(testkit.Seed())
	s.CaughtUp = caughtUp.Load
	nc := serve(t, s)
	_, err := Join(Fetch(t.Context(), nc, subjects, Request{}))
	if refusal, ok := errors.AsType[*QueryError](err); !ok || refusal.Code != CodeUnavailable || !strings.Contains(err.Error(), "not caught up") {
		t.Errorf("got %v, want 503", err)
	}
	caughtUp.Store(true)
	if _, err := Join(Fetch(t.Context(), nc, subjects, Request{})); err != nil {
		t.Error(err)
	}
}

func TestFloodIsRefused(t *testing.T) {
	// Nobody works off what waits: the service isn't run, only its handler.
	url := testkit.StartServer(t).URL
	service := NewService(ServiceConfig{Source: source(testkit.Seed()), Conn: testkit.Conn(t, url), Subjects: subjects, Log: testkit.Logger(t)})
	api, err := service.add()
	if err != nil {
		t.Fatal(err)
	}
	if err := api.AddEndpoint("report", micro.HandlerFunc(service.accept), micro.WithEndpointSubject(question1)); err != nil {
		t.Fatal(err)
	}
	if err := service.Conn.Flush(); err != nil {
		t.Fatal(err)
	}
	nc := testkit.Conn(t, url)
	inbox := nc.NewRespInbox()
	answers, err := nc.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	for range maxWaiting + 3 {
		if err := nc.PublishRequest(question1, inbox, nil); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if m, err := answers.NextMsg(time.Minute); err != nil || m.Header.Get(micro.ErrorCodeHeader) != "429" {
			t.Fatalf("got %v, %v; want 429", m, err)
		}
	}
	// Fetch asks again, a few times.
	if _, err := Join(Fetch(t.Context(), nc, subjects, Request{})); !isBusy(err) {
		t.Errorf("got %v, want 429", err)
	}
	if n := api.Stats().Endpoints[0].NumErrors; n != 3+tries {
		t.Errorf("%d errors counted, want %d", n, 3+tries)
	}
	if err := stop(api); err != nil {
		t.Error(err)
	}
	// Now it's run, and those who waited are answered.
	runService(t, service)
	for range maxWaiting {
		m, err := answers.NextMsg(time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		decode(t, m.Data)
	}
}

func isBusy(err error) bool {
	refusal, ok := errors.AsType[*QueryError](err)
	return ok && refusal.Code == CodeBusy
}

func TestInternalError(t *testing.T) {
	nc := serve(t, source(testkit.Seed()), func(o *server.Options) { o.MaxPayload = 2 << 10 })
	_, err := Join(Fetch(t.Context(), nc, subjects, Request{}))
	if refusal, ok := errors.AsType[*QueryError](err); !ok || refusal.Code != CodeInternal {
		t.Errorf("got %v, want 500", err)
	}
}

func TestServiceIsFound(t *testing.T) {
	for version, want := range map[string]string{
		"v1.2.3": "1.2.3", "1.2.3-rc.1+x": "1.2.3-rc.1+x", "(devel)": "0.0.0-dev", "": "0.0.0-dev", "a1b2c3d": "0.0.0-dev",
	} {
		nc := serveVersion(t, source(testkit.Seed()), version)
		m, err := nc.Request("$SRV.INFO.rollcall", nil, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		var info micro.Info
		if err := json.Unmarshal(m.Data, &info); err != nil {
			t.Fatal(err)
		}
		if info.Name != "rollcall" || info.Version != want || len(info.Endpoints) != 1 ||
			info.Endpoints[0].Name != "report" || info.Endpoints[0].Subject != question1 {
			t.Errorf("version %q: %s", version, m.Data)
		}
	}
}

// An answer has every event up to its place.
func TestAnswersWhileFolding(t *testing.T) {
	r := roster.New(roster.DefaultSettings())
	testkit.Feed(r, testkit.Login("machine-00000", "x"))
	nc := serve(t, source(r))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 1; i < 20_000; i++ { // the machine of place n is machine n-1
			testkit.Feed(r, testkit.Login(fmt.Sprintf("machine-%05d", i), "x"))
		}
	}()
	for last := false; !last; {
		select {
		case <-done:
			last = true
		default:
		}
		got, err := Join(Fetch(t.Context(), nc, subjects, Request{}))
		if err != nil {
			t.Fatal(err)
		}
		if uint64(len(got.Machines)) < got.Place {
			t.Fatalf("%d machines at place %d", len(got.Machines), got.Place)
		}
	}
}
