package service

import (
	"fmt"
	"strings"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/natsconn"
)

// The reasons why the stream of events stores no messages.
const (
	streamFull = "full"
	diskFull   = "no_space"
)

// obstacles tracks why the stream of events stores no messages, as far as clients can
// see. Publishers then get an error, or no answer at all.
type obstacles struct {
	gauge *prometheus.GaugeVec

	mu   sync.Mutex
	full string // the limit that was reached
	disk diskState
}

// diskState is the state of the NATS server's disk.
type diskState struct {
	err error // of the last probe; nil: the server can write
	// suspect says that a probe failed, and that since then no event was stored and the
	// connection was not re-established, as it would be after a restart of the server.
	suspect  bool
	sequence uint64 // of the last message stored before that
	lost     uint64 // link.lost at the last failed probe
}

func newObstacles(reg prometheus.Registerer) *obstacles {
	o := &obstacles{gauge: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "rollcall_stream_blocked",
		Help: "1 if the stream of events stores no messages for this reason, else 0: full (discard new, at its limit), no_space (its server cannot write to the disk, or could not and has stored no event since).",
	}, []string{"reason"})}
	reg.MustRegister(o.gauge)
	o.setGauge()
	return o
}

// record records whether the stream is full, and whether it has stored anything since a
// probe failed.
func (o *obstacles) record(info *jetstream.StreamInfo, lost uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.full = natsconn.Full(info)
	d := &o.disk
	switch {
	case d.err != nil:
		d.sequence = info.State.LastSeq // messages stored until the disk is full prove nothing
	case info.State.LastSeq != d.sequence || lost != d.lost:
		d.suspect = false
	}
	o.setGauge()
}

// recordProbe records the result of a probe, and reports whether the disk has space again.
func (o *obstacles) recordProbe(err error, seen *sighting) (back bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	d := &o.disk
	back = err == nil && d.err != nil
	switch {
	case err != nil:
		d.suspect, d.sequence, d.lost = true, seen.sequence, seen.lost
	case back && seen.lost != d.lost:
		d.suspect = false
	}
	d.err = err
	o.setGauge()
	return back
}

// setGauge sets the gauge. The caller holds the lock, or is the only user.
func (o *obstacles) setGauge() {
	for reason, holds := range map[string]bool{streamFull: o.full != "", diskFull: o.disk.err != nil || o.disk.suspect} {
		value := 0.0
		if holds {
			value = 1
		}
		o.gauge.WithLabelValues(reason).Set(value)
	}
}

// state describes the obstacles, or returns "" if there are none.
func (o *obstacles) state() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var words []string
	if o.full != "" {
		words = append(words, fmt.Sprintf("FULL: rejects every event, as it discards new messages at its %s", o.full))
	}
	switch {
	case o.disk.err != nil:
		words = append(words, "NO SPACE: "+o.disk.err.Error())
	case o.disk.suspect:
		words = append(words, "its server could not write and has stored no event since: nats-server accepts none until it is restarted")
	}
	return strings.Join(words, "; ")
}
