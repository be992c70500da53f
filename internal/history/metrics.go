package history

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	errors prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, h *History) *metrics {
	m := &metrics{
		errors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rollcall_history_errors_total",
			Help: "Attempts to write the history that failed since the process began.",
		}),
	}
	reg.MustRegister(m.errors, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rollcall_history_position",
		Help: "The place up to which the history is written.",
	}, func() float64 {
		h.mu.Lock()
		defer h.mu.Unlock()
		return float64(h.written)
	}))
	return m
}
