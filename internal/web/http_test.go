package web_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"rollcall/internal/test/kit"
)

// TestHead: HEAD answers as GET does, without a body, and opens no stream.
func TestHead(t *testing.T) {
	s := openSites(t).full
	base := s.host()
	for _, url := range []string{"/", "/machines", "/machines/" + web1, "/users/nobody", "/nope", "/machines?at=later", "/machines.csv", "/livez", "/live?of=/machines", "/names?q=a", asset(t, s, "page.css")} {
		head, err := http.Head(base + url)
		if err != nil {
			t.Fatal(err)
		}
		head.Body.Close()
		if url == "/live?of=/machines" {
			continue // GET does not end
		}
		get, err := http.Get(base + url)
		if err != nil {
			t.Fatal(err)
		}
		get.Body.Close()
		if head.StatusCode != get.StatusCode || head.Header.Get("Content-Type") != get.Header.Get("Content-Type") || head.Header.Get("Cache-Control") != get.Header.Get("Cache-Control") {
			t.Errorf("%s: HEAD %d %v, GET %d %v", url, head.StatusCode, head.Header, get.StatusCode, get.Header)
		}
	}
}

// TestMethods: nothing but GET and HEAD is answered.
func TestMethods(t *testing.T) {
	s := alone(t)
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions, http.MethodConnect} {
		for _, url := range []string{"/", "/machines", "/machines/web1", "/machines.csv", "/live?of=/", "/livez", "/static/page.css"} {
			if w := s.do(method, url); w.Code != http.StatusMethodNotAllowed || !strings.Contains(w.Header().Get("Allow"), "GET") {
				t.Errorf("%s %s: status %d, %v", method, url, w.Code, w.Header())
			}
		}
	}
}

// TestNoSuchPage: what is not there is a page that says so.
func TestNoSuchPage(t *testing.T) {
	s := openSites(t).full
	for _, url := range []string{"/nope", "/machines/", "/users/a/b", "/machines/%2F", "/Machines", "/machines.html", "/service/x", "/favicon.ico", "/machines.csv/", "/machines/nope", "/users/nope"} {
		w := s.do(http.MethodGet, url)
		p := &page{parse(t, w.Body.String()), t, url}
		if w.Code != http.StatusNotFound || w.Header().Get("Content-Type") != "text/html; charset=utf-8" || p.by("id", "main") == nil || said(p.by("id", "command")) == "" {
			t.Errorf("%s: status %d, %v", url, w.Code, w.Header())
		}
	}
	for _, url := range []string{"/static/", "/static/page.css", "/static/../handler.go", "/static/page.0000000000.css"} {
		if w := s.do(http.MethodGet, url); w.Code != http.StatusNotFound && w.Code != http.StatusTemporaryRedirect && w.Code != http.StatusMovedPermanently {
			t.Errorf("%s: status %d", url, w.Code)
		}
	}
}

// TestRedirects: a moment has one spelling in the address: others lead to it, with all else
// that the address says.
func TestRedirects(t *testing.T) {
	s := openSites(t).full
	for url, want := range map[string]string{
		"/?at=10%3A17": "/?at=2026-11-22T10%3A17%3A59Z",
		"/machines?q=web+user%3Akim&sort=-users&at=10%3A17&tz=Europe%2FBerlin": "/machines?at=2026-11-22T09%3A17%3A59Z&q=web+user%3Akim&sort=-users",
		"/machines/" + web1 + "?span=7d&at=-1h":                                "/machines/" + web1 + "?at=2026-11-22T20%3A14%3A07Z&span=7d",
		"/users?at=2026-11-22T11%3A17%3A00%2B01%3A00&state=several":            "/users?at=2026-11-22T10%3A17%3A00Z&state=several",
		"/?at=":                    "/",
		"/?at=now":                 "/",
		"/machines?from=50&at=now": "/machines?from=50",
		"/?tz=Europe%2FBerlin":     "/",
		"/users?at=yesterday&tz=America%2FNew_York": "/users?at=2026-11-22T04%3A59%3A59Z",
		"/find?q=a&at=today":                        "/find?q=a",
	} {
		w := s.do(http.MethodGet, url)
		if w.Code != http.StatusFound || w.Header().Get("Location") != want {
			t.Errorf("%s: status %d, %s; want %s", url, w.Code, w.Header().Get("Location"), want)
			continue
		}
		if w := s.do(http.MethodGet, want); w.Code != http.StatusOK {
			t.Errorf("%s: status %d, %s", want, w.Code, w.Header().Get("Location"))
		}
	}
	for _, url := range []string{"/", "/?" + then, "/machines?span=7d", "/machines/" + web1 + "?span=24h", "/machines?sort=name&state="} {
		if w := s.do(http.MethodGet, url); w.Code != http.StatusOK {
			t.Errorf("%s: status %d, %s", url, w.Code, w.Header().Get("Location"))
		}
	}
}

