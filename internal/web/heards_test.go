package web_test

import (
	"fmt"
	"html"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// says is an event that lists who is on.
func says(clock, machine string, users ...string) roster.Event {
	e := event(clock, roster.Present, machine, "", "")
	e.Session = roster.Session{}
	for _, user := range users {
		e.Sessions = append(e.Sessions, session(user, "", ""))
	}
	return e
}

// TestHeard: a machine that only says that those who are on still are was heard from: no change
// tells a page, so it asks.
func TestHeard(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	w.fold(login("10:00", "gone", "kim"), login("20:50", "b", "ben"), login("21:00", "a", "anna"), login("20:55", "c", "cleo"))
	w.fold(says("10:05", "gone", "kim"), says("20:51", "b", "ben")) // else the next is a change
	s := w.open()
	w.fold(says("20:32", "gone", "kim"), says("21:12", "b", "ben"))

	table := s.get("/machines.csv")
	for _, want := range []string{"gone,kim,yes,2026-11-22T20:32:01Z,", "b,ben,no,2026-11-22T21:12:01Z,", "a,anna,no,2026-11-22T21:00:01Z,"} {
		if !strings.Contains(table, "\n"+want) {
			t.Errorf("the table has no %s:\n%s", want, table)
		}
	}
	for url, want := range map[string]string{"/machines?sort=heard": "b a c gone", "/machines?sort=-heard": "gone c a b"} {
		if got := strings.Join(keysOf(s.get(url)), " "); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
	// Of 1440 units of 24 hours until 21:14:07.
	if row := part(t, s.get("/machines"), `data-key="gone"`, "</tr>"); !strings.Contains(row, `class="unheard" d="M1397 0`) {
		t.Errorf("the hatch of the list: %s", row)
	}
	if got, want := s.sentence("/machines/gone?at=2026-11-22T21:10:00Z"), "unknown: In use by kim since 10:00, as far as known: not heard from since 20:32"; got != want {
		t.Errorf("the machine's page says %q, want %q", got, want)
	}
}

// TestHeardAlone: a row and a page ask also when nobody has asked about all machines.
func TestHeardAlone(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	w.fold(login("10:00", "gone", "kim"), says("10:05", "gone", "kim"))
	s := w.open()
	w.fold(says("20:32", "gone", "kim"))
	if got, want := s.sentence("/machines/gone?at=2026-11-22T21:10:00Z"), "unknown: In use by kim since 10:00, as far as known: not heard from since 20:32"; got != want {
		t.Errorf("the machine's page says %q, want %q", got, want)
	}
	if row := part(t, s.get("/machines"), `data-key="gone"`, "</tr>"); !strings.Contains(row, `class="unheard" d="M1397 0`) {
		t.Errorf("the hatch of the list: %s", row)
	}
}

// TestHeardOfAll: however many want to know when machines were heard from last, all are asked
// about once; a page that is open is sorted again.
func TestHeardOfAll(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	w.fold(login("20:50", "b", "ben"), login("21:00", "a", "anna"), says("20:51", "b", "ben"))
	s := w.open()
	var asked atomic.Int32
	sub, err := kit.Conn(t, w.server.URL).Subscribe(w.subjects.Query("report"), func(m *nats.Msg) {
		if !strings.Contains(string(m.Data), "names") && !strings.Contains(string(m.Data), "longest") {
			asked.Add(1)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		t.Fatal(err)
	}
	url := "/machines?sort=heard"
	before := s.get("/machines")
	v := part(t, before, `data-id="`, `"`)
	w.fold(says("21:12", "b", "ben"))
	done := make(chan string)
	for i := range 20 {
		go func() { done <- s.do(http.MethodGet, []string{url, "/machines.csv"}[i%2]).Body.String() }()
	}
	for range 20 {
		if body := <-done; !strings.Contains(body, "21:12:01Z") {
			t.Errorf("a page or a table does not know: %s", body)
		}
	}
	patch := s.do(http.MethodGet, fmt.Sprintf("/live?of=%s&id=%s&once=&rows=50&have=2&all=", "/machines%3Fsort=heard", v)).Body.String()
	if !strings.Contains(patch, `"keys":["b","a"]`) {
		t.Errorf("the patch: %s", patch)
	}
	time.Sleep(50 * time.Millisecond) // the last question, if there is one more
	if n := asked.Load(); n != 1 {
		t.Errorf("all machines were asked about %d times", n)
	}
}

// keysOf returns the names of the rows of a list.
func keysOf(page string) (keys []string) {
	for _, row := range strings.Split(page, `<tr data-key="`)[1:] {
		name, _, _ := strings.Cut(row, `"`)
		keys = append(keys, html.UnescapeString(name))
	}
	return keys
}
