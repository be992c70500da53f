package service

import (
	"math"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/api"
	"rollcall/internal/natsconn"
)

// sourceName names a source, which the server has written in a header, as configuration does;
// one that the stream no longer has is named as in the header.
func (s *service) sourceName(written string) string {
	if m := s.monitor.Load(); m != nil {
		if seen := m.seen.Load(); seen != nil {
			return sourceNameIn(&seen.info.Config, written)
		}
	}
	return written
}

func sourceNameIn(c *jetstream.StreamConfig, written string) string {
	for _, source := range c.Sources {
		if natsconn.WrittenSource(source) == written {
			return natsconn.SourceName(source)
		}
	}
	return written
}

// sources describes the sources for answers.
func (s *service) sources() []api.Source {
	st := s.roster.Status()
	var list []api.Source
	for _, o := range st.Sources() {
		list = append(list, api.Source{Source: s.sourceName(o.Name), Missing: o.Missing, Gap: o.Gap, Recreated: o.Recreated})
	}
	return list
}

// sourceProgress shows how far the stream of events has taken each of its sources: a source
// that stalls is a site that falls silent.
//
//	rollcall_source_lag{source}             messages of the source that are not taken yet
//	rollcall_source_active_seconds{source}  since the source was last heard
//
// Both are absent while the present state of the stream is not known.
type sourceProgress struct{ monitor *monitor }

var (
	sourceLag = prometheus.NewDesc("rollcall_source_lag",
		"Messages of a stream that the stream of events sources that it has not taken yet, as far as it knows: while the line is down it does not learn of new ones. Absent while NATS is down or does not answer.", []string{"source"}, nil)
	sourceActive = prometheus.NewDesc("rollcall_source_active_seconds",
		"How long ago the stream of events last heard from a stream that it sources, which sends something every few seconds even if nothing happens; +Inf: never since its server started. Absent while NATS is down or does not answer.", []string{"source"}, nil)
)

// Describe implements [prometheus.Collector].
func (p sourceProgress) Describe(ch chan<- *prometheus.Desc) {
	ch <- sourceLag
	ch <- sourceActive
}

// Collect implements [prometheus.Collector].
func (p sourceProgress) Collect(ch chan<- prometheus.Metric) {
	//guard:false "what is unknown of sources is not reported" TestSourceProgress
	if !p.monitor.current() {
		return
	}
	seen := p.monitor.seen.Load()
	for _, source := range seen.info.Sources {
		name := natsconn.SourceName(&jetstream.StreamSource{Name: source.Name, External: source.External})
		active := math.Inf(1)
		//guard:false "a source that was never heard is not one that was just heard" TestSourceProgress
		if source.Active >= 0 {
			active = (source.Active + time.Since(seen.at)).Seconds()
		}
		ch <- prometheus.MustNewConstMetric(sourceLag, prometheus.GaugeValue, float64(source.Lag), name)
		ch <- prometheus.MustNewConstMetric(sourceActive, prometheus.GaugeValue, active, name)
	}
}
