// Package prometheustest runs a real Prometheus with the configuration of
// deploy/prometheus, for tests.
package prometheustest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"rollcall/deploy/internal/program"
)

// Program returns the path of prometheus or promtool.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v: it is in Debian's package prometheus: apt-get install --no-install-recommends prometheus", err)
	}
	return path
}

// Promtool runs promtool in a folder, and fails the test if promtool fails.
func Promtool(t testing.TB, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command(Program(t, "promtool"), args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// Server is a running Prometheus. Its process is nil if the test did not start it.
type Server struct {
	*program.Process
	t    testing.TB
	http *http.Client
	url  string
}

// At returns a Prometheus that runs already, and whose URL the client reaches.
func At(t testing.TB, client *http.Client, url string) *Server {
	return &Server{t: t, http: client, url: url}
}

// shortIntervals shortens the intervals of prometheus.yml.
var shortIntervals = strings.NewReplacer(
	"scrape_interval: 15s", "scrape_interval: 200ms\n  scrape_timeout: 200ms",
	"evaluation_interval: 15s", "evaluation_interval: 200ms",
)

// Start starts a Prometheus with the configuration and rules of deploy/prometheus, with
// short intervals and the service at this URL as the only target. It returns when the
// service has been scraped.
func Start(t testing.TB, service string) *Server {
	t.Helper()
	return StartAs(t, service, shortIntervals)
}

// StartAs is Start with other changes to the configuration and rules.
func StartAs(t testing.TB, service string, changes *strings.Replacer) *Server {
	t.Helper()
	dir := t.TempDir()
	own := filepath.Join(program.Root(t), "deploy", "prometheus")
	for _, name := range []string{"prometheus.yml", "rules.yml", "alerts.yml"} {
		text, err := os.ReadFile(filepath.Join(own, name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), changes.Replace(string(text)))
	}
	target, err := json.Marshal([]map[string][]string{{"targets": {strings.TrimPrefix(service, "http://")}}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "targets.yml"), string(target))
	s := &Server{t: t, http: http.DefaultClient, Process: program.Start(t, nil, Program(t, "prometheus"),
		"--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address=127.0.0.1:0")}
	s.AwaitLog("Server is ready to receive web requests.")
	s.url = "http://" + listening.FindStringSubmatch(s.Log())[1]
	program.Eventually(t, "the service is scraped", func() bool {
		return len(s.Query(`up{job="rollcall"} == 1`)) == 1
	})
	return s
}

// listening matches the log line in which Prometheus prints its port.
var listening = regexp.MustCompile(`address=(127\.0\.0\.1:[1-9]\d*)`)

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Sample is one series of a query's result.
type Sample struct {
	Labels map[string]string
	Value  float64
}

// Query returns the current value of an expression. An expression that Prometheus refuses
// fails the test.
func (s *Server) Query(expr string) []Sample {
	s.t.Helper()
	var data struct {
		ResultType string
		Result     json.RawMessage
	}
	s.Get("/api/v1/query", url.Values{"query": {expr}}, &data)
	if data.ResultType == "scalar" {
		var value [2]any
		s.decode(data.Result, &value)
		return []Sample{{Value: s.number(value)}}
	}
	var result []struct {
		Metric map[string]string
		Value  [2]any
	}
	s.decode(data.Result, &result)
	var samples []Sample
	for _, r := range result {
		samples = append(samples, Sample{r.Metric, s.number(r.Value)})
	}
	return samples
}

// Get requests a path of Prometheus's API and decodes the data of the response.
func (s *Server) Get(path string, parameters url.Values, data any) {
	s.t.Helper()
	answer, err := s.http.Get(s.url + path + "?" + parameters.Encode())
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	var got struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(answer.Body).Decode(&got); err != nil {
		s.t.Fatalf("%s %v: %s: %v", path, parameters, answer.Status, err)
	}
	if got.Status != "success" {
		s.t.Fatalf("%s %v: %s", path, parameters, got.Error)
	}
	s.decode(got.Data, data)
}

func (s *Server) decode(text json.RawMessage, into any) {
	s.t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		s.t.Fatalf("%v in %s", err, text)
	}
}

// number returns the value of a point, which is a time and a number as text.
func (s *Server) number(point [2]any) float64 {
	s.t.Helper()
	text, _ := point[1].(string)
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return value
}
