package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"rollcall/internal/roster"
	"rollcall/internal/testkit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write the golden files")

// golden compares with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

var subjects = func() rollcallv1.Subjects {
	s, err := rollcallv1.NewSubjects(rollcallv1.DefaultSubject)
	if err != nil {
		panic(err)
	}
	return s
}()

// fleet is a roster of n machines with so many users each.
func fleet(n, users int) *roster.Roster {
	var events []roster.Event
	for i := range n {
		machine := fmt.Sprintf("machine-%06d.example.com", i)
		for u := range users {
			events = append(events, testkit.Login(machine, fmt.Sprintf("user-%d-%d", i%1000, u)))
		}
	}
	r := roster.New(roster.DefaultSettings())
	testkit.Feed(r, events...)
	return r
}

func source(r *roster.Roster) Source {
	return Source{Roster: r, Stream: rollcallv1.DefaultEventsStream, CaughtUp: func() bool { return true }}
}

// machines lists a roster by means of its own.
func machines(r *roster.Roster) []Machine {
	list := []Machine{}
	for v := range r.Machines("") {
		list = append(list, Machine{Name: v.Name(), Heard: v.Heard().Time(), Users: v.AppendUsers([]string{})})
	}
	return list
}

func all(reports ...Report) iter.Seq2[Report, error] {
	return func(yield func(Report, error) bool) {
		for _, r := range reports {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// hostile are strings that break encoders.
var hostile = []string{
	`"`, `\`, `\"`, `</script><script>alert(1)</script>`, "käthe", "日本語", "😀", `THESHIRE\pgustavo`, "a b",
	"&<>'", `{"machine":"x"}`, "%2E", "a,b", "e\u0301", strings.Repeat(`"`, 255), "\u2028", "null", "\ufffd",
}

func anyName(t *rapid.T, label string) string {
	return rapid.OneOf(
		rapid.SampledFrom(hostile),
		rapid.StringMatching(`[a-zA-Z0-9.\\"-]{1,20}`),
		rapid.StringOfN(rapid.Rune(), 1, 20, 255),
	).Draw(t, label)
}

func anyTime(t *rapid.T, label string) time.Time {
	return time.Unix(rapid.Int64Range(0, 9_214_646_399).Draw(t, label),
		rapid.SampledFrom([]int64{0, 100_000_000, 120_000_000, 1, 999_999_999}).Draw(t, label+" ns")).UTC()
}

func anyReport(t *rapid.T) Report {
	names := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string { return anyName(t, "name") }), 0, 8).Draw(t, "machines")
	slices.Sort(names)
	r := Report{
		ID: "id", When: anyTime(t, "when"), Stream: anyName(t, "stream"),
		Sequence: rapid.Uint64().Draw(t, "sequence"), Place: rapid.Uint64().Draw(t, "place"),
		Reasons:  rapid.SampledFrom([][]string{{}, {"gap"}, {"truncated", "limit"}}).Draw(t, "reasons"),
		Machines: []Machine{},
	}
	r.Complete = len(r.Reasons) == 0
	if !r.Complete && rapid.Bool().Draw(t, "unsettled") {
		r.Unsettled, r.SettlesAfter, r.CompleteAfter = 3, anyTime(t, "settles"), anyTime(t, "complete")
	}
	if rapid.Bool().Draw(t, "published") {
		r.Page, r.Pages = rapid.IntRange(1, 5).Draw(t, "page"), 5
	} else {
		r.Cursor = rapid.SampledFrom([]string{"", "abc"}).Draw(t, "cursor")
	}
	for _, name := range slices.Compact(names) {
		users := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string { return anyName(t, "user") }), 0, 5).Draw(t, "users")
		r.Machines = append(r.Machines, Machine{Name: name, Heard: anyTime(t, "heard"), Silent: rapid.Bool().Draw(t, "silent"), Users: users})
	}
	return r
}

func TestJSONIsThatOfEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyReport(t)
		got := r.AppendJSON(nil)
		var std Report
		if err := json.Unmarshal(got, &std); err != nil || !reflect.DeepEqual(std, r) {
			t.Fatalf("encoding/json reads %+v, %v; want %+v", std, err, r)
		}
		decoded, err := Decode(got)
		if err != nil || !reflect.DeepEqual(decoded, r) {
			t.Fatalf("Decode reads %+v, %v; want %+v", decoded, err, r)
		}
		var want bytes.Buffer
		e := json.NewEncoder(&want)
		e.SetEscapeHTML(false)
		if err := e.Encode(r); err != nil {
			t.Fatal(err)
		}
		// encoding/json escapes these for JavaScript's sake, whatever it is told.
		plain := strings.NewReplacer(`\u2028`, "\u2028", `\u2029`, "\u2029").Replace(strings.TrimSuffix(want.String(), "\n"))
		if !strings.Contains(string(got), `\\u202`) && string(got) != plain {
			t.Fatalf("got\n%s\nwant\n%s", got, plain)
		}
	})
}

func TestDecodeRefuses(t *testing.T) {
	const good = `{"report":"r","when":"2026-11-22T21:00:00Z","stream":"S","sequence":6,"place":6,"complete":true,"reasons":[],"machines":[{"machine":"m","heard":"2026-11-22T21:00:00Z","users":[]}]}`
	if _, err := Decode([]byte(good)); err != nil {
		t.Fatal(err)
	}
	newer := strings.Replace(good, `{"report"`, `{"new":[1],"report"`, 1)
	if _, err := Decode([]byte(newer)); err != nil {
		t.Errorf("a key of a newer service: %v", err)
	}
	for name, bad := range map[string][2]string{
		"no report":       {`"report":"r",`, ``},
		"no when":         {`"when":"2026-11-22T21:00:00Z",`, ``},
		"no stream":       {`"stream":"S",`, ``},
		"no reasons":      {`"reasons":[],`, ``},
		"null machines":   {`"machines":[{"machine":"m","heard":"2026-11-22T21:00:00Z","users":[]}]`, `"machines":null`},
		"nameless":        {`"machine":"m",`, ``},
		"not heard":       {`"heard":"2026-11-22T21:00:00Z",`, ``},
		"no users":        {`"users":[]`, `"users":null`},
		"twice":           {`"place":6`, `"place":6,"place":6`},
		"number as text":  {`"place":6`, `"place":"6"`},
		"negative":        {`"place":6`, `"place":-6`},
		"bad date":        {`"when":"2026-11-22T21:00:00Z"`, `"when":"yesterday"`},
		"something after": {`]}]}`, `]}]}{}`},
		"cut off":         {`"users":[]}]}`, `"users":[`},
		"user not text":   {`"users":[]`, `"users":[1]`},
	} {
		data := strings.Replace(good, bad[0], bad[1], 1)
		if data == good {
			t.Fatalf("%s: nothing replaced", name)
		}
		if r, err := Decode([]byte(data)); err == nil {
			t.Errorf("%s: read as %+v", name, r)
		}
	}
}

// textOf is the text of a report of one page.
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

// TestNames: a name stands as it is unless it would read as two, or its white space
// cannot be seen.
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

// TestTextSaysOneThing: whatever the names, the text form can be read in one way
// only; and ordinary names stand in it as they are.
func TestTextSaysOneThing(t *testing.T) {
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

// readName reads a name up to what ends it, by the rule of Name.
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

func TestJoin(t *testing.T) {
	a := Report{ID: "1", Place: 5, Complete: true, Reasons: []string{}, Cursor: "x", Machines: []Machine{
		{Name: "a", Users: []string{"k"}}, {Name: "b", Users: []string{"k", "l"}},
	}}
	b := Report{ID: "2", Place: 7, Reasons: []string{"gap"}, Machines: []Machine{
		{Name: "b", Heard: testkit.At, Users: []string{"m"}}, {Name: "c", Users: []string{}},
	}}
	got, err := Join(all(a, b))
	want := Report{ID: "1", Place: 5, Reasons: []string{"gap"}, Machines: []Machine{
		{Name: "a", Users: []string{"k"}}, {Name: "b", Heard: testkit.At, Users: []string{"k", "l", "m"}}, {Name: "c", Users: []string{}},
	}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if _, err := Join(all()); err == nil {
		t.Error("no pages are a report")
	}
	if _, err := Join(func(yield func(Report, error) bool) { yield(Report{}, os.ErrClosed) }); err != os.ErrClosed {
		t.Errorf("got %v, want the page's error", err)
	}
}
