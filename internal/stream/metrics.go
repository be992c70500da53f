package stream

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	rebuilds     *prometheus.CounterVec
	incarnations *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		rebuilds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_consumer_rebuilds_total",
			Help: "Consumers of the stream of events that were recreated, by cause.",
		}, []string{"cause"}),
		incarnations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_incarnations_total",
			Help: "Times that the stream of events was found to be another incarnation, by kind.",
		}, []string{"kind"}),
	}
	for _, cause := range causes {
		m.rebuilds.WithLabelValues(cause)
	}
	for _, kind := range incarnations {
		m.incarnations.WithLabelValues(string(kind))
	}
	reg.MustRegister(m.rebuilds, m.incarnations)
	return m
}
