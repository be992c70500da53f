package api

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// textOf returns the text of a report of one page.
func textOf(r *Report) string {
	var out strings.Builder
	text := NewText(&out)
	if text.Write(r) != nil || text.Close() != nil {
		panic("a strings.Builder fails")
	}
	return out.String()
}

func TestText(t *testing.T) {
	pages := []Report{
		{Machines: []Machine{{Name: "a", Users: []string{"x"}}, {Name: "b", Users: []string{}}, {Name: "c", Users: []string{"y", `D\z`}}}},
		{Machines: []Machine{{Name: "c", Users: []string{"z"}}, {Name: "d", Users: []string{"x"}}}},
		{Machines: []Machine{{Name: "e", Users: []string{"x"}}}},
	}
	var out strings.Builder
	text := NewText(&out)
	for i := range pages {
		if err := text.Write(&pages[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := text.Close(); err != nil {
		t.Fatal(err)
	}
	if want := "a: x\nc: y, D\\z, z\nd: x\ne: x\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	if err := NewText(failing{}).Write(&pages[0]); err == nil {
		t.Error("a writer's error is lost")
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, os.ErrClosed }

// TestNames: a name is written unchanged unless it could be read as two, or its
// white space is invisible.
func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"lane": "lane", "Ana María": "Ana María", "a,b": "a,b", "fe80::1": "fe80::1", "web:": "web:",
		"a, b": `"a, b"`, "web: u": `"web: u"`, `"a`: `"\"a"`, `\`: `\`, `\ `: `"\\ "`, " a": `" a"`, "a ": `"a "`,
		"a,\u00a0b": `"a,\u00a0b"`, "web:\u2003u": `"web:\u2003u"`, "a\u202f": `"a\u202f"`, "a,\u3000b c": `"a,\u3000b c"`,
	} {
		if got := Name(name); got != want {
			t.Errorf("%q is written as %s, want %s", name, got, want)
		}
	}
}

// TestTextIsUnambiguous: whatever the names, the text form can be read in one way
// only; and ordinary names are unchanged in it.
func TestTextIsUnambiguous(t *testing.T) {
	for name, want := range map[string]string{
		"lane": "lane", "john smith": "john smith", `D\lane$`: `D\lane$`, "a,b": "a,b", "a:b": "a:b", "fe80::1": "fe80::1", `5"`: `5"`, "a,": "a,", "a:": "a:",
		"a, b": `"a, b"`, "a: b": `"a: b"`, " a": `" a"`, "a ": `"a "`, "a\u3000": `"a\u3000"`, `"a"`: `"\"a\""`, `"`: `"\""`, `a\, b`: `"a\\, b"`,
	} {
		if got := Name(name); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
	name := rapid.StringOfN(rapid.RuneFrom([]rune(`ab,: "\`)), 1, 8, -1)
	rapid.Check(t, func(t *rapid.T) {
		machine, users := name.Draw(t, "machine"), rapid.SliceOfN(name, 1, 3).Draw(t, "users")
		line := strings.TrimSuffix(textOf(&Report{Machines: []Machine{{Name: machine, Users: users}}}), "\n")
		got, rest := readName(t, line, ": ")
		if got != machine {
			t.Fatalf("%q: machine %q, want %q", line, got, machine)
		}
		for _, user := range users {
			if got, rest = readName(t, rest, ", "); got != user {
				t.Fatalf("%q: user %q, want %q", line, got, user)
			}
		}
		if rest != "" {
			t.Fatalf("%q: %q is left", line, rest)
		}
	})
}

// readName reads a name up to its end, by the rule of Name.
func readName(t *rapid.T, line, end string) (name, rest string) {
	if !strings.HasPrefix(line, `"`) {
		name, rest, _ = strings.Cut(line, end)
		return name, rest
	}
	d := json.NewDecoder(strings.NewReader(line))
	if err := d.Decode(&name); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return name, strings.TrimPrefix(line[d.InputOffset():], end)
}
