package query

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"rollcall/internal/api"
	"rollcall/internal/client"
	"rollcall/internal/test/kit"
)

// instance runs a service that queries others at short intervals, until end is
// called.
func instance(t *testing.T, url, id, settings string) (s *Service, log *kit.Output, end func()) {
	t.Helper()
	log = new(kit.Output)
	s = New(Config{
		Source: source(kit.Seed()), Conn: kit.Conn(t, url), Subjects: subjects, Version: "v1.2.3",
		Instance: id, Settings: settings, Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	s.queryEvery = 50 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	return s, log, end
}

// ids returns the instances that a service knows of, each with whether it has the
// same settings.
func (s *Service) ids() string {
	var ids []string
	for _, i := range s.others.known() {
		ids = append(ids, i.ID+" "+i.Settings)
	}
	return strings.Join(ids, ", ")
}

// TestOthers: services on the same subjects find each other, and log it once, and
// the end of it too.
func TestOthers(t *testing.T) {
	url := kit.StartServer(t).URL
	a, logA, _ := instance(t, url, "a", "x")
	kit.Eventually(t, func() bool { return a.Conn.NumSubscriptions() > 0 }, "the first is there")
	b, logB, endB := instance(t, url, "b", "y")
	kit.Eventually(t, func() bool { return a.ids() == "b y" && b.ids() == "a x" }, "each knows of the other")
	for log, other := range map[*kit.Output]string{logA: "other.instance=b", logB: "other.instance=a"} {
		if log.Count("level=WARN") != 1 || log.Count(other) != 1 || log.Count("same_settings=false") != 1 {
			t.Errorf("the log says %s", log.String())
		}
	}
	if got := testutil.ToFloat64(a.others.rivals); got != 2 {
		t.Errorf("%v instances, want 2", got)
	}
	status, err := client.One(t.Context(), kit.Conn(t, url), subjects.Query("status"), api.StatusRequest{})
	if err != nil || strings.Count(string(status), `{"instance":`) != 2 {
		t.Errorf("status answers %s, %v", status, err)
	}
	endB()
	kit.Eventually(t, func() bool { return testutil.ToFloat64(a.others.rivals) == 1 }, "the other is gone")
	if logA.Count("level=WARN") != 1 || logA.Count("no other rollcall answers any more") != 1 {
		t.Errorf("the log says %s", logA.String())
	}
}

// TestRivals: a process that stands by for this one is no rival; any other is.
func TestRivals(t *testing.T) {
	role := func(standby bool) func(*api.Instance) {
		return func(i *api.Instance) { i.Standby, i.Active = standby, !standby }
	}
	for _, c := range []struct {
		name            string
		self            func(*api.Instance)
		found           []api.Instance
		rivals, standby float64
	}{
		{"alone", nil, nil, 1, 0},
		{"two that stand alone", nil, []api.Instance{{ID: "b", Active: true}}, 2, 0},
		{"two that stand by", role(true), []api.Instance{{ID: "b", Standby: true, Active: true}}, 1, 1},
		{"one of them", role(true), []api.Instance{{ID: "b", Active: true}, {ID: "c", Standby: true}}, 2, 1},
		{"the other one", nil, []api.Instance{{ID: "b", Standby: true}}, 2, 0},
	} {
		log := new(kit.Output)
		s := New(Config{Source: source(kit.Seed()), Subjects: subjects, Instance: "a", Role: c.self, Log: slog.New(slog.NewTextHandler(log, nil))})
		s.recordOthers(c.found)
		rivals, standby := testutil.ToFloat64(s.others.rivals), testutil.ToFloat64(s.others.standby)
		if rivals != c.rivals || standby != c.standby || log.Count("level=WARN") != int(rivals)-1 || len(s.others.known()) != len(c.found) {
			t.Errorf("%s: %v rivals, %v stand by; log: %s", c.name, rivals, standby, log.String())
		}
	}
}

// TestAskedBy: a service that starts later makes itself known by its query: the
// first then queries long before its next interval.
func TestAskedBy(t *testing.T) {
	url := kit.StartServer(t).URL
	a := New(Config{
		Source: source(kit.Seed()), Conn: kit.Conn(t, url), Subjects: subjects, Instance: "a", Log: kit.Logger(t),
	})
	runService(t, a) // it asks every minute
	kit.Eventually(t, func() bool { return a.Conn.NumSubscriptions() > 0 }, "the first is there")
	instance(t, url, "b", "")
	kit.Eventually(t, func() bool { return a.ids() == "b " }, "the first knows of the second")
	o := newOthers(nil)
	o.list = []api.Instance{{ID: "b"}}
	if o.askedBy("b"); len(o.requery) > 0 {
		t.Error("a known instance causes a query")
	}
	o.askedBy("c")
	if o.askedBy("d"); len(o.requery) != 1 {
		t.Errorf("%d queries because of two unknown instances, want 1", len(o.requery))
	}
}

// TestInstances: every process answers, and invalid answers are ignored.
func TestInstances(t *testing.T) {
	url := kit.StartServer(t).URL
	a, _, _ := instance(t, url, "a", "x")
	nc := kit.Conn(t, url)
	other, err := nc.Subscribe(subjects.Query("instances"), func(m *nats.Msg) {
		for _, junk := range []string{"", "{}", "not JSON", `{"instance":"` + strings.Repeat("x", api.MaxInstance+1) + `"}`} {
			_ = m.Respond([]byte(junk))
		}
		for range 3 {
			_ = m.Respond([]byte(`{"instance":"b","settings":"x"}`))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, func() bool { return a.ids() == "b x" }, "the other is found")
	if err := other.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	for question, want := range map[string]string{"": `{"instance":"a","version":"v1.2.3","started":"2`, `{"instance":1}`: ""} {
		got, err := nc.Request(subjects.Query("instances"), []byte(question), 10*time.Second)
		if err != nil || !strings.HasPrefix(string(got.Data), want) {
			t.Errorf("%q is answered %s, %v", question, got.Data, err)
		}
	}
}
