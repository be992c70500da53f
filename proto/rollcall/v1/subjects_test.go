package rollcallv1

import (
	"slices"
	"strings"
	"testing"
)

// spellings are machines' names and what they are spelt as in a subject.
var spellings = map[string]string{
	"webserver.local":                "webserver.local",
	"web-0123.fra.example.com":       "web-0123.fra.example.com",
	"MORDORDC.theshire.local":        "MORDORDC.theshire.local",
	"a":                              "a",
	".":                              "%2E",
	"..":                             "%2E%2E",
	"...":                            "%2E%2E%2E",
	".a":                             "%2Ea",
	"a.":                             "a%2E",
	"a.b":                            "a.b",
	"a..b":                           "a.%2Eb",
	"a...b":                          "a.%2E%2Eb",
	"a..":                            "a.%2E",
	".a.b.":                          "%2Ea.b%2E",
	"a b":                            "a%20b",
	" ":                              "%20",
	"*":                              "%2A",
	">":                              "%3E",
	"a.*.b":                          "a.%2A.b",
	"a.>":                            "a.%3E",
	"a/b":                            "a%2Fb",
	"100%":                           "100%25",
	"%2E":                            "%252E",
	"%":                              "%25",
	"\x00":                           "%00",
	"a\tb\r\n":                       "a%09b%0D%0A",
	"\x1f \x7f":                      "%1F%20%7F",
	"~!":                             "~!",
	"é":                              "%C3%A9",
	"e\u0301":                        "e%CC%81",
	"小林":                             "%E5%B0%8F%E6%9E%97",
	"\U0001F600":                     "%F0%9F%98%80",
	"\u200b":                         "%E2%80%8B",
	"\xff":                           "%FF",
	"$SYS":                           "$SYS",
	"_INBOX.x":                       "_INBOX.x",
	`DOMAIN\host`:                    `DOMAIN\host`,
	`a"b'c:d;e,f|g(h)[i]{j}`:         `a"b'c:d;e,f|g(h)[i]{j}`,
	"a=b&c+d@e#f^g`h":                "a=b&c+d@e#f^g`h",
	"<b>":                            "<b%3E",
	"[2001:db8::1]":                  "[2001:db8::1]",
	strings.Repeat("a.", 127) + "a":  strings.Repeat("a.", 127) + "a",
	strings.Repeat("a", 255):         strings.Repeat("a", 255),
	strings.Repeat("é", 127):         strings.Repeat("%C3%A9", 127),
	strings.Repeat(".", 255):         strings.Repeat("%2E", 255),
	"events":                         "events",
	"web.rollcall.events.webb.local": "web.rollcall.events.webb.local",
}

func TestSpellings(t *testing.T) {
	for name, want := range spellings {
		if got := EncodeMachine(name); got != want {
			t.Errorf("EncodeMachine(%q) is %q, want %q", name, got, want)
		}
		if got, err := DecodeMachine(want); got != name || err != nil {
			t.Errorf("DecodeMachine(%q) is %q, %v; want %q", want, got, err, name)
		}
		if got := decodedPlainly(want); got != name {
			t.Errorf("%q stands for %q, want %q", want, got, name)
		}
	}
}

// Names that have nothing to escape are most; they cost nothing.
func TestPlainNamesAllocateNothing(t *testing.T) {
	name := "web-0123.fra.example.com"
	if n := testing.AllocsPerRun(100, func() {
		if EncodeMachine(name) != name {
			t.Error("changed")
		}
	}); n != 0 {
		t.Errorf("EncodeMachine: %v allocations, want none", n)
	}
}

