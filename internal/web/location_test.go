package web

import (
	"cmp"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/test/kit"
	"rollcall/internal/web/access"
	"rollcall/internal/web/fleet"
	"rollcall/internal/wire"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// hostile are names that mean something else somewhere: in a path, a query, HTML, a shell,
// a pattern.
var hostile = []string{
	".", "..", "...", "a/b", "/", "//", "../../etc/passwd", "%2F", "%", "%zz", "100%", "?", "?q=1", "#", "a#b", "a?b&c=d", "&amp;", "&", "=", "+", "a b", " a ", ";",
	`"`, `'`, "`", "$(id)", `\`, `..\..`, "<script>alert(1)</script>", `" onclick="x`, "javascript:alert(1)", "{{.}}", "*", "**", "[ab]", "-x", "--help", "~", "^",
	"sessions.csv", "history.csv", "machines.csv", ".csv", "x/sessions.csv", "live", "static", "user:anna", "-user:anna", "=1+1", "@x", "日本語", "é", "e\u0301", "😀", "ß.example", "a\u00a0b",
	strings.Repeat("x", 255), strings.Repeat("é", 127), strings.Repeat(".", 255), strings.Repeat("/", 255), strings.Repeat("😀", 63),
}

// anyName returns any name that a machine or a user may have.
var anyName = rapid.OneOf(
	rapid.SampledFrom(hostile),
	rapid.StringOfN(rapid.SampledFrom([]rune(`ab1./\%?#&=+ "'<>*[-é日😀:;,@`)), 1, 20, 255),
	rapid.StringN(1, 60, 255),
).Filter(func(name string) bool { return name != "" && wire.NameProblem(name) == "" })

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// anyLocation returns any state of a page.
func anyLocation(t *rapid.T) location {
	var l location
	l.page = rapid.SampledFrom([]string{"/", "/machines", "/users", "/service", "/find"}).Draw(t, "page")
	list := l.page == "/machines" || l.page == "/users"
	switch {
	case list && rapid.Bool().Draw(t, "one"):
		l.name = anyName.Draw(t, "name")
		l.span = rapid.SampledFrom([]time.Duration{0, 2 * day, 7 * day, 30 * day}).Draw(t, "span")
	case list:
		states, sorts := machineStates, machineSorts
		if l.page == "/users" {
			states, sorts = userStates, userSorts
		} else {
			l.group = fleet.GroupOf(anyName.Draw(t, "group"))
		}
		l.state, l.sort = rapid.SampledFrom(states).Draw(t, "state"), rapid.SampledFrom(sorts).Draw(t, "sort")
		if l.sort != "" && rapid.Bool().Draw(t, "reverse") {
			l.sort = "-" + l.sort
		}
		l.from = rapid.IntRange(0, 1<<40).Draw(t, "from")
		l.filter = anyName.Draw(t, "filter")
		if _, err := fleet.ParseFilter(l.filter); err != nil {
			l.filter = ""
		}
	case l.page == "/find":
		l.filter = anyName.Draw(t, "search")
	}
	if l.state != "silent" && rapid.Bool().Draw(t, "past") {
		second := time.Unix(rapid.Int64Range(1, noon.Unix()-1).Draw(t, "second"), 0).UTC()
		l.at = second.Add(time.Duration(rapid.SampledFrom([]int{999_999_999, 999_999_999, 1, 500_000_000, 999_999_998}).Draw(t, "ns")))
	}
	return l
}

// reread reads the URL of a location.
func reread(t interface{ Fatalf(string, ...any) }, text string) location {
	u, err := url.Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	l, err := readLocation(u.EscapedPath(), u.Query(), noon)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return l
}

// TestLocation: a URL is read as the state that it was made of, for any names.
func TestLocation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := anyLocation(t)
		if got := reread(t, l.URL()); got != l {
			t.Fatalf("%s is read as %+v, want %+v", l.URL(), got, l)
		}
		if got := reread(t, l.now().URL()); got.past() || got.name != l.name {
			t.Fatalf("%s is read as %+v", l.now().URL(), got)
		}
		other := l.to("/users", anyName.Draw(t, "other"))
		if got := reread(t, other.URL()); got != other || !got.at.Equal(l.at) {
			t.Fatalf("%s is read as %+v, want %+v", other.URL(), got, other)
		}
	})
}

// TestPaths: the path of any name, and of its tables, leads to that name: nothing on the
// way cleans or redirects it.
func TestPaths(t *testing.T) {
	p := New(Config{Log: kit.Logger(t), Streams: new(access.Streams)})
	handler := p.Handler()
	try := func(t interface{ Errorf(string, ...any) }, name string) {
		for _, page := range []string{"/machines", "/users"} {
			l := location{page: page, name: name}
			for _, part := range []string{"", "/sessions.csv", "/history.csv"} {
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, l.part(part), nil))
				// Without NATS that is as far as a request gets.
				if w.Code != http.StatusBadGateway {
					t.Errorf("%s of %q: status %d, %s", l.part(part), name, w.Code, w.Header().Get("Location"))
				}
			}
		}
	}
	for _, name := range hostile {
		try(t, name)
	}
	rapid.Check(t, func(t *rapid.T) { try(t, anyName.Draw(t, "name")) })
}

