package natsconn

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

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
