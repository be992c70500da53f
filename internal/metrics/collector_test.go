package metrics

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"go.uber.org/goleak"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write the golden files")

// reading is a reader whose progress the test sets.
type reading struct {
	lag      uint64
	caughtUp bool
}

func (r reading) Lag() uint64    { return r.lag }
func (r reading) CaughtUp() bool { return r.caughtUp }

var upToDate = reading{caughtUp: true}

// fleet returns a roster of n machines with one user each.
func fleet(n int) *roster.Roster {
	var events []roster.Event
	for i := range n {
		events = append(events, kit.Login(fmt.Sprintf("machine-%06d.example.com", i), fmt.Sprintf("user-%d", i%1000)))
	}
	r := roster.New(roster.DefaultSettings())
	kit.Feed(r, events...)
	return r
}

func registry(t testing.TB, r *roster.Roster, state Reading, maxMachines int) *Registry {
	t.Helper()
	reg := &Registry{Registry: prometheus.NewPedanticRegistry()}
	reg.MustShow(NewCollector(r, state, Build{"v1.2.3", "a1b2c3d"}, maxMachines))
	return reg
}

func TestSeed(t *testing.T) {
	reg := registry(t, kit.Seed(), upToDate, 50_000)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&out, f); err != nil {
			t.Fatal(err)
		}
	}
	// The Go version is not part of the golden file.
	text := bytes.ReplaceAll(out.Bytes(), []byte(runtime.Version()), []byte("go"))
	path := filepath.Join("testdata", "seed.prom")
	if *update {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, text, want)
	}
	for _, user := range []string{"lane", "jordan", "chris"} {
		if bytes.Contains(text, []byte(user)) {
			t.Errorf("the metrics have the name of %s", user)
		}
	}
}

func TestSilent(t *testing.T) {
	r := kit.Seed() // its machines were last heard 4, 5 and 6 seconds after
	c := NewCollector(r, upToDate, Build{}, 100)
	c.Silent = func(heard roster.Time, _ time.Duration) bool { return heard < roster.TimeOf(kit.At.Add(6*time.Second)) }
	reg := NewRegistry()
	reg.MustShow(c)
	if got := value(t, reg, "rollcall_machines_silent"); got != 2 {
		t.Errorf("%v machines are silent, want 2", got)
	}
}

// TestStale: while the state of the stream is unknown, no metric claims to know it.
func TestStale(t *testing.T) {
	c := NewCollector(kit.Seed(), upToDate, Build{}, 100)
	stale := true
	c.Stale = func() bool { return stale }
	reg := NewRegistry()
	reg.MustShow(c)
	want := func(claimed float64, lags int) {
		t.Helper()
		for series, want := range map[string]float64{
			"rollcall_caught_up": claimed, "rollcall_complete": claimed,
			`rollcall_incomplete{reason="stale"}`: 1 - claimed, `rollcall_incomplete{reason="replaying"}`: 0,
		} {
			if got := value(t, reg, series); got != want {
				t.Errorf("stale %t: %s is %v, want %v", stale, series, got, want)
			}
		}
		if n, err := testutil.GatherAndCount(reg, "rollcall_lag_messages"); n != lags || err != nil {
			t.Errorf("stale %t: %d lags (%v), want %d", stale, n, err, lags)
		}
	}
	want(0, 0)
	stale = false
	want(1, 1)
}

// TestConsistent: the machines' metrics would pass a registry's checks, whatever
// their names, and while machines appear and disappear.
func TestConsistent(t *testing.T) {
	r := fleet(500)
	for _, name := range hostile {
		kit.Feed(r, kit.Login(name, "x"))
	}
	var coming sync.WaitGroup
	defer coming.Wait()
	coming.Go(func() {
		for i := range 2000 {
			kit.Feed(r, kit.Login(fmt.Sprintf("new-%d", i*7919%2000), "x"))
		}
	})
	checked := prometheus.Gatherers{registry(t, r, upToDate, 1000)}
	for range 20 {
		families, err := checked.Gather()
		if err != nil {
			t.Fatal(err)
		}
		names := shownMachines(t, prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return families, nil }))
		if !slices.IsSorted(names) || len(names) < 500 {
			t.Fatalf("%d machines, in order %v", len(names), slices.IsSorted(names))
		}
		if !slices.IsSortedFunc(families, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) }) {
			t.Fatal("the families are not in order")
		}
	}
}

func TestLint(t *testing.T) {
	problems, err := testutil.GatherAndLint(registry(t, kit.Seed(), upToDate, 50_000))
	if err != nil || len(problems) > 0 {
		t.Errorf("problems %v, %v", problems, err)
	}
}

