package stream

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	rebuilds *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		rebuilds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_consumer_rebuilds_total",
			Help: "Consumers of the stream of events that were made anew, by cause.",
		}, []string{"cause"}),
	}
	for _, cause := range []string{causeReconnect, causeDropped, causeGap, causeSilence, causeServer, causeCreate} {
		m.rebuilds.WithLabelValues(cause)
	}
	reg.MustRegister(m.rebuilds)
	return m
}
