package web_test

import (
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"rollcall/internal/api"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	"rollcall/internal/web"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// TestCSV: each table has a head, a name, and what the filter shows; no cell is a formula.
func TestCSV(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	for i, name := range []string{"=1+1", "+1", "-1", "@x", "web1", "web2", "a,b", `a"b`, "'x"} {
		e := login(fmt.Sprintf("20:%02d", 50+i), name, "u"+name)
		e.Session.Remote, e.Session.Service, e.Session.ID, e.Session.Terminal = "@remote", "+service", "-id", "=cmd|' /C calc'!A0"
		w.fold(e)
	}
	w.fold(login("21:00", "web2", "=1+1"), login("21:01", "web2", "kim"))
	s := w.open()
	for _, c := range []struct{ url, file, head, want string }{
		{
			"/machines.csv?q=web", "rollcall-machines-20261122T211407Z.csv", "machine,user,silent,heard,changed",
			"web1 uweb1 no 2026-11-22T20:54:01Z 2026-11-22T20:54:00Z; web2 '=1+1 no 2026-11-22T21:01:01Z 2026-11-22T21:01:00Z; web2 kim no 2026-11-22T21:01:01Z 2026-11-22T21:01:00Z; " +
				"web2 uweb2 no 2026-11-22T21:01:01Z 2026-11-22T21:01:00Z",
		},
		{"/machines.csv?q=user:kim&state=used&sort=-users&from=7", "rollcall-machines-20261122T211407Z.csv", "machine,user,silent,heard,changed", "web2 '=1+1 no *; web2 kim no *; web2 uweb2 no *"},
		{"/machines.csv?state=silent", "rollcall-machines-20261122T211407Z.csv", "machine,user,silent,heard,changed", ""},
		{"/machines.csv?q=machine:1+-web&sort=name", "rollcall-machines-20261122T211407Z.csv", "machine,user,silent,heard,changed", "'+1 u+1 no *; '-1 u-1 no *; '=1+1 u=1+1 no *"},
		{"/machines.csv?q=a,b&at=2026-11-22T21:00:00Z", "rollcall-machines-20261122T210000Z.csv", "machine,user,silent,heard,changed", "a,b ua,b   "},
		{"/users.csv?q=user:1", "rollcall-users-20261122T211407Z.csv", "user,machine", "'=1+1 web2; u+1 '+1; u-1 '-1; u=1+1 '=1+1; uweb1 web1"},
		{"/users.csv?state=several", "rollcall-users-20261122T211407Z.csv", "user,machine", ""},
		{"/machines/=1+1/sessions.csv", "rollcall-sessions-20261122T211407Z.csv", "machine,user,since,remote,terminal,service,session", "'=1+1 u=1+1 2026-11-22T20:50:00Z '@remote '=cmd|' /C calc'!A0 '+service '-id"},
		{"/users/u@x/sessions.csv", "rollcall-sessions-20261122T211407Z.csv", "machine,user,since,remote,terminal,service,session", "'@x u@x 2026-11-22T20:53:00Z '@remote '=cmd|' /C calc'!A0 '+service '-id"},
		{"/users/=1+1/history.csv?span=7d", "rollcall-history-20261122T211407Z.csv", "machine,user,since,end,how,remote,terminal,service,session", "web2 '=1+1 2026-11-22T21:00:00Z  open    "},
		{"/machines/web1/history.csv?at=2026-11-22T20:00:00Z", "rollcall-history-20261122T200000Z.csv", "machine,user,since,end,how,remote,terminal,service,session", ""},
	} {
		r := s.do(http.MethodGet, c.url)
		body := r.Body.String()
		if r.Code != http.StatusOK || r.Header().Get("Content-Type") != "text/csv; charset=utf-8" || r.Header().Get("Content-Disposition") != `attachment; filename="`+c.file+`"` {
			t.Errorf("%s: status %d, %v: %s", c.url, r.Code, r.Header(), body)
			continue
		}
		rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
		if err != nil || len(rows) == 0 || strings.Join(rows[0], ",") != c.head {
			t.Errorf("%s: %v, %q; want the head %s", c.url, err, rows, c.head)
			continue
		}
		var got []string
		for _, row := range rows[1:] {
			got = append(got, strings.Join(row, " "))
		}
		pattern := strings.ReplaceAll(regexp.QuoteMeta(c.want), `\*`, `\S+ \S+`)
		if !regexp.MustCompile("^" + pattern + "$").MatchString(strings.Join(got, "; ")) {
			t.Errorf("%s:\n%s\nwant\n%s", c.url, strings.Join(got, "; "), c.want)
		}
	}
}

// TestSeparators: where a comma separates decimals, spreadsheets separate cells by semicolons:
// no formula begins behind one. Nor does one begin with the wide signs of some keyboards.
func TestSeparators(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	for _, name := range []string{"a;=1+1;b", `a;"=1+1;b"`, "a;b;-", ";@x", "＝1+1", "＠x", " =1", "a=b-c", "é;é"} {
		w.fold(login("21:00", name, "kim"))
	}
	s := w.open()
	table := s.get("/machines.csv")
	for _, want := range []string{"a;'=1+1;b,", `"a;""'=1+1;b""",`, "a;b;'-,", ";'@x,", "'＝1+1,", "'＠x,", `" =1",`, "a=b-c,", "é;é,"} {
		if !strings.Contains(table, "\n"+want+"kim") {
			t.Errorf("the table has no line %s:\n%s", want, table)
		}
	}
	if rows, err := csv.NewReader(strings.NewReader(table)).ReadAll(); err != nil || len(rows) != 10 {
		t.Errorf("%q, %v", rows, err)
	}
}

// TestLargeCSV: a table has all rows, each once, also while machines come and go.
func TestLargeCSV(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	w.fold(login("21:00", "m", "kim"))
	s := w.open()
	const n = 5000
	var machines []api.Machine
	for i := range n {
		machines = append(machines, api.Machine{Name: fmt.Sprintf("m%05d", 2*i), Heard: start, Users: []string{fmt.Sprintf("u%05d", i)}})
	}
	s.page.Fleet().Fill(machines)
	var end atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; !end.Load(); i++ {
			s.page.Fleet().Set(api.Machine{Name: fmt.Sprintf("m%05d", 2*(i%n)+1), Heard: start, Users: []string{"new"}})
			s.page.Fleet().Remove(fmt.Sprintf("m%05d", 2*((i+n/2)%n)+1))
		}
	}()
	for range kit.Length(3, 6) {
		for url, column := range map[string]int{"/machines.csv": 0, "/machines.csv?sort=-name": 0, "/machines.csv?q=user:u": 0, "/users.csv?sort=name": 1} {
			seen := map[string]int{}
			for _, row := range s.table(url) {
				seen[row[column]]++
			}
			for _, m := range machines {
				if seen[m.Name] != 1 {
					t.Fatalf("%s has %q %d times", url, m.Name, seen[m.Name])
				}
			}
		}
	}
	end.Store(true)
	<-done
}

