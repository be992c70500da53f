package main

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/broker"
)

// risks are by what the stream of events may lose messages, as far as that can
// be seen. Somebody may change the stream at any time, so it is looked at again
// and again.
type risks struct {
	streams broker.Streams
	js      jetstream.JetStream
	gauge   *prometheus.GaugeVec
	last    atomic.Pointer[[]broker.Risk]
}

// lookEvery is how often the stream is looked at, and lookWithin how long a look
// may take.
const (
	lookEvery  = 30 * time.Second
	lookWithin = 5 * time.Second
)

func newRisks(streams broker.Streams, js jetstream.JetStream, reg prometheus.Registerer) *risks {
	r := &risks{streams: streams, js: js, gauge: prometheus.NewGaugeVec(prometheus.GaugeOpts{
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

// run looks at the stream until the context is done. What cannot be seen stays
// as it was last: that NATS is away shows elsewhere.
func (r *risks) run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		r.look(ctx)
	}
}

func (r *risks) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	if stream, err := r.js.Stream(ctx, r.streams.Events); err == nil {
		r.note(stream.CachedInfo())
	}
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
