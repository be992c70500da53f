package metrics

import (
	"fmt"
	"io"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"rollcall/internal/roster"
	"rollcall/internal/testkit"
)

var hostile = []string{
	`"`, `\`, `a"b\c`, `\n`, "käthe", "日本語", "😀", "\u2028", "</script>", "{", "a,b", "a=b", "%2E", " ", "\ufffd", strings.Repeat("x", 255),
}

func TestScrapeHostileNames(t *testing.T) {
	r := roster.New(roster.DefaultSettings())
	for _, name := range hostile {
		testkit.Feed(r, testkit.Login(name, "x"))
	}
	url := serve(t, ServerConfig{Gatherer: registry(t, r, upToDate, 100)})
	for _, accept := range []string{
		"text/plain;version=0.0.4",
		"application/openmetrics-text;version=1.0.0",
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
	} {
		got := map[string]float64{}
		for _, m := range scrape(t, url+"/metrics", accept)["rollcall_logged_in_users"].GetMetric() {
			got[m.Label[0].GetValue()] = m.GetGauge().GetValue() + m.GetUntyped().GetValue()
		}
		if len(got) != len(hostile) {
			t.Errorf("%s: %d machines, want %d", accept, len(got), len(hostile))
		}
		for _, name := range hostile {
			if got[name] != 1 {
				t.Errorf("%s: machine %q has %v users, want 1", accept, name, got[name])
			}
		}
	}
}

// scrape scrapes and parses.
func scrape(t testing.TB, url, accept string) map[string]*dto.MetricFamily {
	t.Helper()
	answer, body := ask(t, "GET", url, "Accept", accept)
	if answer.StatusCode != 200 {
		t.Fatalf("%s: %s", answer.Status, body)
	}
	format := expfmt.ResponseFormat(answer.Header)
	if strings.HasPrefix(accept, "application/openmetrics-text") {
		if !strings.HasPrefix(answer.Header.Get("Content-Type"), "application/openmetrics-text") || !strings.HasSuffix(body, "# EOF\n") {
			t.Fatalf("not OpenMetrics: %v", answer.Header)
		}
		format = expfmt.NewFormat(expfmt.TypeTextPlain) // its gauges are the same text
		body = strings.TrimSuffix(body, "# EOF\n")
	}
	families := map[string]*dto.MetricFamily{}
	decoder := expfmt.NewDecoder(strings.NewReader(body), format)
	for {
		var f dto.MetricFamily
		err := decoder.Decode(&f)
		if err == io.EOF {
			return families
		}
		if err != nil {
			t.Fatalf("%v:\n%s", err, body)
		}
		if !model.UTF8Validation.IsValidMetricName(f.GetName()) {
			t.Fatalf("name %q", f.GetName())
		}
		families[f.GetName()] = &f
	}
}

func TestScrapeSomeNames(t *testing.T) {
	url := serve(t, ServerConfig{Gatherer: registry(t, testkit.Seed(), upToDate, 100)})
	families := scrape(t, url+"/metrics?name[]=rollcall_users&name[]=rollcall_sessions", "text/plain")
	if len(families) != 2 || families["rollcall_users"] == nil || families["rollcall_sessions"] == nil {
		t.Errorf("got %v", families)
	}
}

// The fates add up to the position in each scrape, also while the fold goes on.
func TestScrapeWhileFolding(t *testing.T) {
	r := roster.New(roster.DefaultSettings())
	url := serve(t, ServerConfig{Gatherer: registry(t, r, upToDate, 100)})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 2000 {
			machine := fmt.Sprintf("machine-%03d", i%300)
			testkit.Feed(r, testkit.Login(machine, "x"), testkit.Logout(machine, "y"), testkit.Login(machine, "z"), testkit.On("1999-01-01 00:00:00", testkit.Login(machine, "late")))
		}
	}()
	for last := false; !last; {
		select {
		case <-done:
			last = true
		default:
		}
		families := scrape(t, url+"/metrics", "text/plain")
		var sum float64
		for _, m := range families["rollcall_fates"].Metric {
			sum += m.GetGauge().GetValue()
		}
		position := families["rollcall_position"].Metric[0].GetGauge().GetValue()
		if sum != position || math.Mod(position, 4) != 0 {
			t.Fatalf("fates add up to %v, position is %v", sum, position)
		}
	}
}

// TestOneLook: of a roster that moves on during a scrape, position and fates
// are those of one place.
func TestOneLook(t *testing.T) {
	r := testkit.Seed()
	collected := make(chan prometheus.Metric)
	go func() {
		defer close(collected)
		NewCollector(r, upToDate, Build{}, 100).Collect(collected)
	}()
	var sum, at float64
	for m := range collected {
		testkit.Feed(r, testkit.Login("web", "x"))
		var got dto.Metric
		if err := m.Write(&got); err != nil {
			t.Fatal(err)
		}
		switch m.Desc() {
		case position:
			at = got.GetGauge().GetValue()
		case fates:
			sum += got.GetGauge().GetValue()
		}
	}
	if sum != at || at == 0 {
		t.Errorf("fates add up to %v, position is %v", sum, at)
	}
}

// Clients that never stop asking see new numbers: no answer is made of what an
// earlier one gathered.
func TestScrapesAreFresh(t *testing.T) {
	reg := registry(t, fleet(500), upToDate, 500)
	var gathered atomic.Int64
	url := serve(t, ServerConfig{Gatherer: prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		gathered.Add(1)
		return reg.Gather()
	})})
	const scrapes = 5
	done := make(chan struct{})
	for range maxScrapes {
		go func() {
			for range scrapes {
				ask(t, "GET", url+"/metrics")
			}
			done <- struct{}{}
		}()
	}
	for range maxScrapes {
		<-done
	}
	if n := gathered.Load(); n != scrapes*maxScrapes {
		t.Errorf("gathered %d times for %d scrapes", n, scrapes*maxScrapes)
	}
}

// stuck is a gatherer that waits.
func stuck(t testing.TB) (g prometheus.Gatherer, entered chan struct{}) {
	entered = make(chan struct{}, maxScrapes)
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		entered <- struct{}{}
		<-release
		return nil, nil
	}), entered
}

func TestScrapeTimesOut(t *testing.T) {
	g, _ := stuck(t)
	url := serve(t, ServerConfig{Gatherer: g, Timeouts: Timeouts{Scrape: 10 * time.Millisecond}})
	// Those that timed out go on gathering, so the limit holds for them too.
	for range maxScrapes + 1 {
		if answer, body := ask(t, "GET", url+"/metrics"); answer.StatusCode != 503 {
			t.Errorf("%s: %s", answer.Status, body)
		}
	}
	if _, body := ask(t, "GET", url+"/metrics"); !strings.Contains(body, "Limit of concurrent requests") {
		t.Errorf("got %s", body)
	}
	if answer, _ := ask(t, "GET", url+"/livez"); answer.StatusCode != 200 {
		t.Errorf("livez: %s", answer.Status)
	}
}
