package web_test

import (
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const then = "at=2026-11-22T10%3A17%3A00Z"

// goldenPages are the pages whose HTML is kept.
var goldenPages = []struct{ name, site, url string }{
	{"fleet", "full", "/"},
	{"fleet-past", "full", "/?" + then},
	{"machines", "full", "/machines"},
	{"machines-past", "full", "/machines?" + then},
	{"machines-user", "full", "/machines?q=user%3Akim"},
	{"machines-remote", "full", "/machines?q=remote%3A10.0.0.8"},
	{"machines-silent", "full", "/machines?state=silent"},
	{"machines-nothing", "full", "/machines?q=nothing"},
	{"machines-group", "full", "/machines?group=fra.example.com&sort=-users"},
	{"machines-from", "full", "/machines?from=12&sort=changed"},
	{"machine-several", "full", "/machines/" + web1},
	{"machine-several-past", "full", "/machines/" + web1 + "?" + then},
	{"machine-week", "full", "/machines/" + web1 + "?span=7d"},
	{"machine-one", "full", "/machines/" + web2},
	{"machine-free", "full", "/machines/" + free},
	{"machine-free-past", "full", "/machines/" + free + "?" + then},
	{"machine-silent", "full", "/machines/" + silent},
	{"machine-silent-past", "full", "/machines/" + silent + "?" + then},
	{"machine-silent-nobody", "full", "/machines/" + quiet},
	{"machine-missing", "full", "/machines/" + lacking},
	{"machine-evil", "full", "/machines/%3Cb%2520title=%22x%27&y%22%253E"},
	{"machine-unknown", "full", "/machines/web"},
	{"machine-expected", "full", "/machines/lab7.example.com"},
	{"users", "full", "/users"},
	{"users-past", "full", "/users?" + then},
	{"users-several", "full", "/users?state=several"},
	{"user-red", "full", "/users/anna"},
	{"user-red-past", "full", "/users/anna?" + then},
	{"user-service", "full", "/users/svc-backup"},
	{"user-several", "full", "/users/kim"},
	{"user-one", "full", "/users/ben"},
	{"user-nowhere", "full", "/users/ola"},
	{"user-unknown", "full", "/users/o"},
	{"service", "full", "/service"},
	{"find", "full", "/find?q=a"},
	{"find-past", "full", "/find?q=ki&" + then},
	{"find-nothing", "full", "/find?q=%3Cnothing%3E"},
	{"find-empty", "full", "/find"},
	{"no-page", "full", "/nope"},
	{"mistake-moment", "full", "/machines?at=later"},
	{"mistake-filter", "full", "/users?q=%22"},
	{"mistake-span", "full", "/users/anna?span=1y"},
	{"incomplete-fleet", "lossy", "/"},
	{"incomplete-machines", "lossy", "/machines"},
	{"incomplete-machine", "lossy", "/machines/old1"},
	{"incomplete-machine-past", "lossy", "/machines/old1?" + then},
	{"complete-machine", "lossy", "/machines/new1"},
	{"incomplete-service", "lossy", "/service"},
	{"empty-fleet", "empty", "/"},
	{"empty-fleet-past", "empty", "/?" + then},
	{"empty-machines", "empty", "/machines"},
	{"empty-users", "empty", "/users"},
	{"empty-service", "empty", "/service"},
}

// changing is what differs from run to run, or with the style sheet.
var changing = []struct {
	is *regexp.Regexp
	as string
}{
	{regexp.MustCompile(`data-id="[A-Z0-9]+\.\d+"`), `data-id="BOOT.REV"`},
	{regexp.MustCompile(`data-members="\d+"`), `data-members="REV"`},
	{regexp.MustCompile(`(/static/\w+)\.[0-9a-f]{10}\.`), `$1.`},
	{regexp.MustCompile(`DEAD_rollcall\d+`), `DEAD`},
	{regexp.MustCompile(`(sessions? ended, )\d+ [KM]iB`), `${1}SIZE`},
	{regexp.MustCompile(` (d|data-users)="[^"]{200,}"`), ` $1="LONG"`},
}

// stable returns HTML without what differs from run to run, an element a line.
func stable(html string) string {
	for _, one := range changing {
		html = one.is.ReplaceAllString(html, one.as)
	}
	html = regexp.MustCompile(`\s*(<(tr|li|section|div|table|h1|h2|h3|p|th|td|form|svg|path|nav|dl|main|header|footer|canvas)\b)`).ReplaceAllString(html, "\n$1")
	return strings.TrimSpace(html) + "\n"
}

// part returns what is between two texts of a page.
func part(t testing.TB, html, begin, end string) string {
	t.Helper()
	_, rest, ok := strings.Cut(html, begin)
	text, _, also := strings.Cut(rest, end)
	if !ok || !also {
		t.Fatalf("no %s to %s in %s", begin, end, html)
	}
	return text
}

// shown returns what a page has beside the frame: title, banner, content, command.
func shown(t testing.TB, html string) string {
	t.Helper()
	return "title: " + part(t, html, "<title>", "</title>") +
		"\ncommand: " + part(t, html, `<code id="command">`, "</code>") +
		"\nbanner: " + part(t, html, `<section id="banner" aria-label="What to know first">`, "</section>\n<main") +
		"\n" + stable(part(t, html, `<main id="main" tabindex="-1">`, "</main>"))
}

func wantGolden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".html")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	a, b := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range a {
		if i >= len(b) || a[i] != b[i] {
			t.Fatalf("%s differs in line %d, see the difference after -update:\n%s", file, i+1, a[i])
		}
	}
	t.Fatalf("%s has more lines; see the difference after -update", file)
}

// TestGolden: each page is the HTML that somebody has looked at.
func TestGolden(t *testing.T) {
	s := openSites(t)
	// What just happened is what the page's process has seen.
	m := s.full.page.Fleet().Machine(web1)
	s.full.page.Fleet().Change(m.Machine, []string{"kim"}, []string{"ola"}, at("21:13:59"))
	m = s.full.page.Fleet().Machine(evil)
	s.full.page.Fleet().Change(m.Machine, []string{script}, nil, at("21:14:05"))
	for _, c := range goldenPages {
		t.Run(c.name, func(t *testing.T) {
			site := map[string]*site{"full": s.full, "lossy": s.lossy, "empty": s.empty}[c.site]
			w := site.do(http.MethodGet, c.url)
			wantGolden(t, c.name, "status: "+http.StatusText(w.Code)+"\n"+shown(t, w.Body.String()))
		})
	}
	for name, url := range map[string]string{"frame": "/machines?q=web&sort=users", "frame-past": "/users/anna?span=7d&" + then} {
		t.Run(name, func(t *testing.T) {
			html := s.full.get(url)
			content := part(t, html, `<main id="main" tabindex="-1">`, "</main>")
			wantGolden(t, name, stable(strings.Replace(html, content, "", 1)))
		})
	}
}
