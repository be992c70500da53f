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