// TestMistakesOnPages: a mistake in an address is a page with status 400, with what is wrong
// and what to do.
func TestMistakesOnPages(t *testing.T) {
	s := openSites(t).full
	for url, want := range map[string]string{
		"/?at=later":                               "not a moment: use one such as now",
		"/machines?at=10%3A17&tz=Mars":             "not a zone",
		"/machines?q=%22":                          `has an opening " without a closing one: add it.`,
		"/users?state=used":                        "use one of several",
		"/machines/" + web1 + "?span=2h":           "use 24h, 48h, 7d or 30d",
		"/service?" + then:                         "shown as it is now",
		"/?at=2026-11-31":                          "no such day",
		"/?at=%3Cscript%3Ealert(1)%3C%2Fscript%3E": "<script>alert(1)</script>",
	} {
		w := s.do(http.MethodGet, url)
		content := text(part(t, w.Body.String(), "<main", "</main>"))
		if w.Code != http.StatusBadRequest || !strings.Contains(content, want) {
			t.Errorf("%s: status %d, %s; want %s", url, w.Code, content, want)
		}
		if strings.Contains(w.Body.String(), "<script>alert") {
			t.Errorf("%s: what is wrong is not escaped", url)
		}
	}
}

// TestUnreadableQueries: a query that cannot be read, or that says one thing twice, is
// refused. What is left of it would select what nobody asked for: all machines instead of
// some, and now instead of the past.
func TestUnreadableQueries(t *testing.T) {
	s := openSites(t).full
	for url, want := range map[string]string{
		"/machines?q=%":                                       "write % as %25",
		"/machines?" + then + ";q=web":                        "; as %3B",
		"/?at=%zz&tz=UTC":                                     "write % as %25",
		"/users?q=anna&q=kim":                                 "he address has q= twice",
		"/?" + then + "&at=now":                               "he address has at= twice",
		"/machines/" + web1 + "?at=%":                         "write % as %25",
		"/machines.csv?q=%":                                   "write % as %25",
		"/machines/" + web1 + "/history.csv?span=7d&span=24h": "he address has span= twice",
		"/names?q=a&q=b":                                      "he address has q= twice",
		"/tile?group=0&tile=0&at=%":                           "write % as %25",
		"/live?of=/machines?q%3D%25&once=":                    "write % as %25",
		"/live?of=/machines?q%3Da%26q%3Db":                    "he address has q= twice",
		"/live?of=/machines&once=&id=%":                       "write % as %25",
	} {
		w := s.do(http.MethodGet, url)
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: status %d, %s; want %s", url, w.Code, w.Body, want)
		}
	}
	for _, url := range []string{"/?utm_source=a&utm_source=b", "/machines?q=%25", "/machines?q=a%3Bb%26c"} {
		s.get(url)
	}
}

// TestRefusedQuestions: what the service refuses because it was asked wrongly is the mistake
// of whoever wrote the address, and no failure that a page waits to end.
func TestRefusedQuestions(t *testing.T) {
	s := openSites(t).full
	for url, back := range map[string]string{
		"/machines/" + strings.Repeat("a", 256):                    "/machines",
		"/users/" + strings.Repeat("a", 256) + "?" + then:          "/users?" + then,
		"/machines?q=remote:" + strings.Repeat("a", 300):           "/machines",
		"/users?" + then + "&q=remote:" + strings.Repeat("a", 300): "/users?" + then,
	} {
		w := s.do(http.MethodGet, url)
		page := w.Body.String()
		if w.Code != http.StatusBadRequest || !strings.Contains(page, "bytes, at most 255") || !strings.Contains(page, " data-still>") {
			t.Errorf("%s: status %d, %s", url, w.Code, text(part(t, page, "<main", "</main>")))
		}
		if a := all(parse(t, page).by("id", "main"), func(n *html.Node) bool { return n.DataAtom == atom.A }); len(a) != 1 || !slices.Contains(a[0].Attr, html.Attribute{Key: "href", Val: back}) {
			t.Errorf("%s leads back to %v, want %s", url, a[0].Attr, back)
		}
	}
	for _, url := range []string{"/machines.csv?q=remote:" + strings.Repeat("a", 300), "/users/" + strings.Repeat("a", 256) + "/sessions.csv"} {
		if w := s.do(http.MethodGet, url); w.Code != http.StatusBadRequest {
			t.Errorf("%s: status %d, %s", url, w.Code, w.Body)
		}
	}
}