// TestForeignPaths: what is no spelling of a name is no page of one.
func TestForeignPaths(t *testing.T) {
	for _, path := range []string{"/machines/%2Fa", "/machines/%252fa", "/machines/..", "/machines/.a", "/machines/%C3%A9", "/machines/é", "/users/%25C3%25A9/x", "/users/a%20b"} {
		l, err := readLocation(path, nil, noon)
		if err == nil || !strings.Contains(err.Error(), "not the spelling of a name") || l.name != "" {
			t.Errorf("%s is read as %+v, %v", path, l, err)
		}
	}
}

// TestSpelling: the path is the spelling of the subject, escaped: a link can be written by
// hand, or by a program that publishes.
func TestSpelling(t *testing.T) {
	for name, want := range map[string]string{
		"web1.example.com": "/machines/web1.example.com", "..": "/machines/%252E%252E", "a b": "/machines/a%2520b", "é": "/machines/%25C3%25A9", "a/b": "/machines/a%252Fb",
		"sessions.csv": "/machines/sessions.csv",
	} {
		if got := (location{page: "/machines", name: name}).URL(); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
	if got, want := (location{page: "/machines", name: "web1"}).URL(), "/machines/"+rollcallv1.EncodeMachine("web1"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestMoments: the field and the URL take what --at takes. A day, a minute and a second
// mean their end, and a moment that is not over is now.
func TestMoments(t *testing.T) {
	now := time.Date(2026, 11, 25, 10, 17, 30, 5e8, time.UTC) // a Wednesday
	for _, c := range []struct{ at, zone, want string }{
		{"2026-11-22T10:17:05Z", "", "2026-11-22T10:17:05Z"},
		{"2026-11-22T10:17:05+01:00", "", "2026-11-22T09:17:05Z"},
		{"2026-11-22t10:17:05z", "Asia/Kolkata", "2026-11-22T10:17:05Z"},
		{"2026-11-22T10:17:05.5Z", "", "2026-11-22T10:17:05.5Z"},
		{"2026-11-22T10:17:05.999999999Z", "", "2026-11-22T10:17:05Z"},
		{"2026-11-22 10:17", "", "2026-11-22T10:17:59Z"},
		{"2026-11-22 10:17", "Europe/Berlin", "2026-11-22T09:17:59Z"},
		{"2026-07-22 10:17", "Europe/Berlin", "2026-07-22T08:17:59Z"},
		{"2026-11-22", "", "2026-11-22T23:59:59Z"},
		{"2026-11-22", "Asia/Kolkata", "2026-11-22T18:29:59Z"},
		{"yesterday", "America/New_York", "2026-11-25T04:59:59Z"},
		{"yesterday 10:17", "", "2026-11-24T10:17:59Z"},
		{"mon 10:17:05", "", "2026-11-23T10:17:05Z"},
		{"10:16", "", "2026-11-25T10:16:59Z"},
		{"23:00", "", "2026-11-24T23:00:59Z"},
		// A span counts from the last whole second.
		{"-1h", "", "2026-11-25T09:17:30Z"},
		{"1h ago", "Asia/Kolkata", "2026-11-25T09:17:30Z"},
		{"-2d", "", "2026-11-23T10:17:30Z"},
		{"-1s", "", "2026-11-25T10:17:29Z"},
		{"10:17:29", "", "2026-11-25T10:17:29Z"},
		// Now.
		{"", "", ""},
		{"now", "", ""},
		{"today", "", ""},
		{"wed", "", ""},
		{"2026-11-25", "", ""},
		{"10:17", "", ""},
		{"10:17:30", "", ""},
		{"2026-11-25T10:17:30Z", "", ""},
		{"-0s", "", ""},
	} {
		got, err := readMoment(c.at, c.zone, now)
		if err != nil {
			t.Errorf("%q in %q: %v", c.at, c.zone, err)
			continue
		}
		text := ""
		if !got.IsZero() {
			text = atText(got)
		}
		if text != c.want {
			t.Errorf("%q in %q is %q, want %q", c.at, c.zone, text, c.want)
		}
		// The URL says the same, and is read as itself.
		again, err := readMoment(text, "", now)
		if err != nil || !got.IsZero() && (atText(again) != text || again.Sub(got).Abs() >= time.Second) {
			t.Errorf("%q is read as %v, %v", text, again, err)
		}
	}
	for _, c := range []struct{ at, zone, want string }{
		{"later", "", "not a moment: use one such as"},
		{"2027-01-01", "", "has not come yet"},
		{"2261-12-31", "", "has not come yet"},
		{"2026-11-31", "", "no such day"},
		{"25:00", "", "no such time of day"},
		{"1969-12-31", "", "not from 1970"},
		{"2262-01-01", "", "not from 1970 to 2261"},
		{"2026-10-25 02:30", "Europe/Berlin", "exists twice in Europe/Berlin"},
		{"2026-03-29 02:30", "Europe/Berlin", "does not exist in Europe/Berlin"},
		{"10:17", "Mars/Olympus", "not a zone"},
		{"10:17", "../../etc/passwd", "not a zone"},
		{"10:17", "Local", "not a zone"},
		{strings.Repeat("x", 1000), "", "…"},
	} {
		at, err := readMoment(c.at, c.zone, now)
		m, ok := err.(mistake)
		if !ok || m.field != "at" || !strings.Contains(err.Error(), c.want) || !at.IsZero() || len(err.Error()) > 400 {
			t.Errorf("%q in %q: %v, %v; want an error with %q", c.at, c.zone, at, err, c.want)
		}
	}
}

// TestMistakes: what cannot be in a URL is refused, and the error says what can.
func TestMistakes(t *testing.T) {
	for _, c := range []struct{ url, field, want string }{
		{"/machines?state=off", "", `state="off": use one of used nobody silent`},
		{"/machines?state=several", "", "use one of used nobody silent"},
		{"/users?state=used", "", "use one of several"},
		{"/machines?sort=machines", "", "use one of name users changed heard, with - in front"},
		{"/users?sort=users", "", "use one of name machines, with - in front"},
		{"/machines?sort=-", "", "use one of"},
		{"/machines?sort=--name", "", "use one of"},
		{"/machines?from=-1", "", "use the number of a row"},
		{"/machines?from=x", "", "use the number of a row"},
		{"/machines?from=99999999999999999999", "", "use the number of a row"},
		{"/machines?q=%22", "q", "without a closing one"},
		{"/users?q=-", "q", "without a text"},
		{"/machines?q=" + strings.Repeat("x", 501), "q", "more than 500 bytes"},
		{"/machines?q=%FF", "q", "not valid UTF-8"},
		{"/machines/web1?span=1h", "", "use 24h, 48h, 7d or 30d"},
		{"/find?q=%FF", "", "no part of a name"},
		{"/find?q=" + strings.Repeat("x", 256), "", "at most 255 bytes"},
		{"/?at=later", "at", "not a moment"},
		{"/machines?state=silent&at=10:17", "", "not kept for the past"},
	} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		_, err = readLocation(u.EscapedPath(), u.Query(), noon)
		m, ok := err.(mistake)
		if !ok || m.field != c.field || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, of the field %q; want %q of %q", c.url, err, m.field, c.want, c.field)
		}
	}
}

// TestParametersOfOthers: what a page does not have does not matter to it: a link can be
// shortened to another page by hand.
func TestParametersOfOthers(t *testing.T) {
	for text, want := range map[string]location{
		"/?q=%22&state=off&sort=x&from=-1&span=1h": {page: "/"},
		"/service?q=-":                      {page: "/service"},
		"/machines?span=7d":                 {page: "/machines"},
		"/machines/web1?q=x&from=3&state=x": {page: "/machines", name: "web1"},
		"/users?group=local":                {page: "/users"},
		`/find?q="&state=x`:                 {page: "/find", filter: `"`},
		"/find?q=-&at=2026-11-20T10:17:00Z": {page: "/find", filter: "-", at: time.Date(2026, 11, 20, 10, 17, 0, 999_999_999, time.UTC)},
		"/machines?utm_source=x&fbclid=y":   {page: "/machines"},
	} {
		if got := reread(t, text); got != want {
			t.Errorf("%s is read as %+v, want %+v", text, got, want)
		}
	}
}

// FuzzLocation: no URL makes reading it panic, and the one URL of what was read is read as
// the same.
func FuzzLocation(f *testing.F) {
	for _, seed := range [][2]string{
		{"/", ""},
		{"/machines", "q=web&state=used&group=x&sort=-users&from=3&at=2026-11-20T10:17:00Z"},
		{"/machines/web1", "span=7d&at=10:17&tz=Europe/Berlin"},
		{"/users/%252E%252E", "at=-1h"},
		{"/users/..", ""},
		{"/find", "q=%22"},
		{"/machines//", "%%%"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, path, query string) {
		q, _ := url.ParseQuery(query)
		l, err := readLocation(path, q, noon)
		if err != nil || l.name == "" && !contains([]string{"/", "/machines", "/users", "/service", "/find"}, l.page) {
			return
		}
		again := reread(t, l.URL())
		if again != l && cmp.Or(again.at.Sub(l.at), 0).Abs() >= time.Second {
			t.Errorf("%s?%s is %+v, and its URL %s is %+v", path, query, l, l.URL(), again)
		}
		if third := reread(t, again.URL()); third != again {
			t.Errorf("%s is %+v, and its URL %s is %+v", l.URL(), again, again.URL(), third)
		}
	})
}
