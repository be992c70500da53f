package roster_test

import (
	"bytes"
	"path"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/roster"
)

// TestParseSpeakers: a list is read in any order, and an error says what is wrong with it.
func TestParseSpeakers(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      "",
		"fra/E=*.fra":                           "fra/E=*.fra",
		" local = b  a a ,\tfra/E=*.fra *.fra2": "fra/E=*.fra *.fra2,local=a b",
		"SITE.API/E=?":                          "SITE.API/E=?",
		"$JS.fra.API/E=*":                       "$JS.fra.API/E=*",
		"E=web/1 *":                             "E=* web/1",
		"fra/E":                                 `"fra/E" has no "="`,
		"fra/E=":                                `"fra/E" is followed by no machines`,
		"fra/E=*,":                              `"" has no "="`,
		"=a":                                    `"" is not the name of a source`,
		"fra/=a":                                `"fra/" is not the name of a source`,
		"/E=a":                                  `"/E" is not the name of a source`,
		"fra/E.x=a":                             `"fra/E.x" is not the name of a source`,
		"f*/E=a":                                `"f*/E" is not the name of a source`,
		"f r/E=a":                               `"f r/E" is not the name of a source`,
		"é=a":                                   `"é" is not the name of a source`,
		"fra/E=a,fra/E=b":                       `"fra/E" is listed twice`,
		"fra/E=a,$JS.fra.API/E=b":               `"$JS.fra.API/E" is listed twice`,
		"fra/E=*.fra ber/E=*.ber":               `"ber/E=*.ber" is not a glob of machines`,
		"fra/E=web[12]":                         `"web[12]" is not a glob of machines`,
	} {
		s, err := roster.ParseSpeakers(text)
		switch {
		case err != nil && !strings.Contains(err.Error(), want) || err != nil && want == "":
			t.Errorf("%q: %v, want %s", text, err, want)
		case err == nil && s.String() != want:
			t.Errorf("%q: %s, want %s", text, s, want)
		}
		if again, err := roster.ParseSpeakers(s.String()); err != nil || again.String() != s.String() {
			t.Errorf("%q: %v, %v", text, again, err)
		}
	}
}

// TestSpeakers: a source speaks for the machines that are listed for it; one that is not listed,
// and the stream itself, for nobody.
func TestSpeakers(t *testing.T) {
	s := settings()
	s.Sources = "fra/E=*.fra fra?,NEAR=*,local=hub"
	r := roster.New(s)
	place := uint64(0)
	for _, c := range []struct{ source, machine, want string }{
		{"E:" + roster.HashOfName("$JS.fra.API"), "web.fra", ""},
		{"E:" + roster.HashOfName("$JS.fra.API") + ":C=0a1B2c3D", "a.b.fra", ""},
		{"E:" + roster.HashOfName("$JS.fra.API"), "fraé", ""},
		{"E:" + roster.HashOfName("$JS.fra.API"), "web.ber", `source fra/E does not speak for machine "web.ber"`},
		{"E:" + roster.HashOfName("$JS.fra.API"), "fra", `source fra/E does not speak for machine "fra"`},
		{"E:" + roster.HashOfName("$JS.ber.API"), "web.fra", "which ROLLCALL_SOURCES does not list"},
		{"E", "web.fra", `the server calls "E", which ROLLCALL_SOURCES does not list`},
		{"NEAR", "web.fra", ""},
		{"", "hub", ""},
		{"", "hub2", `source local does not speak for machine "hub2"`},
	} {
		place++
		m := from(place, c.source, "x", place)
		m.Event.Machine = c.machine
		switch got := fold(r, m)[0]; {
		case c.want == "" && got.Refusal != nil:
			t.Errorf("%s for %s: %v", c.source, c.machine, got.Refusal)
		case c.want != "" && (got.Refusal == nil || got.Refusal.Reason != roster.Identity || !strings.Contains(got.Refusal.Problem, c.want)):
			t.Errorf("%s for %s: %v, want %s", c.source, c.machine, got.Refusal, c.want)
		}
	}
	if st := r.Status(); st.Machines != 4 || st.Fates[roster.DeadLettered] != 5 {
		t.Errorf("%+v", st)
	}
	s.Sources = "fra/E=*"
	m := from(1, "", "", 0)
	if got := fold(roster.New(s), m)[0]; got.Refusal == nil || !strings.Contains(got.Refusal.Problem, `lists no "local"`) {
		t.Error(got.Refusal)
	}
	s.Sources = "of a damaged file"
	if got := fold(roster.New(s), m)[0]; got.Refusal == nil {
		t.Error("somebody speaks")
	}
	if got := fold(roster.New(settings()), m)[0]; got.Refusal != nil {
		t.Error(got.Refusal)
	}
}