// From MQTT every dot that stays comes as two slashes, and no other does.
func TestSpellingsFromMQTT(t *testing.T) {
	s, err := NewSubjects(DefaultSubject)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range spellings {
		for _, subject := range []string{s.EventsOf(name), "rollcall.events." + token, "rollcall.events." + fromMQTT(token)} {
			if got, err := s.MachineOf(subject); got != name || err != nil {
				t.Errorf("MachineOf(%q) is %q, %v; want %q", subject, got, err, name)
			}
		}
	}
	if got, err := DecodeMachine("web//example//com"); got != "web.example.com" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestMisspelt(t *testing.T) {
	for token, says := range map[string]string{
		"":                 "no machine",
		".":                `want "%2E"`,
		".a":               `want "%2Ea"`,
		"a.":               `want "a%2E"`,
		"a..b":             `want "a.%2Eb"`,
		"%2e":              `want "%2E"`,
		"%c3%a9":           `want "%C3%A9"`,
		"%C3%a9":           `want "%C3%A9"`,
		"a%2Eb":            `want "a.b"`,
		"a%2E%2Eb":         `want "a.%2Eb"`,
		"a.%2E.b":          `want "a.%2E%2Eb"`,
		"%61":              `want "a"`,
		"%7E":              `want "~"`,
		"%5C":              `want "\\"`,
		"a b":              `want "a%20b"`,
		"*":                `want "%2A"`,
		"a>":               `want "a%3E"`,
		"a/b":              `want "a%2Fb"`,
		"//":               `want "%2E"`,
		"//a":              `want "%2Ea"`,
		"a//":              `want "a%2E"`,
		"a///b":            `want "a.%2Fb"`,
		"a////b":           `want "a.%2Eb"`,
		"a.b//c":           `want "a.b%2F%2Fc"`,
		"a//b/c":           `want "a.b%2Fc"`,
		"a//b%2Ec":         `want "a.b.c"`,
		"a//b%2e":          `want "a.b%2E"`,
		"a/.b":             `want "a%2F.b"`,
		"é":                `want "%C3%A9"`,
		"\x7f":             `want "%7F"`,
		"\n":               `want "%0A"`,
		"%":                "two digits",
		"a%":               "two digits",
		"a%2":              "two digits",
		"%zz":              "two digits",
		"%2G":              "two digits",
		"%+1":              "two digits",
		"% 1":              "two digits",
		"%%":               "two digits",
		"%25%":             "two digits",
		"%u00e9":           "two digits",
		"caf%C3%A9.%2E.%3": "two digits",
	} {
		if name, err := DecodeMachine(token); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("DecodeMachine(%q) is %q, %v; want an error that says %s", token, name, err, says)
		}
	}
}

func TestMachineOf(t *testing.T) {
	for _, base := range []string{DefaultSubject, "a", "ops.who-is_on.2"} {
		s, err := NewSubjects(base)
		if err != nil {
			t.Fatal(err)
		}
		if name, err := s.MachineOf(s.Events()); name != "" || err != nil {
			t.Errorf("MachineOf(%q) is %q, %v; want none", s.Events(), name, err)
		}
		for name := range spellings {
			if got, err := s.MachineOf(s.EventsOf(name)); got != name || err != nil {
				t.Errorf("MachineOf(%q) is %q, %v; want %q", s.EventsOf(name), got, err, name)
			}
		}
		for _, subject := range []string{
			"", base, base + ".", base + ".event", base + ".eventsx", base + ".events.", base + ".events..a", base + ".Events.a",
			base + ".reports", base + ".reports.events.a", "x" + base + ".events.a", base + ".events.%2e", base + ".events.a.",
		} {
			if name, err := s.MachineOf(subject); err == nil || !strings.Contains(err.Error(), "subject ") {
				t.Errorf("MachineOf(%q) is %q, %v; want an error that names the subject", subject, name, err)
			}
		}
	}
}

func TestBases(t *testing.T) {
	for _, base := range []string{"rollcall", "a", "a.b.c", "A-z_9", "0", strings.Repeat("a", 255)} {
		if s, err := NewSubjects(base); err != nil || s.Base() != base {
			t.Errorf("NewSubjects(%q): %q, %v", base, s.Base(), err)
		}
	}
	for _, base := range []string{
		"", ".", "a.", ".a", "a..b", "a b", "a*b", "*", ">", "a.>", "$SYS", "a\n", "a\x00b", "é", "a/b", "a%20", "a:b", strings.Repeat("a", 256),
	} {
		if s, err := NewSubjects(base); err == nil {
			t.Errorf("NewSubjects(%q): %q, want an error", base, s.Base())
		}
	}
}

func TestSubjects(t *testing.T) {
	s, err := NewSubjects("ops.rollcall")
	if err != nil {
		t.Fatal(err)
	}
	for got, want := range map[string]string{
		s.Events():              "ops.rollcall.events",
		s.EventsOf("a b.c"):     "ops.rollcall.events.a%20b.c",
		s.Reports():             "ops.rollcall.reports",
		s.ReportPage(1):         "ops.rollcall.reports",
		s.ReportPage(2):         "ops.rollcall.reports.2",
		s.ReportPage(12):        "ops.rollcall.reports.12",
		s.DeadLetter(1):         "ops.rollcall.deadletters.1",
		s.DeadLetter(1<<64 - 1): "ops.rollcall.deadletters.18446744073709551615",
		s.Query("report"):       "ops.rollcall.query.report",
		s.AllQueries():          "ops.rollcall.query.>",
		s.Changes():             "ops.rollcall.changes",
		s.ChangesOf("a b"):      "ops.rollcall.changes.a%20b",
		s.AllChanges():          "ops.rollcall.changes.>",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for _, c := range []struct{ got, want []string }{
		{s.AllEvents(), []string{"ops.rollcall.events", "ops.rollcall.events.>"}},
		{s.AllReports(), []string{"ops.rollcall.reports", "ops.rollcall.reports.>"}},
		{s.AllDeadLetters(), []string{"ops.rollcall.deadletters.>"}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}
