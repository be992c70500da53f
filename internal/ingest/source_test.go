package ingest

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// TestParseSource: the header is read strictly.
func TestParseSource(t *testing.T) {
	for value, want := range map[string]roster.Sourced{
		"E 44 > > rollcall.events.web":                   {Name: "E", Sequence: 44},
		"E:0a1B2c3D 44 > > rollcall.events.web 0123aZzA": {Name: "E:0a1B2c3D", Creation: "0123aZzA", Sequence: 44},
		"E:0a1B2c3D:C=0a1B2c3D 1 a\fb > x 0123aZzA":      {Name: "E:0a1B2c3D:C=0a1B2c3D", Creation: "0123aZzA", Sequence: 1},
		"E 18446744073709551615 > > x 00000000":          {Name: "E", Creation: "00000000", Sequence: 1<<64 - 1},
		"$JS.ACK.E.c.1.22.3.1700000000000000001.7":       {Name: unproven},
		"E 44": {Name: unproven},
	} {
		if got, err := parseSource([]string{value}); err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", value, got, err, want)
		}
	}
	for value, want := range map[string]string{
		"":                              "1 fields, want 5 or 6",
		"E":                             "1 fields, want 5 or 6",
		"E 1 >":                         "3 fields, want 5 or 6",
		"E 1 > > x 00000000 y":          "7 fields, want 5 or 6",
		"E  > > x":                      "field 2 is empty, too long or not text",
		"E\t 1 > > x":                   "field 1 is empty, too long or not text",
		" 1 > > x":                      "field 1 is empty, too long or not text",
		"E 0 > > x":                     `"0" is not a sequence`,
		"E 01 > > x":                    `"01" is not a sequence`,
		"E +1 > > x":                    `"+1" is not a sequence`,
		"E -1 > > x":                    `"-1" is not a sequence`,
		"E 18446744073709551616 > > x":  `"18446744073709551616" is not a sequence`,
		"E 1 > > x 0000000":             `"0000000" is not the hash of a creation`,
		"E 1 > > x 0000000é":            `"0000000é" is not the hash of a creation`,
		"E 1 > > x 000000000000000000.": `"000000000000000000." is not the hash of a creation`,
	} {
		if got, err := parseSource([]string{value}); err == nil || err.Error() != want || got != (roster.Sourced{}) {
			t.Errorf("%q: %+v, %v; want %s", value, got, err, want)
		}
	}
	if _, err := parseSource([]string{"E 1 > > x", "E 1 > > x"}); err == nil {
		t.Error("two headers are accepted")
	}
}

// FuzzParseSource: no bytes crash, and what is read is what a server writes.
func FuzzParseSource(f *testing.F) {
	f.Add("E:0a1B2c3D 44 > > rollcall.events.web 0123aZzA")
	f.Fuzz(func(t *testing.T, value string) {
		s, err := parseSource([]string{value})
		if err != nil && s != (roster.Sourced{}) || (s.Sequence == 0) != (s.Name == "" || s.Name == unproven) || s.Creation != "" && len(s.Creation) != 8 {
			t.Errorf("%q: %+v, %v", value, s, err)
		}
	})
}

// TestHostileSource: a message with a header that no server writes is refused, and kept as a
// dead letter. On a server on which publishers can forge the header it means nothing.
func TestHostileSource(t *testing.T) {
	s := newSetup(t)
	s.store()
	hostile := event(good)
	hostile.Header = nats.Header{headerSource: {"E -1 > > x"}}
	forged := event(good)
	forged.Header = nats.Header{headerSource: {"E 7 > > x 00000000"}}
	s.send(hostile, forged)
	s.awaitStored()
	st := s.roster.Status()
	if st.Fates != (roster.Fates{roster.Applied: 1, roster.DeadLettered: 1}) || len(st.Sources()) != 1 {
		t.Errorf("%+v, sources %v", st.Fates, st.Sources())
	}
	letter, err := s.stored.GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if detail := letter.Header.Get("Rollcall-Detail"); detail == "" || letter.Header.Get("Rollcall-Reason") != "malformed" {
		t.Errorf("%v", letter.Header)
	}
	s.Forgeable = func() bool { return true }
	s.send(hostile, forged)
	if st := s.roster.Status(); st.Fates[roster.DeadLettered] != 1 || len(st.Sources()) != 1 {
		t.Errorf("%+v, sources %v", st.Fates, st.Sources())
	}
}

