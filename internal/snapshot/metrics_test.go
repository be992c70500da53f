package snapshot

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"rollcall/internal/roster"
)

func TestMetrics(t *testing.T) {
	bubble(t, func(t *testing.T) { // the time it takes is 0
		reg := prometheus.NewPedanticRegistry()
		s, err := Open(t.TempDir(), "test", quiet(t), reg)
		if err != nil {
			t.Fatal(err)
		}
		compareMetrics(t, reg, "metrics-none.txt")
		r := roster.New(goldenSettings)
		saved(t, s, r, 1)
		last, _ := s.Last()
		s.last.Store(&Info{Header: last.Header, Size: 1234}) // the size is the compressor's business
		compareMetrics(t, reg, "metrics-one.txt")
	})
}

func compareMetrics(t *testing.T, reg *prometheus.Registry, golden string) {
	t.Helper()
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
	path := filepath.Join("testdata", golden)
	if *update {
		scrape := httptest.NewRecorder()
		promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(scrape, httptest.NewRequest("GET", "/metrics", nil))
		if err := os.WriteFile(path, scrape.Body.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	if err := testutil.GatherAndCompare(reg, want); err != nil {
		t.Error(err)
	}
}
