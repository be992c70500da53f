package metrics

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"rollcall/internal/test/kit"
)

// BenchmarkScrape scrapes 100,000 machines: from the roster, and from a GaugeVec
// kept in step with it.
func BenchmarkScrape(b *testing.B) {
	r := kit.NewFleet(1, kit.Mixed, kit.Scale(1_000_000)).Roster()
	machines := r.Status().Machines
	live := NewRegistry()
	live.MustShow(NewCollector(r, upToDate, Build{}, machines))
	kept := prometheus.NewRegistry()
	vec := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "rollcall_logged_in_users", Help: "Users."}, []string{"machine"})
	kept.MustRegister(vec)
	for v := range r.Machines("") {
		vec.WithLabelValues(v.Name()).Set(float64(v.UserCount()))
	}
	for _, bb := range []struct {
		name string
		reg  prometheus.Gatherer
	}{{"roster", live}, {"gaugevec", kept}} {
		b.Run(bb.name, func(b *testing.B) {
			h := promhttp.HandlerFor(bb.reg, promhttp.HandlerOpts{})
			request := httptest.NewRequest(http.MethodGet, "/metrics", nil)
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(discard{}, request)
			}
		})
	}
}

// discard is a client that discards what it reads.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return io.Discard.Write(b) }
func (discard) WriteHeader(int)             {}
