package metrics

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"rollcall/internal/httpd"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

var hostile = []string{
	`"`, `\`, `a"b\c`, `\n`, "käthe", "日本語", "😀", "\u2028", "</script>", "{", "a,b", "a=b", "%2E", " ", "\ufffd", strings.Repeat("x", 255),
}

// serve serves a gatherer's metrics until the test ends, and returns the URL.
func serve(t testing.TB, g prometheus.Gatherer) string {
	t.Helper()
	s, err := httpd.Listen(httpd.ServerConfig{Addr: "127.0.0.1:0", Gatherer: g, Log: kit.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	kit.Run(t, s.Serve)
	t.Cleanup(http.DefaultClient.CloseIdleConnections) // before the server ends
	return s.URL()
}

func TestScrapeHostileNames(t *testing.T) {
	r := roster.New(roster.DefaultSettings())
	for _, name := range hostile {
		kit.Feed(r, kit.Login(name, "x"))
	}
	url := serve(t, registry(t, r, upToDate, 100))
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
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", accept)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	body := string(data)
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
	url := serve(t, registry(t, kit.Seed(), upToDate, 100))
	families := scrape(t, url+"/metrics?name[]=rollcall_users&name[]=rollcall_sessions", "text/plain")
	if len(families) != 2 || families["rollcall_users"] == nil || families["rollcall_sessions"] == nil {
		t.Errorf("got %v", families)
	}
}

// TestScrapeWhileFolding: the fates add up to the position in each scrape, also
// while the fold continues.
func TestScrapeWhileFolding(t *testing.T) {
	r := roster.New(roster.DefaultSettings())
	url := serve(t, registry(t, r, upToDate, 100))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 2000 {
			machine := fmt.Sprintf("machine-%03d", i%300)
			kit.Feed(r, kit.Login(machine, "x"), kit.Logout(machine, "y"), kit.Login(machine, "z"), kit.On("1999-01-01 00:00:00", kit.Login(machine, "late")))
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

// TestScrapeIsConsistent: if the roster changes during a scrape, position and fates
// are still from the same place.
func TestScrapeIsConsistent(t *testing.T) {
	r := kit.Seed()
	collected := make(chan prometheus.Metric)
	go func() {
		defer close(collected)
		NewCollector(r, upToDate, Build{}, 100).Collect(collected)
	}()
	var sum, at float64
	for m := range collected {
		kit.Feed(r, kit.Login("web", "x"))
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