// TestCompressed: what has a body is compressed for whoever accepts that, and is the same.
func TestCompressed(t *testing.T) {
	s := openSites(t).full
	for _, url := range []string{"/", "/machines", "/machines.csv", "/nope", "/names?q=a", asset(t, s, "page.js")} {
		plain, zipped := s.do(http.MethodGet, url), s.do(http.MethodGet, url, "Accept-Encoding: gzip, br")
		if plain.Header().Get("Content-Encoding") != "" || zipped.Header().Get("Content-Encoding") != "gzip" || plain.Header().Get("Vary") != "Accept-Encoding" || zipped.Header().Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s: %v, %v", url, plain.Header(), zipped.Header())
			continue
		}
		r, err := gzip.NewReader(zipped.Body)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, plain.Body.Bytes()) || plain.Code != zipped.Code || plain.Header().Get("Content-Type") != zipped.Header().Get("Content-Type") {
			t.Errorf("%s is another page when it is compressed: %v, %v", url, err, zipped.Header())
		}
	}
	if w := s.do(http.MethodGet, "/?at=10:17", "Accept-Encoding: gzip"); w.Header().Get("Content-Encoding") != "" || w.Code != http.StatusFound {
		t.Errorf("a redirect: %d %v", w.Code, w.Header())
	}
	if w := s.do(http.MethodHead, "/", "Accept-Encoding: gzip"); w.Code != http.StatusOK {
		t.Errorf("HEAD: %d", w.Code)
	}
	if w := s.do(http.MethodGet, "/", "Accept-Encoding: gzip;q=0"); w.Header().Get("Content-Encoding") != "" {
		t.Error("compressed for a client that does not want that")
	}
}

// asset returns the URL under which a page links to an asset.
func asset(t testing.TB, s *site, name string) string {
	t.Helper()
	base, ext, _ := strings.Cut(name, ".")
	url := regexp.MustCompile(`/static/` + base + `\.[0-9a-f]+\.` + ext).FindString(s.get("/find"))
	if url == "" {
		t.Fatalf("no page uses %s", name)
	}
	return url
}

// TestAssets: assets have a hash in their names, and may be kept for ever.
func TestAssets(t *testing.T) {
	s := openSites(t).full
	for name, kind := range map[string]string{"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8", "start.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"} {
		w := s.do(http.MethodGet, asset(t, s, name))
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != kind || w.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" || w.Body.Len() == 0 {
			t.Errorf("%s: status %d, %v", name, w.Code, w.Header())
		}
	}
	if w := s.do(http.MethodGet, "/livez"); w.Code != http.StatusOK || w.Body.String() != "ok\n" {
		t.Errorf("/livez: %d %q", w.Code, w.Body)
	}
}

// everyPage are the HTML of all kinds of pages, by their URLs.
func everyPage(t *testing.T) map[string]string {
	s := openSites(t)
	pages := map[string]string{}
	for _, c := range goldenPages {
		site := map[string]*site{"full": s.full, "lossy": s.lossy, "empty": s.empty}[c.site]
		pages[c.site+" "+c.url] = site.do(http.MethodGet, c.url).Body.String()
	}
	pages["alone /"] = alone(t).do(http.MethodGet, "/").Body.String()
	return pages
}

