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

	"rollcall/internal/api"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write the golden files")

// golden compares with a file in testdata.
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

// fleet returns a roster of n machines with the given number of users each.
func fleet(n, users int) *roster.Roster {
	var events []roster.Event
	for i := range n {
		machine := fmt.Sprintf("machine-%06d.example.com", i)
		for u := range users {
			events = append(events, kit.Login(machine, fmt.Sprintf("user-%d-%d", i%1000, u)))
		}
	}
	r := roster.New(roster.DefaultSettings())
	kit.Feed(r, events...)
	return r
}

func source(r *roster.Roster) Source {
	return Source{Roster: r, Stream: rollcallv1.DefaultEventsStream, CaughtUp: func() bool { return true }}
}

// machines lists a roster, without the code under test.
func machines(r *roster.Roster) []api.Machine {
	list := []api.Machine{}
	for v := range r.Machines("") {
		list = append(list, api.Machine{Name: v.Name(), Heard: v.Heard().Time(), Changed: v.Changed(), Users: v.AppendUsers([]string{})})
	}
	return list
}

func all(reports ...api.Report) iter.Seq2[api.Report, error] {
	return func(yield func(api.Report, error) bool) {
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

func anyReport(t *rapid.T) api.Report {
	names := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string { return anyName(t, "name") }), 0, 8).Draw(t, "machines")
	slices.Sort(names)
	r := api.Report{
		ID: "id", When: anyTime(t, "when"), Stream: anyName(t, "stream"),
		Sequence: rapid.Uint64().Draw(t, "sequence"), Place: rapid.Uint64().Draw(t, "place"),
		Reasons:  rapid.SampledFrom([][]string{{}, {"gap"}, {"truncated", "limit"}}).Draw(t, "reasons"),
		Machines: []api.Machine{},
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
		r.Machines = append(r.Machines, api.Machine{Name: name, Heard: anyTime(t, "heard"), Silent: rapid.Bool().Draw(t, "silent"), Users: users})
	}
	return r
}

func TestJSONIsThatOfEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyReport(t)
		got := AppendJSON(nil, &r)
		var std api.Report
		if err := json.Unmarshal(got, &std); err != nil || !reflect.DeepEqual(std, r) {
			t.Fatalf("encoding/json reads %+v, %v; want %+v", std, err, r)
		}
		decoded, err := api.DecodeReport(got)
		if err != nil || !reflect.DeepEqual(decoded, r) {
			t.Fatalf("Decode reads %+v, %v; want %+v", decoded, err, r)
		}
		var want bytes.Buffer
		e := json.NewEncoder(&want)
		e.SetEscapeHTML(false)
		if err := e.Encode(r); err != nil {
			t.Fatal(err)
		}
		// encoding/json always escapes these, for JavaScript.
		plain := strings.NewReplacer(`\u2028`, "\u2028", `\u2029`, "\u2029").Replace(strings.TrimSuffix(want.String(), "\n"))
		if !strings.Contains(string(got), `\\u202`) && string(got) != plain {
			t.Fatalf("got\n%s\nwant\n%s", got, plain)
		}
	})
}
