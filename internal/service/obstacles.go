package service

import (
	"fmt"
	"strings"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/natsconn"
)

// The reasons why the stream of events takes no messages.
const (
	streamFull = "full"
	diskFull   = "no_space"
)

// obstacles are why the stream of events takes no messages, as far as that can
// be seen: publishers are refused, or get no answer at all.
type obstacles struct {
	gauge *prometheus.GaugeVec

	mu   sync.Mutex
	full string // the limit that is reached
	disk diskTrouble
}

// diskTrouble is a server that cannot write.
type diskTrouble struct {
	err error // nil: it can
	// suspect says that it could not, and has stored no event since, nor was the
	// connection made anew, as with a server that is started anew.
	suspect  bool
	sequence uint64 // the last stored while it could not
	lost     uint64 // of the link, when it was last found that it cannot
}

func newObstacles(reg prometheus.Registerer) *obstacles {
	o := &obstacles{gauge: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "rollcall_stream_blocked",
		Help: "1 if the stream of events takes no messages for this reason, else 0: full (discard new, at its limit), no_space (its server cannot write to the disk, or could not and has stored no event since).",
	}, []string{"reason"})}
	reg.MustRegister(o.gauge)
	o.show()
	return o
}

// note notes whether the stream is full, and whether it has stored anything
// since its server could not write.
func (o *obstacles) note(info *jetstream.StreamInfo, lost uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.full = natsconn.Full(info)
	d := &o.disk
	switch {
	case d.err != nil:
		d.sequence = info.State.LastSeq // what is stored until it is full is no proof
	case info.State.LastSeq != d.sequence || lost != d.lost:
		d.suspect = false
	}
	o.show()
}

// tried notes what came of trying the disk, and reports whether it takes
// something again that took nothing before.
func (o *obstacles) tried(err error, seen *sighting) (back bool) {
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
	o.show()
	return back
}

// show sets the gauge. The caller holds the lock, or nobody else has it.
func (o *obstacles) show() {
	for reason, is := range map[string]bool{streamFull: o.full != "", diskFull: o.disk.err != nil || o.disk.suspect} {
		value := 0.0
		if is {
			value = 1
		}
		o.gauge.WithLabelValues(reason).Set(value)
	}
}

// state tells in words what is in the way; "" if nothing is.
func (o *obstacles) state() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var words []string
	if o.full != "" {
		words = append(words, fmt.Sprintf("FULL: refuses every event, as it discards new messages at its %s", o.full))
	}
	switch {
	case o.disk.err != nil:
		words = append(words, "NO SPACE: "+o.disk.err.Error())
	case o.disk.suspect:
		words = append(words, "its server could not write and has stored no event since: nats-server takes none until it is started anew")
	}
	return strings.Join(words, "; ")
}
