package history

import (
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/roster"
)

// Status is how far the history is, and how large.
type Status struct {
	// Place is the place up to which it is written.
	Place uint64
	// Behind says that it has not caught up with the roster, and Failing why it can't
	// be written; nil while it can.
	Behind  bool
	Failing error
	// Stays counts those that have ended; Evicted, those deleted since the process began
	// because the file was too large.
	Stays, Evicted int64
	// Bytes is the size of its files.
	Bytes int64
	// Kept is the date before which stays are not kept; 0: all are.
	Kept roster.Time
}

// Status returns the state of the history.
func (h *History) Status() Status {
	h.mu.Lock()
	s := h.status
	s.Place, s.Behind, s.Failing = h.written, h.behind || h.catching, h.failing
	h.mu.Unlock()
	path, err := filepath.EvalSymlinks(h.path)
	if err != nil {
		return s // it was removed
	}
	for _, suffix := range []string{"", "-wal"} {
		if f, err := os.Stat(path + suffix); err == nil {
			s.Bytes += f.Size()
		}
	}
	return s
}

type metrics struct{ errors prometheus.Counter }

func newMetrics(reg prometheus.Registerer, h *History) *metrics {
	m := &metrics{
		errors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rollcall_history_errors_total",
			Help: "Attempts to write the history that failed since the process began.",
		}),
	}
	reg.MustRegister(m.errors, &collector{h})
	return m
}

// collector reads the status at each scrape.
type collector struct{ h *History }

func desc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("rollcall_history_"+name, help, nil, nil)
}

var (
	descPlace   = desc("position", "The place up to which the history is written.")
	descBehind  = desc("behind", "1 while the history has not caught up with the roster: questions about the past are answered as of its place.")
	descFailing = desc("failing", "1 while the history cannot be written.")
	descStays   = desc("stays", "Sessions in the history that have ended.")
	descEvicted = desc("evicted_total", "Sessions deleted from the history since the process began because its file was too large.")
	descBytes   = desc("size_bytes", "Size of the history's files.")
	descKept    = desc("kept_from_timestamp_seconds", "The date before which the history keeps no sessions; 0: it has all since the first event.")
)

// Describe sends the metrics' descriptions.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descPlace, descBehind, descFailing, descStays, descEvicted, descBytes, descKept} {
		to <- d
	}
}

// Collect sends the metrics.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	s := c.h.Status()
	gauge := func(d *prometheus.Desc, v float64) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	gauge(descPlace, float64(s.Place))
	gauge(descBehind, number01(s.Behind))
	gauge(descFailing, number01(s.Failing != nil))
	gauge(descStays, float64(s.Stays))
	gauge(descBytes, float64(s.Bytes))
	gauge(descKept, float64(s.Kept)/1e9)
	to <- prometheus.MustNewConstMetric(descEvicted, prometheus.CounterValue, float64(s.Evicted))
}

func number01(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
