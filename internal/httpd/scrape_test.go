package httpd

import (
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Each scrape gathers anew, also when clients scrape without pause.
func TestScrapesAreFresh(t *testing.T) {
	reg := prometheus.NewRegistry()
	users := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "users", Help: "Users."}, []string{"machine"})
	for i := range 500 {
		users.WithLabelValues(strconv.Itoa(i)).Set(1)
	}
	reg.MustRegister(users)
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

// stuck is a gatherer that blocks.
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
	// Scrapes that timed out are still gathering, so they count for the limit too.
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
