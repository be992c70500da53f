package query

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.uber.org/goleak"

	"rollcall/internal/api"
	"rollcall/internal/client"
	"rollcall/internal/report"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var subjects = func() rollcallv1.Subjects {
	s, err := rollcallv1.NewSubjects(rollcallv1.DefaultSubject)
	if err != nil {
		panic(err)
	}
	return s
}()

// fleet returns a roster of n machines with the given number of users each.
func fleet(n, users int) *roster.Roster {
	var events []roster.Event
	for i := range n {
		machine := fmt.Sprintf("machine-%06d.example.com", i)
		for u := range users {
			events = append(events, kit.Login(machine, fmt.Sprintf("user-%d-%d", i%1000, u)))
		}
	}
	r := roster.New(roster.DefaultSettings())
	kit.Feed(r, events...)
	return r
}

func source(r *roster.Roster) report.Source {
	return report.Source{Roster: r, Stream: rollcallv1.DefaultEventsStream, CaughtUp: func() bool { return true }}
}

// question1 is the subject of the question that most tests ask.
const question1 = "rollcall.query.report"

// serve answers for the source until the test ends, and returns a client connection.
func serve(t testing.TB, s report.Source, options ...func(*server.Options)) *nats.Conn {
	t.Helper()
	return serveVersion(t, s, "v1.2.3", options...)
}

func serveVersion(t testing.TB, s report.Source, version string, options ...func(*server.Options)) *nats.Conn {
	t.Helper()
	url := kit.StartServer(t, options...).URL
	service := New(Config{
		Source: s, Conn: kit.Conn(t, url), Subjects: subjects, Version: version, Log: kit.Logger(t),
	})
	runService(t, service)
	nc := kit.Conn(t, url)
	kit.Eventually(t, func() bool {
		_, err := nc.Request(subjects.Query("status"), nil, time.Minute) // the last to be there
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

func TestNotCaughtUp(t *testing.T) {
	var caughtUp atomic.Bool
	s := source(kit.Seed())
	s.CaughtUp = caughtUp.Load
	nc := serve(t, s)
	_, err := client.One(t.Context(), nc, question1, api.ReportRequest{})
	if refusal, ok := errors.AsType[*client.Refusal](err); !ok || refusal.Code != rollcallv1.CodeUnavailable || !strings.Contains(err.Error(), "not caught up") {
		t.Errorf("got %v, want 503", err)
	}
	caughtUp.Store(true)
	if _, err := client.One(t.Context(), nc, question1, api.ReportRequest{}); err != nil {
		t.Error(err)
	}
}

func TestFloodIsRefused(t *testing.T) {
	// The service isn't run, only its handler, so nothing empties the queue.
	url := kit.StartServer(t).URL
	service := New(Config{Source: source(kit.Seed()), Conn: kit.Conn(t, url), Subjects: subjects, Log: kit.Logger(t)})
	added, err := service.add()
	if err != nil {
		t.Fatal(err)
	}
	if err := service.listen(added); err != nil {
		t.Fatal(err)
	}
	if err := service.Conn.Flush(); err != nil {
		t.Fatal(err)
	}
	nc := kit.Conn(t, url)
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
	// client.One retries a few times.
	if _, err := client.One(t.Context(), nc, question1, api.ReportRequest{}); !isBusy(err) {
		t.Errorf("got %v, want 429", err)
	}
	if n := added.Stats().Endpoints[0].NumErrors; n != 3+4 {
		t.Errorf("%d errors counted, want %d", n, 3+4)
	}
	if err := stop(added); err != nil {
		t.Error(err)
	}
	// Now the service runs, and answers the queued questions.
	runService(t, service)
	for range maxWaiting {
		m, err := answers.NextMsg(time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		decodeReport(t, m.Data)
	}
}

func isBusy(err error) bool {
	refusal, ok := errors.AsType[*client.Refusal](err)
	return ok && refusal.Code == rollcallv1.CodeBusy
}

func TestInternalError(t *testing.T) {
	nc := serve(t, source(kit.Seed()), func(o *server.Options) { o.MaxPayload = 2 << 10 })
	_, err := client.One(t.Context(), nc, question1, api.ReportRequest{})
	if refusal, ok := errors.AsType[*client.Refusal](err); !ok || refusal.Code != rollcallv1.CodeInternal {
		t.Errorf("got %v, want 500", err)
	}
}

func TestServiceIsFound(t *testing.T) {
	for version, want := range map[string]string{
		"v1.2.3": "1.2.3", "1.2.3-rc.1+x": "1.2.3-rc.1+x", "(devel)": "0.0.0-dev", "": "0.0.0-dev", "a1b2c3d": "0.0.0-dev",
	} {
		nc := serveVersion(t, source(kit.Seed()), version)
		m, err := nc.Request("$SRV.INFO.rollcall", nil, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		var info micro.Info
		if err := json.Unmarshal(m.Data, &info); err != nil {
			t.Fatal(err)
		}
		if info.Name != "rollcall" || info.Version != want || len(info.Endpoints) != len(new(Service).endpoints())+1 || // and instances
			info.Endpoints[0].Name != "report" || info.Endpoints[0].Subject != question1 {
			t.Errorf("version %q: %s", version, m.Data)
		}
	}
}
