package natsconn

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// TestSources: a stream of events may be fed by sources alone, whichever streams these are;
// a server that does not record when a source was created is refused.
func TestSources(t *testing.T) {
	js := newJetStream(t)
	makeStream(t, js, jetstream.StreamConfig{Name: "SITE", Subjects: []string{"rollcall.events", "rollcall.events.>"}})
	makeStream(t, js, jetstream.StreamConfig{Name: "ROLLCALL_EVENTS", Sources: []*jetstream.StreamSource{{Name: "SITE"}, {Name: "SITE", Domain: "fra"}}})
	log, r := logger()
	info, err := Prepare(t.Context(), js, ourStreams(t), log)
	if err != nil || info.Config.Name != "ROLLCALL_EVENTS" {
		t.Fatal(info, err)
	}
	if r.Has("sources and subjects") {
		t.Error(r)
	}
	all := everythingOf(t, js)
	for version, want := range map[string]bool{"2.15.2": true, "2.16.0-beta.1": true, "3.0.0": true, "2.14.10": false, "2.9.25": false} {
		err := validate(all, ourStreams(t).roles(), ourStreams(t).Subjects, version)
		switch {
		case want && err != nil:
			t.Errorf("%s: %v", version, err)
		case !want:
			wantError(t, err, true, "stream ROLLCALL_EVENTS: sources is SITE, fra/SITE: nats-server "+version+" does not record", "to 2.15")
		}
	}
}

// everythingOf returns the infos of all streams.
func everythingOf(t *testing.T, js jetstream.JetStream) []*jetstream.StreamInfo {
	t.Helper()
	all, err := list(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestListeningHub: a stream that has sources may capture events itself, which is reported.
func TestListeningHub(t *testing.T) {
	hub := kit.StartHub(t)
	leaf := kit.StartLeaf(t, hub.LeafURL(), "fra", "rollcall.events", "rollcall.events.>")
	site := kit.JetStream(t, kit.Conn(t, leaf.URL))
	makeStream(t, site, jetstream.StreamConfig{Name: "ROLLCALL_EVENTS", Subjects: []string{"rollcall.events", "rollcall.events.>"}})
	js := kit.JetStream(t, kit.Conn(t, hub.URL))
	makeStream(t, js, jetstream.StreamConfig{
		Name: "ROLLCALL_EVENTS", Subjects: []string{"rollcall.events", "rollcall.events.>"}, Sources: []*jetstream.StreamSource{{Name: "ROLLCALL_EVENTS", Domain: "fra"}},
	})
	log, r := logger()
	if _, err := Prepare(t.Context(), js, ourStreams(t), log); err != nil {
		t.Fatal(err)
	}
	if !r.Has("stream has sources and subjects of its own") || !r.Has("sources=fra/ROLLCALL_EVENTS") {
		t.Error(r)
	}
}

// TestSourceName: a source is named by its domain, or by the prefix of its API.
func TestSourceName(t *testing.T) {
	for want, s := range map[string]jetstream.StreamSource{
		"E":             {Name: "E"},
		"fra/E":         {Name: "E", External: &jetstream.ExternalStream{APIPrefix: "$JS.fra.API"}},
		"SITE.API/E":    {Name: "E", External: &jetstream.ExternalStream{APIPrefix: "SITE.API"}},
		"$JS.API/E":     {Name: "E", External: &jetstream.ExternalStream{APIPrefix: "$JS.API"}},
		"$JS..API/E":    {Name: "E", External: &jetstream.ExternalStream{APIPrefix: "$JS..API"}},
		"$JS.a.b.API/E": {Name: "E", External: &jetstream.ExternalStream{APIPrefix: "$JS.a.b.API"}},
	} {
		if got := SourceName(&s); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestSpeakers: a source that may speak for machines must be one of the stream; one that may not
// is named at the start.
func TestSpeakers(t *testing.T) {
	js := newJetStream(t)
	streams := ourStreams(t)
	prepare := func(sources string) (log string, err error) {
		t.Helper()
		if streams.Speakers, err = roster.ParseSpeakers(sources); err != nil {
			t.Fatal(err)
		}
		to, r := logger()
		_, err = Prepare(t.Context(), js, streams, to)
		return r.String(), err
	}
	_, err := prepare("fra/SITE=*")
	wantError(t, err, true, `ROLLCALL_SOURCES: stream ROLLCALL_EVENTS has no source "fra/SITE"; it does not exist: correct`)
	if n := len(everythingOf(t, js)); n > 0 {
		t.Errorf("%d streams were created", n)
	}
	makeStream(t, js, jetstream.StreamConfig{Name: "SITE", Subjects: []string{"rollcall.events", "rollcall.events.>"}})
	makeStream(t, js, jetstream.StreamConfig{Name: "ROLLCALL_EVENTS", Sources: []*jetstream.StreamSource{{Name: "SITE"}, {Name: "SITE", Domain: "fra"}}})
	_, err = prepare("fra/SITE=*,ber/SITE=*,EVENTS=*,local=*")
	wantError(t, err, true, `has no source "ber/SITE"; its sources are SITE, fra/SITE: correct`, `has no source "EVENTS"`)
	if strings.Contains(err.Error(), `"fra/SITE"`) || strings.Contains(err.Error(), "local") {
		t.Error(err)
	}
	const silenced = "a source of the stream is not in ROLLCALL_SOURCES: all its events are refused"
	for sources, want := range map[string]int{"": 0, "fra/SITE=*,SITE=a": 0, "$JS.fra.API/SITE=*": 1, "local=*": 2} {
		log, err := prepare(sources)
		if n := strings.Count(log, silenced); err != nil || n != want {
			t.Errorf("%q: %d of them, %v\n%s", sources, n, err, log)
		}
	}
}
