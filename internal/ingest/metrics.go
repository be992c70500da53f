package ingest

import (
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/roster"
)

type metrics struct {
	messages   [4]prometheus.Counter // by fate
	events     map[roster.Type]prometheus.Counter
	refused    map[roster.Reason]prometheus.Counter
	eventDelay prometheus.Histogram
	applyDelay prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) *metrics {
	messages := counters("rollcall_messages_total", "Messages read since the process began, by fate.", "fate")
	events := counters("rollcall_events_total", "Events accepted since the process began, by type.", "type")
	refused := counters("rollcall_refused_total", "Messages refused since the process began, by reason.", "reason")
	m := &metrics{
		events:  map[roster.Type]prometheus.Counter{},
		refused: map[roster.Reason]prometheus.Counter{},
		eventDelay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "rollcall_event_delay_seconds",
			Help:    "Delay from the date of an event to its receipt, while caught up.",
			Buckets: []float64{0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 86400},
		}),
		applyDelay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "rollcall_apply_delay_seconds",
			Help:    "Delay from the receipt of an event until it is in the roster, while caught up.",
			Buckets: []float64{0.0001, 0.001, 0.01, 0.1, 1, 10, 60},
		}),
	}
	for _, f := range roster.AllFates() {
		m.messages[f] = messages.WithLabelValues(f.String())
	}
	for _, t := range roster.Types() {
		m.events[t] = events.WithLabelValues(t.String())
	}
	for _, r := range roster.Reasons() {
		m.refused[r] = refused.WithLabelValues(string(r))
	}
	reg.MustRegister(messages, events, refused, m.eventDelay, m.applyDelay)
	return m
}

func counters(name, help, label string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
}

// addFates adds to the counters the messages that got their fate between before and
// after.
func (m *metrics) addFates(before, after roster.Fates) {
	for f, counter := range m.messages {
		counter.Add(float64(after[f] - before[f]))
	}
}
