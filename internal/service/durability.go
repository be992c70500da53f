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

// durability tracks the ways in which the stream of events may lose messages, as far as
// its configuration shows them. Anybody with the permission may change the streams at any
// time, so they are polled. A configuration with which the service would not start is
// logged as an error but does not stop it: questions can still be answered, and stopping
// would undo no forged event.
type durability struct {
	streams natsconn.Streams
	js      jetstream.JetStream
	log     *slog.Logger
	gauge   *prometheus.GaugeVec
	last    atomic.Pointer[[]natsconn.Risk]
}

// riskInterval is how often the streams are polled for risks, riskTimeout the time-out of
// a poll.
const (
	riskInterval = 30 * time.Second
	riskTimeout  = 5 * time.Second
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

// record records the risks of the stream as Prepare found it, which has logged them.
func (d *durability) record(info *jetstream.StreamInfo) { d.store(d.streams.Risks(info)) }

func (d *durability) store(list []natsconn.Risk) {
	for _, reason := range natsconn.RiskReasons() {
		d.gauge.WithLabelValues(reason).Set(0)
	}
	for _, risk := range list {
		d.gauge.WithLabelValues(risk.Reason).Set(1)
	}
	d.last.Store(&list)
}

// poll requests the streams. If that fails, the last known risks stay; other checks show
// that NATS is down.
func (d *durability) poll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, riskTimeout)
	defer cancel()
	list, err := d.streams.CurrentRisks(ctx, d.js)
	if err != nil {
		return
	}
	d.logChanges(ctx, *d.last.Load(), list)
	d.store(list)
}

// logChanges logs which risks are new, and which are resolved.
func (d *durability) logChanges(ctx context.Context, before, now []natsconn.Risk) {
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
		risk.Log(ctx, d.log, level, d.streams.Events)
	}
	for _, risk := range before {
		if !slices.ContainsFunc(now, same(risk)) {
			d.log.Info("stream risk resolved", "stream", d.streams.Events, "reason", risk.Reason)
		}
	}
}

// state reports whether there is no risk, and describes the risks.
func (d *durability) state() (none bool, text string) {
	list := *d.last.Load()
	words := make([]string, len(list))
	for i, risk := range list {
		words[i] = risk.String()
	}
	switch {
	case len(list) > 0:
		return false, strings.Join(words, "; ")
	case d.streams.Embedded:
		return true, "no risk known: messages are fsynced before they are acknowledged; one replica"
	}
	return true, "no risk known; whether the server fsyncs messages before it acknowledges them (sync_interval: always) is not visible to clients"
}
