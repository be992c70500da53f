package web_test

import (
	"fmt"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

var tags = regexp.MustCompile(`<[^>]*>`)

// text returns what HTML says.
func text(of string) string {
	return strings.Join(strings.Fields(html.UnescapeString(tags.ReplaceAllString(of, ""))), " ")
}

// sentence returns what a page of a machine or a user says first, and how.
func (s *site) sentence(url string) string {
	s.t.Helper()
	class, rest, _ := strings.Cut(part(s.t, s.get(url), `<p id="sentence" class="`, "</p>"), `">`)
	return class + ": " + text(rest)
}

// TestSentences: a page answers in one sentence what most come for: whether somebody is on
// a machine, and since when; where a user is.
func TestSentences(t *testing.T) {
	s := openSites(t)
	for _, c := range []struct {
		site      *site
		url, want string
	}{
		{s.full, "/machines/" + web1, "used: In use by kim, anna, svc-backup, the last since 12:09"},
		{s.full, "/machines/" + web2, "used: In use by anna since 10:02"},
		{s.full, "/machines/jump1", "used: In use by 7 users, the last since 12:15"},
		{s.full, "/machines/" + free, "free: Free since 14:02, last: kim"},
		{s.full, "/machines/lab9", "free: Free, and nobody was on in the time shown"},
		{s.full, "/machines/" + silent, "unknown: Not known: silent for 42 min, then: kim"},
		{s.full, "/machines/" + quiet, "unknown: Not known: silent for 2 h, nobody when last heard"},
		{s.full, "/machines/" + lacking, "used: In use by root since 13:00"},
		{s.full, "/users/anna", "red: On 6 machines at once, the last since 10:02"},
		{s.full, "/users/svc-backup", "used: On 5 machines at once, the last since 11:15"},
		{s.full, "/users/kim", "used: On db2.muc.example.com and web1.fra.example.com at once, 1 of them silent, the last since 20:32"},
		{s.full, "/users/ben", "used: On jump1 since 07:15"},
		{s.full, "/users/ola", "free: Nowhere since 19:00, last on " + quiet},

		{s.full, "/machines/" + web1 + "?" + then, "used: In use by anna, svc-backup, the last since 09:30"},
		{s.full, "/machines/" + free + "?at=2026-11-22T14:01:59Z", "used: In use by kim since 11:00"},
		{s.full, "/machines/" + free + "?at=2026-11-22T14:02:00Z", "free: Free since 14:02, last: kim"},
		{s.full, "/machines/" + web1 + "?at=2026-11-22T00:30:00Z", "free: Free since 2026-11-21 23:30, last: kim"},
		{s.full, "/users/anna?at=2026-11-22T06:20:00Z", "used: On jump1 since 06:15"},
		{s.full, "/users/kim?at=2026-11-22T00:30:00Z", "free: Nowhere since 2026-11-21 23:30, last on " + web1},
		{s.full, "/users/ola?" + then, "used: On " + quiet + " since 10:10"},

		{s.lossy, "/machines/old1", "used: In use by pia, ola, the last since 2026-11-21 19:00"},
		{s.lossy, "/machines/new1", "used: In use by kim since 20:00"},
		{s.lossy, "/machines/new1?" + then, "free: Free, and nobody was on in the time shown, as far as known"},
		{s.lossy, "/machines/old1?at=2026-11-20T12:00:00Z", "unknown: Free, and nobody was on in the time shown, as far as known"},
		{s.lossy, "/machines/old2", "unknown: Free since 21:05, last: rob, as far as known"},
		{s.lossy, "/users/rob", "unknown: Nowhere since 21:05, last on old2, as far as known"},
	} {
		if got := c.site.sentence(c.url); got != c.want {
			t.Errorf("%s says %q, want %q", c.url, got, c.want)
		}
	}
}

// TestSilentSince: of the time since the last word of a machine that is silent nothing is
// known, at a past moment no more than now.
func TestSilentSince(t *testing.T) {
	s := openSites(t).full
	for url, want := range map[string]string{
		"/machines/" + quiet + "?at=2026-11-22T21:00:00Z":  "unknown: Free since 19:00, last: ola, as far as known: not heard from since 19:00",
		"/machines/" + silent + "?at=2026-11-22T21:10:00Z": "unknown: In use by kim since 20:32, as far as known: not heard from since 20:32",
		// It was heard from after that moment.
		"/machines/" + quiet + "?at=2026-11-22T18:59:59Z": "used: In use by ola since 10:10",
		"/machines/" + quiet + "?at=2026-11-22T19:00:00Z": "free: Free since 19:00, last: ola",
		"/machines/" + free + "?at=2026-11-22T14:02:00Z":  "free: Free since 14:02, last: kim",
	} {
		if got := s.sentence(url); got != want {
			t.Errorf("%s says %q, want %q", url, got, want)
		}
	}
	html := s.get("/machines/" + silent + "?at=2026-11-22T21:10:00Z")
	if !strings.Contains(html, `class="unheard"`) || !strings.Contains(html, "as far as known") {
		t.Errorf("the time after the last word looks known:\n%s", part(t, html, "<main", "</main>"))
	}
}

// TestSilentPlaces: where a user is on a machine that is silent, that is the last known.
func TestSilentPlaces(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	w.fold(
		login("20:00", "gone1", "ola"), login("20:01", "gone1", "kim"), login("20:02", "gone2", "kim"), login("20:03", "gone1", "anna"),
		login("21:00", "web1", "anna"), login("21:01", "web2", "ben"),
	)
	s := w.open()
	for url, want := range map[string]string{
		"/users/ola":  "unknown: On gone1 since 20:00, as last known: it is silent",
		"/users/kim":  "unknown: On gone2 and gone1 at once, the last since 20:02, as last known: all are silent",
		"/users/anna": "used: On web1 and gone1 at once, 1 of them silent, the last since 21:00",
		"/users/ben":  "used: On web2 since 21:01",
	} {
		if got := s.sentence(url); got != want {
			t.Errorf("%s says %q, want %q", url, got, want)
		}
	}
}

// TestEarlierLoss: what the history of the time shown lacks is said, also if nothing is
// lacking at the moment of the page.
func TestEarlierLoss(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	w.fold(boots("20 08:00", "old1"), boots("20 08:00", "old2"))
	w.lose(roster.Deleted)
	w.fold(login("21 19:00", "old2", "pia"), boots("22 08:00", "old1"), boots("22 08:00", "old2"), heard("old1"))
	s := w.open()
	for url, want := range map[string]string{
		"/machines/old1": "free: Free, and nobody was on in the time shown, as far as known",
		"/machines/old1?at=2026-11-22T12:00:00Z&span=7d": "free: Free, and nobody was on in the time shown, as far as known",
		"/machines/old2?at=2026-11-22T12:00:00Z&span=7d": "",
	} {
		html := s.get(url)
		if banner := text(part(t, html, `<section id="banner"`, "</section>")); !strings.Contains(banner, "sessions may be missing on old") {
			t.Errorf("%s says only %q", url, banner)
		}
		if got := s.sentence(url); want != "" && got != want {
			t.Errorf("%s says %q, want %q", url, got, want)
		}
	}
}

// TestSinceAtTheLatest: the sentence of a session that may have begun earlier says so, as its
// row does.
func TestSinceAtTheLatest(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	w.fold(login("20:00", "web1", "kim"))
	// The history has not read what comes now.
	b := roster.Batch{End: w.roster.Status().Position}
	for _, e := range []roster.Event{heard("db1", session("ola", "1", "")), heard("web1", session("kim", "", "")), heard("web2", session("kim", "", ""), session("ben", "", ""))} {
		b.End.Place++
		b.Messages = append(b.Messages, roster.Message{Place: b.End.Place, Receipt: e.Date.Add(time.Second), Event: e})
	}
	w.roster.Fold(&b)
	s := w.open()
	for url, want := range map[string]string{
		"/machines/db1":  "used: In use by ola since 21:12 at the latest",
		"/machines/web2": "used: In use by ben, kim, the last since 21:12 at the latest",
		"/users/ola":     "used: On db1 since 21:12 at the latest",
		"/users/kim":     "used: On web1 and web2 at once, the last since 21:12 at the latest",
	} {
		if html := s.get(url); !strings.Contains(html, "It may have begun earlier") {
			t.Fatalf("%s: the row's since is exact", url)
		}
		if got := s.sentence(url); got != want {
			t.Errorf("%s says %q, want %q", url, got, want)
		}
	}
}

// TestManySessions: a user on more machines than a page lists is counted on all of them.
func TestManySessions(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	var events []roster.Event
	for i := range 450 {
		events = append(events, login("10:00", fmt.Sprintf("m%03d", i), "busy"), login("10:01", "host", fmt.Sprintf("u%03d", i)))
	}
	w.fold(events...)
	s := w.open()
	for url, want := range map[string]string{
		"/users/busy":                            "red: On 450 machines at once, the last since 10:00, as last known: all are silent",
		"/users/busy?at=2026-11-22":              "", // not over
		"/users/busy?at=2026-11-22T11:00:00Z":    "red: On 450 machines at once, the last since 10:00",
		"/machines/host":                         "unknown: Not known: silent for 11 h, then: 450 users",
		"/machines/host?at=2026-11-22T11:00:00Z": "unknown: In use by 450 users, the last since 10:01, as far as known: not heard from since 10:01",
	} {
		if want == "" {
			continue
		}
		html := s.get(url)
		if got := s.sentence(url); got != want {
			t.Errorf("%s says %q, want %q", url, got, want)
		}
		if n := strings.Count(part(t, html, `<table id="sessions">`, "</table>"), "data-key="); n != 50 || !strings.Contains(html, "the CSV has all") {
			t.Errorf("%s lists %d sessions", url, n)
		}
		if n := strings.Count(s.get(strings.Replace(url, "?", "/sessions.csv?", 1)+map[bool]string{true: "", false: "/sessions.csv"}[strings.Contains(url, "?")]), "\n"); n != 451 {
			t.Errorf("the table of %s has %d lines", url, n)
		}
	}
}

// TestElements: a page has at most 2,000 elements, whatever became of the machine.
func TestElements(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	var events []roster.Event
	for i := range 200 {
		clock := func(minute int) string { return fmt.Sprintf("%02d:%02d", (6*i+minute)/60, (6*i+minute)%60) }
		events = append(events, boots(clock(0), "host"))
		for u := range 10 {
			user := fmt.Sprintf("u%03d", (i+u)%80)
			events = append(events, login(clock(1), "host", user))
		}
	}
	for n := range 75 {
		events = append(events, from("20:30", "host", fmt.Sprintf("v%03d", n/3), fmt.Sprint(n), "10.0.0.7"))
	}
	w.fold(events...)
	html := w.open().get("/machines/host")
	for _, want := range []string{`<circle class="boot"`, "and 3 more before", " sessions</title>", "Only those who came last", "65 more, in the CSV"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if n := len(regexp.MustCompile("<[a-z]").FindAllString(html, -1)); n > 2000 {
		t.Errorf("%d elements", n)
	} else {
		t.Logf("%d elements", n)
	}
}

// TestUnknownIsNotZero: what is not known is "–" and no number: how many are on a silent
// machine, who was silent in the past, and all of it before the service has answered.
func TestUnknownIsNotZero(t *testing.T) {
	s := openSites(t)
	cell := func(html, of string) string {
		return text(part(t, part(t, html, `data-key="`+of+`"`, "</tr>"), `<td class="n">`, "</td>"))
	}
	list := s.full.get("/machines")
	for name, want := range map[string]string{silent: "–", quiet: "–", free: "0", web1: "3", "lab9": "0"} {
		if got := cell(list, name); got != want {
			t.Errorf("users of %s: %s, want %s", name, got, want)
		}
	}
	total := func(html, of string) string {
		return text("<" + part(t, html, `data-total="`+of+`"`, "</dd>"))
	}
	past := s.full.get("/?" + then)
	for of, want := range map[string]string{"silent": "–", "sessions": "15", "users": "7 ▴ 2 in an hour"} {
		if got := total(past, of); got != want {
			t.Errorf("%s in the past: %s, want %s", of, got, want)
		}
	}
	if csv := s.full.get("/machines.csv?" + then); !strings.Contains(csv, "\n"+web2+",anna,,,\n") {
		t.Errorf("the table of the past:\n%s", csv)
	}
	url := "/machines/" + silent + "?" + then
	if html := s.full.get(url); strings.Contains(part(t, html, "<main", "</main>"), "silent,") {
		t.Errorf("%s says that a machine was silent", url)
	}
	// An empty list would say that none was.
	for _, url := range []string{"/machines?state=silent&" + then, "/machines.csv?state=silent&" + then, "/live?of=/machines%3Fstate=silent%26" + strings.ReplaceAll(then, "%", "%25") + "&once="} {
		if w := s.full.do(http.MethodGet, url); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "is not kept for the past") {
			t.Errorf("%s: status %d, %s", url, w.Code, w.Body)
		}
	}
}

// TestNothingKnown: before the roster has been read once no page says that nobody is on.
func TestNothingKnown(t *testing.T) {
	s := alone(t)
	for _, url := range []string{"/", "/machines", "/users", "/machines/web1", "/users/kim", "/service", "/find?q=web", "/?" + then, "/machines?" + then} {
		w := s.do(http.MethodGet, url)
		content := text(part(t, w.Body.String(), "<main", "</main>"))
		if w.Code != http.StatusBadGateway || !strings.Contains(content, "not connected to NATS") && !strings.Contains(content, "is not known yet") {
			t.Errorf("%s: status %d, %s", url, w.Code, content)
		}
		if strings.Contains(w.Body.String(), `class="pill live"`) {
			t.Errorf("%s is live", url)
		}
		if again := `<a class="button" href="` + url + `">Try again</a>`; !strings.Contains(w.Body.String(), again) {
			t.Errorf("%s has no %s: %s", url, again, part(t, w.Body.String(), "<main", "</main>"))
		}
	}
	for _, url := range []string{"/machines.csv", "/users.csv", "/machines/web1/sessions.csv", "/users/kim/history.csv", "/names?q=web", "/tile?group=0&tile=0"} {
		if w := s.do(http.MethodGet, url); w.Code != http.StatusBadGateway {
			t.Errorf("%s: status %d, %s", url, w.Code, w.Body)
		}
	}
}
