package service

import (
	"github.com/nats-io/nats.go/jetstream"

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
