package service

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/natsconn"
)

// durability knows the ways in which the stream of events may lose messages, as far as
// its configuration shows them. Anybody with the permission may change the streams at any
// time, so they are polled. A configuration with which the service would not start is
// logged as an error but does not stop it: questions can still be answered, and what was
// forged by then stays forged.
type durability struct {
	streams natsconn.Streams
	js      jetstream.JetStream
	log     *slog.Logger
	gauge   *prometheus.GaugeVec
	last    atomic.Pointer[[]natsconn.Risk]
}

// lookEvery is how often the streams are polled, and lookWithin how long a poll may take.
const (
	lookEvery  = 30 * time.Second
	lookWithin = 5 * time.Second
)

func newDurability(streams natsconn.Streams, js jetstream.JetStream, log *slog.Logger, reg prometheus.Registerer) *durability {
	r := &durability{streams: streams, js: js, log: log, gauge: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "rollcall_stream_risk",
		Help: "1 if the stream of events may lose messages for this reason, else 0; cannot_serve: rollcall would not start with the streams as they are now. Whether an external server fsyncs a message before it acknowledges it cannot be seen.",
	}, []string{"reason"})}
	reg.MustRegister(r.gauge)
	r.store(nil)
	return r
}

// note records the risks of the stream as Prepare found it, which has logged them.
func (r *durability) note(info *jetstream.StreamInfo) { r.store(r.streams.Risks(info)) }

func (r *durability) store(list []natsconn.Risk) {
	for _, reason := range natsconn.RiskReasons() {
		r.gauge.WithLabelValues(reason).Set(0)
	}
	for _, risk := range list {
		r.gauge.WithLabelValues(risk.Reason).Set(1)
	}
	r.last.Store(&list)
}

// look looks at the streams. What cannot be seen stays as it was last: that NATS is
// away shows elsewhere.
func (r *durability) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	list, err := r.streams.CurrentRisks(ctx, r.js)
	if err != nil {
		return
	}
	r.tell(ctx, *r.last.Load(), list)
	r.store(list)
}

// tell logs what has come and what has gone since the last look.
func (r *durability) tell(ctx context.Context, before, now []natsconn.Risk) {
	same := func(a natsconn.Risk) func(natsconn.Risk) bool {
		return func(b natsconn.Risk) bool { return a.String() == b.String() }
	}
	for _, risk := range now {
		if slices.ContainsFunc(before, same(risk)) {
			continue
		}
		level := slog.LevelWarn
		if risk.Refused() {
			level = slog.LevelError
		}
		risk.Log(ctx, r.log, level, r.streams.Events)
	}
	for _, risk := range before {
		if !slices.ContainsFunc(now, same(risk)) {
			r.log.Info("stream risk is over", "stream", r.streams.Events, "reason", risk.Reason)
		}
	}
}

// state tells whether there is no risk, and in words what there is.
func (r *durability) state() (none bool, text string) {
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