// TestBrokenCSV: a table that cannot be had is an error with its reason; one that breaks off
// is cut, so that nobody takes it for the whole.
func TestBrokenCSV(t *testing.T) {
	server := kit.StartServer(t, func(o *natsserver.Options) { o.MaxPayload = 32 << 10 })
	w := newWorld(t, server)
	// So many sessions that an answer has several pages.
	const n = 2000
	var events []roster.Event
	for i := range n {
		events = append(events, login("20:00", "web1", fmt.Sprintf("user-%05d-%s", i, strings.Repeat("x", 50))))
	}
	w.fold(events...)
	// This service answers with one page, and then with an error.
	var broken atomic.Bool
	relay, conn := kit.Conn(t, server.URL), kit.Conn(t, server.URL)
	for _, question := range []string{"machine", "history", "report", "status", "counts"} {
		_, err := relay.Subscribe("relay.query."+question, func(m *nats.Msg) {
			if broken.Load() && strings.Contains(string(m.Data), `"cursor"`) {
				refusal := nats.NewMsg(m.Reply)
				refusal.Header.Set("Nats-Service-Error", "the disk is gone")
				refusal.Header.Set("Nats-Service-Error-Code", "500")
				_ = m.RespondMsg(refusal)
				return
			}
			answer, err := conn.Request(w.subjects.Query(question), m.Data, time.Minute)
			if err == nil {
				answer.Subject, answer.Reply = m.Reply, ""
				_ = m.RespondMsg(answer)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := relay.Flush(); err != nil {
		t.Fatal(err)
	}
	s := w.open(func(c *web.Config) {
		var err error
		if c.Subjects, err = rollcallv1.NewSubjects("relay"); err != nil {
			t.Fatal(err)
		}
	})
	base := s.host()
	get := func(url string, headers ...string) (int, string, error) {
		req, err := http.NewRequest(http.MethodGet, base+url, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			req.Header.Set(name, value)
		}
		r, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			return 0, "", err
		}
		defer r.Body.Close()
		var from io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			if from, err = gzip.NewReader(r.Body); err != nil {
				return r.StatusCode, "", err
			}
		}
		body, err := io.ReadAll(from)
		return r.StatusCode, string(body), err
	}
	if status, body, err := get("/machines/web1/sessions.csv"); status != http.StatusOK || err != nil || strings.Count(body, "\n") != n+1 {
		t.Fatalf("status %d, %d lines, %v", status, strings.Count(body, "\n"), err)
	}
	broken.Store(true)
	for _, headers := range [][]string{nil, {"Accept-Encoding: gzip"}} {
		if status, body, err := get("/machines/web1/sessions.csv", headers...); err == nil {
			t.Errorf("%v: a table that breaks off is whole: status %d, %d lines", headers, status, strings.Count(body, "\n"))
		}
	}
	for url, want := range map[string]struct {
		status int
		says   string
	}{
		"/machines/nope/sessions.csv":          {http.StatusNotFound, "is unknown"},
		"/users/nope/sessions.csv":             {http.StatusBadGateway, ""}, // the relay has no such question
		"/machines/web1/history.csv?span=1y":   {http.StatusBadRequest, "use 24h"},
		"/machines.csv?q=%22":                  {http.StatusBadRequest, "without a closing one"},
		"/users.csv?at=later":                  {http.StatusBadRequest, "not a moment"},
		"/machines/%2Fx/sessions.csv":          {http.StatusNotFound, "not the spelling of a name"},
		"/machines/web1/sessions.csv/more.csv": {http.StatusNotFound, ""},
	} {
		r := s.do(http.MethodGet, url)
		if r.Code != want.status || !strings.Contains(r.Body.String(), want.says) || r.Header().Get("Content-Disposition") != "" || strings.Contains(r.Header().Get("Content-Type"), "csv") {
			t.Errorf("%s: status %d, %v, %s; want %d and %q", url, r.Code, r.Header(), r.Body, want.status, want.says)
		}
	}
}

// TestServiceCSV: the page of the service has the latest refused events and the first machines
// never heard from; its tables have all, and say what a spreadsheet may take.
func TestServiceCSV(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	w.fill()
	var want strings.Builder
	want.WriteString("machine,reason,events,last,detail\n")
	for i := range 60 {
		w.letter(fmt.Sprintf("=m%02d", i), "late", "too late", at("19:30").Add(-time.Duration(i)*time.Second))
		fmt.Fprintf(&want, "'=m%02d,late,1,%s,too late\n", i, at("19:30").Add(-time.Duration(i)*time.Second).Format(time.RFC3339))
	}
	expected := []string{web1}
	for i := range 150 {
		expected = append(expected, fmt.Sprintf("never%03d", i))
	}
	s := w.open()
	if r := s.do(http.MethodGet, "/service/unheard.csv"); r.Code != http.StatusNotFound || !strings.Contains(r.Body.String(), "ROLLCALL_PAGE_EXPECTED_FILE") {
		t.Errorf("status %d, %s", r.Code, r.Body)
	}
	s = w.open(func(c *web.Config) { c.Expected = func() []string { return expected } })
	if got := s.get("/service/refused.csv"); got != want.String() {
		t.Errorf("refused:\n%s\nwant\n%s", got, want.String())
	}
	if got, want := s.get("/service/unheard.csv"), "machine\n"+strings.Join(expected[1:], "\n")+"\n"; got != want {
		t.Errorf("never heard from:\n%s\nwant\n%s", got, want)
	}
	page := s.get("/service")
	for _, want := range []string{`href="/service/refused.csv"`, `href="/service/unheard.csv"`, "the CSV has all 60.", "the CSV has all 150."} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if n := strings.Count(page, "too late"); n != 50 {
		t.Errorf("%d refused on the page", n)
	}
	if r := s.do(http.MethodGet, "/service/refused.csv?at=2026-11-22T21:00:00Z"); r.Code != http.StatusBadRequest || !strings.Contains(r.Body.String(), "as it is now") {
		t.Errorf("in the past: status %d, %s", r.Code, r.Body)
	}
}

// TestStaleCSV: a table has no banner, so there is none of a roster that the page does not
// follow.
func TestStaleCSV(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	w.fill()
	s := w.open()
	s.get("/machines.csv")
	w.stop()
	s.until("/machines", "Not live:")
	for _, url := range []string{"/machines.csv", "/users.csv", "/users.csv?q=anna"} {
		if w := s.do(http.MethodGet, url); w.Code != http.StatusBadGateway || !strings.Contains(w.Body.String(), "o rollcall answers") {
			t.Errorf("%s: status %d, %s", url, w.Code, w.Body)
		}
	}
}
