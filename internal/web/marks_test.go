package web_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rollcall/internal/test/kit"
)

// TestNeverRed: a service account is on many machines for good reason: nothing of it is red,
// neither on its own page nor in a list.
func TestNeverRed(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	w.fill()
	for _, machine := range []string{"m1", "m2", "m3"} {
		w.fold(login("20:00", machine, "svc-backup"), login("20:00", machine, "anna"))
	}
	s := w.open()
	for user, want := range map[string]bool{"svc-backup": false, "anna": true} {
		page, list := s.get("/users/"+user), part(t, s.get("/users"), `data-key="`+user+`"`, "</tr>")
		if !strings.Contains(page, `class="v3"`) || !strings.Contains(list, `class="v3"`) {
			t.Errorf("%s is not shown to be on many machines", user)
		}
		for of, html := range map[string]string{"page": page, "row": list} {
			if got := strings.Contains(html, "persons") || strings.Contains(html, `red"`); got != want {
				t.Errorf("the %s of %s: red is %v, want %v", of, user, got, want)
			}
		}
	}
}

// TestRedIsOneThing: the style sheet has red for one person on many machines, and for nothing
// else.
func TestRedIsOneThing(t *testing.T) {
	css, err := os.ReadFile("static/page.css")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, rule := range regexp.MustCompile(`([^{};]+)\{[^{}]*var\(--red`).FindAllSubmatch(css, -1) {
		found = append(found, strings.TrimSpace(string(rule[1])))
	}
	if want := []string{".red", ".persons .v3", "#sentence.red"}; !slices.Equal(found, want) {
		t.Errorf("red are %q, want %q", found, want)
	}
}

// TestServiceAccountsLast: service accounts, which are on most machines, do not push people off
// the list; but sorted by names, all are.
func TestServiceAccountsLast(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	w.fold(login("20:00", "m1", "svc-a"), login("20:00", "m2", "svc-a"), login("20:00", "m3", "svc-a"), login("20:00", "m1", "svc-b"))
	w.fold(login("20:00", "m1", "kim"), login("20:00", "m2", "kim"), login("20:00", "m1", "anna"), login("20:00", "m1", "zoe"))
	s := w.open()
	for url, want := range map[string]string{
		"/users":                         "kim anna zoe svc-a svc-b",
		"/users?sort=-machines":          "anna zoe kim svc-b svc-a",
		"/users?q=user:k":                "kim",
		"/users?state=several":           "kim svc-a",
		"/users?sort=name":               "anna kim svc-a svc-b zoe",
		"/users?sort=-name":              "zoe svc-b svc-a kim anna",
		"/users?at=2026-11-22T20:30:00Z": "kim anna zoe svc-a svc-b",
	} {
		if got := strings.Join(keysOf(s.get(url)), " "); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
}

// TestSilentOfUsers: where a user is on a silent machine, that is the last known: it has the
// mark of it in each list, and the time since the last word is hatched.
func TestSilentOfUsers(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	w.fold(
		login("10:00", "gone1", "kim"), login("10:01", "gone2", "kim"), login("10:02", "gone1", "anna"), login("21:00", "web1", "anna"),
		says("10:05", "gone1", "anna", "kim"), says("10:05", "gone2", "kim"),
	)
	s := w.open()
	w.fold(says("20:32", "gone1", "anna", "kim")) // nothing changes
	hatch := `class="unheard" d="M1397 0H1440V10H1397z"`
	for user, want := range map[string]struct{ known, hatched bool }{"kim": {false, true}, "anna": {true, false}} {
		row := part(t, s.get("/users"), `data-key="`+user+`"`, "</tr>")
		if strings.Contains(row, `class="mark">last known`) == want.known || strings.Contains(row, hatch) != want.hatched {
			t.Errorf("the row of %s: %s", user, row)
		}
		for machine, silent := range map[string]bool{"gone1": true, "gone2": true, "web1": false} {
			_, after, on := strings.Cut(row, `<a class="chip lastknown" title="silent: as last known" href="/machines/`+machine+`">`)
			if _, known, _ := strings.Cut(row, `href="/machines/`+machine); known != "" && on != silent {
				t.Errorf("the row of %s, %s: %s %s", user, machine, row, after)
			}
		}
		page := part(t, s.get("/users/"+user), `<div class="timeline">`, "</section>")
		if strings.Contains(part(t, page, "machines at once", "</div>"), hatch) != want.hatched {
			t.Errorf("the band of %s: %s", user, page)
		}
		lane := part(t, page, `<a href="/machines/gone1">`, "</div>")
		if !strings.Contains(lane, `class="unheard" x="97.08%" width="2.92%"`) {
			t.Errorf("the lane of %s: %s", user, lane)
		}
		if user == "anna" && strings.Contains(part(t, page, `<a href="/machines/web1">`, "</div>"), "unheard") {
			t.Errorf("a machine that speaks is hatched: %s", page)
		}
	}
	several := part(t, s.get("/"), `id="several"`, "</section>")
	for text, want := range map[string]int{`gone1</a> <span class="mark">last known`: 2, `gone2</a> <span class="mark">last known`: 1, `web1</a> <span`: 0} {
		if got := strings.Count(several, text); got != want {
			t.Errorf("%d times %s in %s", got, text, several)
		}
	}
	// Of a moment before the last word all is known.
	page := part(t, s.get("/users/kim?at=2026-11-22T20:00:00Z"), `<div class="timeline">`, "</section>")
	if lane := part(t, page, `">gone1</a>`, "</div>"); strings.Contains(lane, "unheard") {
		t.Errorf("a past moment is hatched: %s", lane)
	}
}

// TestNumbersLead: each number of the fleet leads to a list, now and in the past; but not to one
// of what is not known.
func TestNumbersLead(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	w.fold(login("20:00", "web1", "kim"), login("20:00", "web2", "kim"), login("20:00", "web2", "anna"), boots("20:00", "db1"))
	s := w.open()
	for page, more := range map[string]string{"/": "", "/?at=2026-11-22T20:30:00Z": "at=2026-11-22T20%3A30%3A00Z&amp;"} {
		html := s.get(page)
		for of, want := range map[string]string{
			"users": "/users?" + more, "machines": "/machines?" + more + "state=used",
			"sessions": "/machines?" + more + "sort=users&amp;state=used", "several": "/users?" + more + "state=several",
		} {
			want = strings.TrimSuffix(strings.TrimSuffix(want, "&amp;"), "?")
			if !strings.Contains(html, `<a href="`+want+`" data-total="`+of+`">`) {
				t.Errorf("%s: %s do not lead to %s: %s", page, of, want, part(t, html, `id="totals"`, "</dl>"))
			}
		}
	}
	if got := strings.Join(keysOf(s.get("/machines?sort=users&state=used")), " "); got != "web2 web1" {
		t.Errorf("sessions lead to %s", got)
	}
}