// TestSourceHeader: what a real server writes is read: a source of the same domain, one of
// another, and one that was created anew; publishers cannot forge it.
func TestSourceHeader(t *testing.T) {
	hub := kit.StartHub(t)
	leaf := kit.StartLeaf(t, hub.LeafURL(), "fra", "rollcall.>")
	js, site := kit.JetStream(t, kit.Conn(t, hub.URL)), kit.JetStream(t, kit.Conn(t, leaf.URL))
	near := jetstream.StreamConfig{Name: "NEAR", Subjects: []string{"near"}}
	kit.CreateStream(t, js, near)
	kit.CreateStream(t, site, jetstream.StreamConfig{Name: "FAR", Subjects: []string{"far"}})
	events := kit.CreateStream(t, js, jetstream.StreamConfig{Name: "EVENTS", Sources: []*jetstream.StreamSource{{Name: "NEAR"}, {Name: "FAR", Domain: "fra"}}})
	read := func(n uint64, publish func()) roster.Sourced {
		t.Helper()
		publish()
		var m *jetstream.RawStreamMsg
		kit.Eventually(t, func() bool {
			var err error
			m, err = events.GetMsg(t.Context(), n)
			return err == nil
		}, "the message is sourced")
		s, err := parseSource(m.Header[headerSource])
		if err != nil {
			t.Fatal(m.Header, err)
		}
		return s
	}
	to := func(js jetstream.JetStream, subject string) func() {
		return func() {
			if _, err := js.Publish(t.Context(), subject, nil); err != nil {
				t.Error(err)
			}
		}
	}
	first := read(1, to(js, "near"))
	if first.Name != "NEAR" || first.Sequence != 1 || first.Creation == "" {
		t.Errorf("%+v", first)
	}
	if far := read(2, to(site, "far")); far.Name == "FAR" || far.Sequence != 1 || far.Creation == "" || far.Creation == first.Creation {
		t.Errorf("%+v", far)
	}
	if again := read(3, to(js, "near")); again.Creation != first.Creation || again.Sequence != 2 {
		t.Errorf("%+v after %+v", again, first)
	}
	forged := nats.NewMsg("near")
	forged.Header.Set(headerSource, "NEAR 7 > > near 00000000")
	if _, err := js.PublishMsg(t.Context(), forged); err == nil {
		t.Error("a publisher may write the header")
	}
	if err := js.DeleteStream(t.Context(), "NEAR"); err != nil {
		t.Fatal(err)
	}
	kit.CreateStream(t, js, near)
	if anew := read(4, to(js, "near")); anew.Name != "NEAR" || anew.Creation == first.Creation || anew.Sequence != 1 {
		t.Errorf("%+v after %+v", anew, first)
	}
}

// TestSourceMayNotSpeak: an event of a source that may not speak for its machine is a dead letter,
// which says so.
func TestSourceMayNotSpeak(t *testing.T) {
	settings := roster.DefaultSettings()
	settings.Sources = "fra/E=other"
	s := newSetupWith(t, settings)
	s.store()
	m := event(good)
	m.Header = nats.Header{headerSource: {"E:" + roster.HashOfName("$JS.fra.API") + " 7 > > x 00000000"}}
	old := event(good)
	old.Header = nats.Header{headerSource: {"E 7"}}
	s.send(m, old, event(good))
	s.awaitStored()
	for place, want := range []string{"source fra/E does not speak for machine", `the server calls "unproven source"`, `lists no "local"`} {
		letter := s.letter(uint64(place + 1))
		if got := letter.Header.Get("Rollcall-Detail"); letter.Header.Get("Rollcall-Reason") != "identity" || !strings.Contains(got, want) {
			t.Errorf("%v, want %s", letter.Header, want)
		}
	}
}
