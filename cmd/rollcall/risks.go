package main

import (
	"strings"
	"sync/atomic"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/broker"
)

// risks are by what the stream of events may lose messages, as far as that can
// be seen. What cannot be seen stays as it was last.
type risks struct {
	streams broker.Streams
	gauge   *prometheus.GaugeVec
	last    atomic.Pointer[[]broker.Risk]
}

func newRisks(streams broker.Streams, reg prometheus.Registerer) *risks {
	r := &risks{streams: streams, gauge: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "rollcall_stream_risk",
		Help: "1 if the stream of events may lose messages for this reason, else 0. Whether an outside server has a message on the disk when it acknowledges it cannot be seen.",
	}, []string{"reason"})}
	reg.MustRegister(r.gauge)
	return r
}

// note notes the risks of the stream as it stands.
func (r *risks) note(info *jetstream.StreamInfo) {
	list := r.streams.Risks(info)
	for _, reason := range broker.RiskReasons() {
		r.gauge.WithLabelValues(reason).Set(0)
	}
	for _, risk := range list {
		r.gauge.WithLabelValues(risk.Reason).Set(1)
	}
	r.last.Store(&list)
}

// state tells whether there is no risk, and in words what there is.
func (r *risks) state() (none bool, text string) {
	list := *r.last.Load()
	words := make([]string, len(list))
	for i, risk := range list {
		words[i] = risk.String()
	}
	switch {
	case len(list) > 0:
		return false, strings.Join(words, "; ")
	case r.streams.Embedded:
		return true, "no risk known: a message is on the disk before its ack; one replica"
	}
	return true, "no risk known; whether the server has a message on the disk before its ack (sync_interval: always) cannot be seen from here"
}