// TestStrictPages: no page has what its content security policy forbids, or an address
// elsewhere; every link leads to a page of the same kind.
func TestStrictPages(t *testing.T) {
	address := map[string]bool{"href": true, "src": true, "action": true, "poster": true, "formaction": true, "data": true, "xlink:href": true}
	for url, page := range everyPage(t) {
		d := parse(t, page)
		for _, n := range all(d.root, func(*html.Node) bool { return true }) {
			switch {
			case n.DataAtom == atom.Style, n.DataAtom == atom.Iframe, n.DataAtom == atom.Object, n.DataAtom == atom.Embed, n.DataAtom == atom.Base:
				t.Errorf("%s has an element %s", url, n.Data)
			case n.DataAtom == atom.Script:
				if src, ok := attr(n, "src"); !ok || n.FirstChild != nil {
					t.Errorf("%s has a script of its own: %s", url, src)
				}
			case n.DataAtom == atom.Form:
				if method, ok := attr(n, "method"); ok && !strings.EqualFold(method, "get") {
					t.Errorf("%s has a form with the method %s", url, method)
				}
			}
			for _, a := range n.Attr {
				if a.Key == "style" || strings.HasPrefix(a.Key, "on") || a.Key == "target" || a.Key == "ping" {
					t.Errorf("%s: %s has an attribute %s", url, n.Data, a.Key)
				}
				if address[a.Key] && (!strings.HasPrefix(a.Val, "/") && a.Val != "#main" || strings.HasPrefix(a.Val, "//")) {
					t.Errorf("%s: %s leads to %q", url, n.Data, a.Val)
				}
			}
		}
		if strings.Contains(page, "http:") || strings.Contains(page, "https:") {
			t.Errorf("%s has an address elsewhere", url)
		}
		ids := map[string]bool{}
		for _, n := range all(d.root, func(n *html.Node) bool { _, ok := attr(n, "id"); return ok }) {
			id, _ := attr(n, "id")
			if ids[id] {
				t.Errorf("%s has two elements %q", url, id)
			}
			ids[id] = true
		}
		for _, name := range []string{evil, script, formula} {
			if strings.Contains(page, name) && name != formula {
				t.Errorf("%s has the name %q as it is", url, name)
			}
		}
	}
}

// TestLinks: each link of a page leads to a page that is there.
func TestLinks(t *testing.T) {
	s := openSites(t)
	seen := map[string]bool{}
	next := []string{"/", "/?" + then, "/machines?q=web"}
	for len(next) > 0 && len(seen) < 400 {
		url := next[0]
		next = next[1:]
		w := s.full.do(http.MethodGet, url)
		if w.Code != http.StatusOK {
			t.Errorf("%s: status %d, %s", url, w.Code, w.Header().Get("Location"))
		}
		if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
			continue
		}
		for _, a := range all(parse(t, w.Body.String()).root, func(n *html.Node) bool { return n.DataAtom == atom.A }) {
			if to, ok := attr(a, "href"); ok && to != "#main" && !seen[to] {
				seen[to] = true
				next = append(next, to)
			}
		}
	}
	if len(seen) < 100 {
		t.Errorf("only %d links", len(seen))
	}
}

// TestCommands: every page names a command that asks the same, and it works.
func TestCommands(t *testing.T) {
	s := openSites(t)
	w := s.full.world
	for _, name := range []string{"-rf", "--help", "*", "[ab]", "a", "b", "we?", "$(id)", "it's", "-*"} {
		w.fold(login("21:10", name, name))
	}
	w.synced(s.full)
	urls := []string{"/find?q=-x"}
	for _, name := range []string{"-rf", "*", "[ab]", "-*", "--help", "we?", "$(id)", "it's", evil, script, long} {
		urls = append(urls, pathOf("/machines", name), pathOf("/users", name)+"?at=2026-11-22T21%3A11%3A00Z")
	}
	for _, c := range goldenPages {
		if c.site == "full" {
			urls = append(urls, c.url)
		}
	}
	ran := map[string]bool{}
	for i, url := range urls {
		line := said(parse(t, s.full.do(http.MethodGet, url).Body.String()).by("id", "command"))
		if !strings.HasPrefix(line, "rollcall ") {
			t.Errorf("%s names the command %q", url, line)
			continue
		}
		if ran[line] || i%4 != 0 && !kit.Full() {
			continue
		}
		ran[line] = true
		out, stderr, code := w.shell(line)
		if code != 0 {
			t.Errorf("%s: %s ends with %d: %s", url, line, code, stderr)
		}
		if strings.Contains(url, "/machines/%255Bab%255D") && strings.Contains(out, "b\t") {
			t.Errorf("%s is about others: %s", line, out)
		}
	}
}