// TestSpeakersNumbers: an event of a source that may not speak for a machine does not count as
// one of the machine's that arrived.
func TestSpeakersNumbers(t *testing.T) {
	s := settings()
	s.Sources = "a=a,b=b"
	r := roster.New(s)
	numbered := func(place uint64, source string, number uint64) {
		m := from(place, source, "x", place)
		m.Event.Machine, m.Event.Origin, m.Event.Number = "a", "boot", number
		fold(r, m)
	}
	numbered(1, "a", 1)
	numbered(2, "a", 3)
	numbered(3, "b", 2)
	if n := r.Status().Missing; n != 1 {
		t.Errorf("%d missing", n)
	}
}

// TestSourceLossOfItsOwn: a machine that is first heard after a loss of a source lacks nothing if
// the source may not speak for it.
func TestSourceLossOfItsOwn(t *testing.T) {
	s := settings()
	s.Sources = "a=a fresh.a,b=b fresh.b"
	r := roster.New(s)
	fold(r, from(1, "a", "x", 1), from(2, "b", "x", 1), from(3, "a", "x", 3))
	for i, machine := range []string{"fresh.a", "fresh.b"} {
		m := from(uint64(4+i), machine[len("fresh."):], "x", uint64(4-2*i))
		m.Event.Machine = machine
		fold(r, m)
	}
	if got := unsettled(t, r); got != "a fresh.a" {
		t.Errorf("incomplete are %s", got)
	}
}

// TestSpeakersOracle: at every moment the roster is what it would be had the events for which
// nobody may speak never been decoded, however the list changes between two restarts.
func TestSpeakersOracle(t *testing.T) {
	lists := map[string]map[string]string{ // by source
		"":                                   {"": "*", "a": "*", "b": "*"},
		"a=*":                                {"a": "*"},
		"a=web db,b=*.example.com,local=d?":  {"a": "{web,db}", "b": "*.example.com", "": "d?"},
		"b=*,local=mail.example.com":         {"b": "*", "": "mail.example.com"},
		"a=m*e.com *b,local=*a*.e?ample.com": {"a": "m*e.com", "": "*a*.e?ample.com"},
	}
	may := func(list, source, machine string) bool {
		glob, listed := lists[list][source]
		if !listed {
			return false
		}
		for _, one := range map[string][]string{"{web,db}": {"web", "db"}, "m*e.com": {"m*e.com", "*b"}}[glob] {
			if ok, _ := path.Match(one, machine); ok {
				return true
			}
		}
		ok, _ := path.Match(glob, machine)
		return ok
	}
	rapid.Check(t, func(t *rapid.T) {
		now := settings()
		r, o := roster.New(now), newOracle(10*time.Minute, lateness)
		for i, m := range history(t, true) {
			if i%10 == 0 {
				now.Sources = rapid.SampledFrom([]string{"", "a=*", "a=web db,b=*.example.com,local=d?", "b=*,local=mail.example.com", "a=m*e.com *b,local=*a*.e?ample.com"}).Draw(t, "list")
				restored, err := roster.Restore(bytes.NewReader(encode(t, r)), encodedBy(r), now)
				if err != nil {
					t.Fatal(err)
				}
				r = restored
			}
			m.Source.Name = rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "source")
			if m.Source.Name != "" {
				m.Source.Sequence = m.Place
			}
			want := roster.Identity
			if may(now.Sources, m.Source.Name, m.Event.Machine) {
				want = o.read(m)
			}
			got := fold(r, m)[0]
			if want == "" != (got.Refusal == nil) || got.Refusal != nil && got.Refusal.Reason != want {
				t.Fatalf("message %d of %q: %v, want %s", m.Place, m.Source.Name, got.Refusal, want)
			}
			check(t, r, o)
		}
	})
}