// value returns the value of one series, named as in the text format.
func value(t testing.TB, g prometheus.Gatherer, series string) float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			if name(f, m) == series {
				return m.GetGauge().GetValue()
			}
		}
	}
	t.Fatalf("there is no %s", series)
	return 0
}

func name(f *dto.MetricFamily, m *dto.Metric) string {
	var labels []string
	for _, l := range m.Label {
		labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
	}
	if len(labels) == 0 {
		return f.GetName()
	}
	return f.GetName() + "{" + strings.Join(labels, ",") + "}"
}

func TestValues(t *testing.T) {
	r := kit.Seed()
	kit.Feed(r, kit.Login("a", "lane"), kit.Login("a", "kim"))
	end := r.Status().Position
	end.Place += 2
	gap := kit.Seed()
	gap.Fold(&roster.Batch{End: end, Missing: roster.Gap})
	for name, tt := range map[string]struct {
		roster  *roster.Roster
		reading reading
		want    map[string]float64
	}{
		"up to date": {r, upToDate, map[string]float64{
			`rollcall_logged_in_users{machine="a"}`: 2, "rollcall_machines": 4, "rollcall_users": 2, "rollcall_sessions": 3,
			"rollcall_users_on_several_machines": 1, "rollcall_position": 8, `rollcall_fates{fate="applied"}`: 8,
			"rollcall_complete": 1, "rollcall_caught_up": 1, "rollcall_lag_messages": 0,
		}},
		"replaying": {r, reading{lag: 5}, map[string]float64{
			"rollcall_complete": 0, "rollcall_caught_up": 0, "rollcall_lag_messages": 5,
			`rollcall_incomplete{reason="replaying"}`: 1, `rollcall_incomplete{reason="gap"}`: 0,
		}},
		"gap": {gap, upToDate, map[string]float64{
			"rollcall_complete": 0, "rollcall_caught_up": 1, "rollcall_position": 10, `rollcall_fates{fate="lost"}`: 4,
			`rollcall_incomplete{reason="replaying"}`: 0, `rollcall_incomplete{reason="gap"}`: 1,
		}},
		"empty": {roster.New(roster.DefaultSettings()), upToDate, map[string]float64{
			"rollcall_complete": 1, "rollcall_machines": 0, "rollcall_machines_omitted": 0, "rollcall_position": 0,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			reg := registry(t, tt.roster, tt.reading, 50_000)
			for series, want := range tt.want {
				if got := value(t, reg, series); got != want {
					t.Errorf("%s is %v, want %v", series, got, want)
				}
			}
		})
	}
}

// shownMachines returns the machines with a series, in order.
func shownMachines(t testing.TB, g prometheus.Gatherer) []string {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range families {
		if f.GetName() == "rollcall_logged_in_users" {
			for _, m := range f.Metric {
				names = append(names, m.Label[0].GetValue())
			}
		}
	}
	return names
}

func TestTooManyMachines(t *testing.T) {
	r := kit.Seed()
	for _, tt := range []struct {
		maxMachines, omitted int
		want                 []string
	}{
		{4, 0, []string{"mailserver.local", "myworkstation.local", "webserver.local"}},
		{3, 0, []string{"mailserver.local", "myworkstation.local", "webserver.local"}},
		{2, 1, []string{"mailserver.local", "myworkstation.local"}},
		{0, 3, nil},
	} {
		reg := registry(t, r, upToDate, tt.maxMachines)
		if got := shownMachines(t, reg); !slices.Equal(got, tt.want) {
			t.Errorf("at most %d: %v, want %v", tt.maxMachines, got, tt.want)
		}
		if got := value(t, reg, "rollcall_machines_omitted"); got != float64(tt.omitted) {
			t.Errorf("at most %d: %v omitted, want %d", tt.maxMachines, got, tt.omitted)
		}
		if got := value(t, reg, "rollcall_machines"); got != 3 {
			t.Errorf("at most %d: %v machines, want 3", tt.maxMachines, got)
		}
	}
}

func TestHiddenMachinesAreOmitted(t *testing.T) {
	r := kit.Seed()
	e := kit.Login("new", "x")
	later := roster.TimeOf(time.Date(2026, 11, 22, 21, 0, 0, 0, time.UTC).Add(2 * roster.DefaultSettings().AllowedLateness))
	e.Date = later
	r.Fold(&roster.Batch{Messages: []roster.Message{{Place: 7, Receipt: later, Event: e}}, End: roster.Position{Place: 7}})
	reg := registry(t, r, upToDate, 50_000)
	if got, want := shownMachines(t, reg), []string{"new", "webserver.local"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := value(t, reg, "rollcall_machines"); got != 2 {
		t.Errorf("%v machines, want 2", got)
	}
}
