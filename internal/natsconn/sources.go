package natsconn

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/roster"
)

// A stream of events may source the streams of sites: the server copies their messages,
// and records in the header Nats-Stream-Source from where each one is. nats-server writes
// it so (genSourceHeader in its stream.go):
//
//	2.10 to 2.14   <stream> <sequence> <filter> <destination> <subject>
//	2.15           the same, and <creation>, a hash of when the source was created
//
// <stream> is the name, then ":" and a hash of the API prefix if the source is external,
// then ":C=" and a hash of the name of its consumer if it has a durable one. Before 2.15
// nothing shows that a source was created anew, and publishers may forge the header.

// minSourcesServer is the oldest NATS server whose sources can be proven.
var minSourcesServer = [2]int{2, 15}

// ProvesSources reports whether a server with this version writes where a sourced message is
// from so that it proves something, and lets no publisher do so.
func ProvesSources(version string) bool { return !isBefore(version, minSourcesServer) }

// externalPrefix and externalSuffix surround the domain in the API prefix of a source.
const (
	externalPrefix = "$JS."
	externalSuffix = ".API"
)

// SourceName names a source as configuration and messages do: "fra/ROLLCALL_EVENTS" for a
// stream in another domain, the name alone for one in the same.
func SourceName(s *jetstream.StreamSource) string {
	if s.External == nil {
		return s.Name
	}
	return External(s.External.APIPrefix) + "/" + s.Name
}

// WrittenSource returns the name of a source as the server writes it in headers: see above.
func WrittenSource(s *jetstream.StreamSource) string {
	name := s.Name
	if s.External != nil {
		name = roster.WrittenSource(s.Name, s.External.APIPrefix)
	}
	if s.Consumer != nil {
		name += roster.SourceConsumer + roster.HashOfName(s.Consumer.Name)
	}
	return name
}

// External names the account or domain that an API prefix leads to: the domain if it is
// that of one, else the prefix.
func External(api string) string {
	if rest, ok := strings.CutPrefix(api, externalPrefix); ok {
		if domain, ok := strings.CutSuffix(rest, externalSuffix); ok && DomainProblem(domain) == "" {
			return domain
		}
	}
	return api
}

// refuseSources adds what the stream of events may not have among its sources. version is
// that of the server connected to.
func refuseSources(c jetstream.StreamConfig, version string, add func(setting string, value any, why string)) {
	//guard:false "sources that cannot be proven are not read" TestSources
	if len(c.Sources) > 0 && !ProvesSources(version) {
		add("sources", strings.Join(sourceNames(c), ", "), fmt.Sprintf(
			"nats-server %s does not record in Nats-Stream-Source when a source was created, so that lost events go unnoticed; upgrade the servers of the stream and of its sources to %d.%d",
			version, minSourcesServer[0], minSourcesServer[1]))
	}
	for _, s := range c.Sources {
		//guard:false "no event is left out of a source" TestRefusedStreams
		if s.FilterSubject != "" && s.FilterSubject != ">" {
			add("sources", fmt.Sprintf("%s with the filter %q", SourceName(s), s.FilterSubject),
				"what the filter leaves out looks like events that were lost; let the source's stream capture events only, and want no filter")
		}
		for _, t := range s.SubjectTransforms {
			//guard:false "messages keep the subjects that permissions bind to" TestRefusedStreams
			if t.Destination != "" && t.Destination != t.Source {
				add("sources", fmt.Sprintf("%s with the transform of %q to %q", SourceName(s), t.Source, t.Destination), "events would arrive as those of another machine; want none")
			} else {
				add("sources", fmt.Sprintf("%s with the transform of %q", SourceName(s), t.Source),
					"what a transform does not match is left out, and looks like events that were lost; let the source's stream capture events only, and want no transform")
			}
		}
	}
}

// lackingSources returns an error for each source that may speak for machines, but is not one
// of the stream of events (nil: it is missing).
func lackingSources(events *jetstream.StreamConfig, roles []role) []error {
	var list []error
	for _, r := range roles {
		listed := r.speakers.Sources()
		has := "it does not exist"
		if events != nil {
			has = "its sources are " + strings.Join(sourceNames(*events), ", ")
			for _, s := range events.Sources {
				delete(listed, bareName(s))
			}
			if len(events.Sources) == 0 {
				has = "it has none"
			}
		}
		for _, name := range slices.Sorted(maps.Values(listed)) {
			list = append(list, fmt.Errorf("ROLLCALL_SOURCES: stream %s has no source %q; %s: correct the name (domain/stream), or add the source to the stream (docs/sites.md)", r.config.Name, name, has))
		}
	}
	return list
}

// bareName is WrittenSource without the source's consumer, which says nothing of who speaks.
func bareName(s *jetstream.StreamSource) string {
	return WrittenSource(&jetstream.StreamSource{Name: s.Name, External: s.External})
}

// warnSilenced logs who publishes to the stream of events but may speak for no machine.
func (r role) warnSilenced(c jetstream.StreamConfig, log *slog.Logger) {
	silenced := func(source string) {
		log.Warn("a source of the stream is not in ROLLCALL_SOURCES: all its events are refused", "stream", c.Name, "source", source)
	}
	for _, s := range c.Sources {
		//guard:drop "a source whose events are all refused is named at the start" TestSpeakers
		if !r.speakers.Lists(bareName(s)) {
			silenced(SourceName(s))
		}
	}
	if len(c.Subjects) > 0 && !r.speakers.Lists("") {
		silenced(roster.Local)
	}
}

func sourceNames(c jetstream.StreamConfig) []string {
	names := make([]string, len(c.Sources))
	for i, s := range c.Sources {
		names[i] = SourceName(s)
	}
	return names
}

// isSourceOf reports whether a stream of the same domain is a source of the stream of
// events, which does not listen to the subjects itself.
func isSourceOf(events *jetstream.StreamConfig, name string) bool {
	if events == nil || len(events.Subjects) > 0 {
		return false
	}
	for _, s := range events.Sources {
		if s.External == nil && s.Name == name {
			return true
		}
	}
	return false
}
