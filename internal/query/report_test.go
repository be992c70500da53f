package query

import (
	"encoding/json"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"pgregory.net/rapid"

	"rollcall/internal/api"
	"rollcall/internal/client"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// fetch asks for the whole report in answers of this number of machines.
func fetch(t testing.TB, nc *nats.Conn, limit int) []api.Report {
	t.Helper()
	request := api.ReportRequest{}
	if limit > 0 {
		request.Limit = new(uint32(limit))
	}
	var answers []api.Report
	for data, err := range client.Pages(t.Context(), nc, question1, request) {
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, decodeReport(t, data))
	}
	return answers
}

func decodeReport(t testing.TB, data []byte) api.Report {
	t.Helper()
	r, err := api.DecodeReport(data)
	if err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	return r
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

// anyName draws a name that may break an encoder.
func anyName(t *rapid.T, label string) string {
	return rapid.OneOf(
		rapid.SampledFrom([]string{`"`, `\`, "日本語", "😀", `THESHIRE\pgustavo`, strings.Repeat(`"`, 255), "\u2028"}),
		rapid.StringMatching(`[a-zA-Z0-9.\\"-]{1,20}`),
	).Draw(t, label)
}

func TestAnswerSeed(t *testing.T) {
	r := kit.Seed()
	nc := serve(t, source(r))
	before := time.Now()
	answers := fetch(t, nc, 0)
	if len(answers) != 1 {
		t.Fatalf("%d answers, want 1", len(answers))
	}
	got := answers[0]
	if got.When.Before(before.Add(-time.Second)) || got.ID == "" {
		t.Errorf("report %q of %v", got.ID, got.When)
	}
	want := api.Report{
		ID: got.ID, When: got.When, Stream: "ROLLCALL_EVENTS", Sequence: 6, Place: 6,
		Complete: true, Reasons: []string{}, Machines: machines(r),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	m, err := nc.Request(question1, nil, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	var keys map[string]any
	if err := json.Unmarshal(m.Data, &keys); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"page", "pages", "cursor"} {
		if _, ok := keys[key]; ok {
			t.Errorf("the last answer has %s", key)
		}
	}
}

func TestAnswersByLimit(t *testing.T) {
	r := fleet(103, 2)
	nc := serve(t, source(r))
	want := machines(r)
	for _, limit := range []int{1, 2, 50, 102, 103, 104, 1 << 31} {
		answers := fetch(t, nc, limit)
		for i, a := range answers {
			if n := len(a.Machines); n > limit || n < limit && i < len(answers)-1 {
				t.Fatalf("limit %d: answer %d of %d has %d machines", limit, i+1, len(answers), n)
			}
		}
		got, err := api.Join(all(answers...))
		if err != nil || !reflect.DeepEqual(got.Machines, want) {
			t.Errorf("limit %d: the answers joined aren't the roster (%v)", limit, err)
		}
	}
}

func TestAnswersByPayload(t *testing.T) {
	r := fleet(1000, 2)
	for i := range 900 { // more than fit one answer
		kit.Feed(r, kit.Login("big", fmt.Sprintf(`DOMAIN\user-%04d`, i)))
	}
	for i := range 300 {
		kit.Feed(r, kit.Login("machine-000500.example.com", fmt.Sprintf("user-%04d", i)))
	}
	nc := serve(t, source(r), func(o *server.Options) { o.MaxPayload = 4 << 10 })
	for _, limit := range []int{0, 1, 3} {
		answers := fetch(t, nc, limit)
		got, err := api.Join(all(answers...))
		if err != nil || !reflect.DeepEqual(got.Machines, machines(r)) {
			t.Errorf("limit %d: the answers joined aren't the roster (%v)", limit, err)
		}
	}
}

// TestAnswersJoined: whatever the machines and the size, the joined answers are the
// roster.
func TestAnswersJoined(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := roster.New(roster.DefaultSettings())
		for range rapid.IntRange(0, 8).Draw(t, "machines") {
			machine := anyName(t, "machine")
			kit.Feed(r, kit.Logout(machine, "nobody"))
			for range rapid.IntRange(0, 5).Draw(t, "users") {
				kit.Feed(r, kit.Login(machine, anyName(t, "user")))
			}
		}
		room := rapid.IntRange(700, 3000).Draw(t, "room")
		q := &reportRequest{ReportRequest: api.ReportRequest{Limit: new(rapid.Uint32Range(1, 5).Draw(t, "limit"))}}
		var answers []api.Report
		for {
			rows, more := collectRows(r, q, kit.At, room)
			b, next := appendRows(nil, rows, more, room)
			var list []api.Machine
			if err := json.Unmarshal(slices.Concat([]byte("["), b, []byte("]")), &list); err != nil {
				t.Fatal(err)
			}
			// The first machine is there even if its name alone is too long.
			if len(b) > room && (len(list) > 1 || len(b) > 1200) {
				t.Fatalf("%d bytes of %d machines, room is %d", len(b), len(list), room)
			}
			answers = append(answers, api.Report{ID: "id", Machines: list})
			if next == "" {
				break
			}
			var err error
			if q.after, err = parseCursor(next, 2); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := api.Join(all(answers...)); err != nil || !reflect.DeepEqual(got.Machines, machines(r)) {
			t.Fatalf("got %+v, %v; want %+v", got.Machines, err, machines(r))
		}
	})
}

// TestMachineChangesBetweenAnswers: if a machine changes between two answers within
// it, users who stay are listed once, and if nobody is left after the cursor the
// next machine follows.
func TestMachineChangesBetweenAnswers(t *testing.T) {
	r := roster.New(roster.DefaultSettings())
	kit.Feed(r, kit.Login("a", "k"), kit.Login("a", "m"), kit.Login("b", "z"))
	within := &reportRequest{ReportRequest: api.ReportRequest{Limit: new(uint32(10))}, after: cursor{first: "a", second: "k"}}
	if rows, _ := collectRows(r, within, kit.At, 1000); len(rows) != 2 || !slices.Equal(rows[0].Users, []string{"m"}) {
		t.Errorf("got %+v", rows)
	}
	kit.Feed(r, roster.Event{Type: roster.Boot, Machine: "a"})
	if rows, _ := collectRows(r, within, kit.At, 1000); len(rows) != 1 || rows[0].Name != "b" {
		t.Errorf("got %+v", rows)
	}
}

// TestAnswersWhileFolding: an answer includes every event up to its place.
func TestAnswersWhileFolding(t *testing.T) {
	r := roster.New(roster.DefaultSettings())
	kit.Feed(r, kit.Login("machine-20000", "x"))
	nc := serve(t, source(r))
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Each place has its own machine, and the later the place, the earlier the
		// machine is in an answer.
		for i := 1; i < 20_000; i++ {
			kit.Feed(r, kit.Login(fmt.Sprintf("machine-%05d", 20_000-i), "x"))
		}
	}()
	for last := false; !last; {
		select {
		case <-done:
			last = true
		default:
		}
		got, err := api.Join(all(fetch(t, nc, 0)...))
		if err != nil {
			t.Fatal(err)
		}
		if uint64(len(got.Machines)) < got.Place {
			t.Fatalf("%d machines at place %d", len(got.Machines), got.Place)
		}
	}
}
