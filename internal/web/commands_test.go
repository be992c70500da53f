package web_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"rollcall/internal/test/kit"
)

// TestFilteredCommands: a list that is filtered names the command that filters the same, if there
// is one: its machines, or users, are those of the list with somebody on.
func TestFilteredCommands(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	w.fold(
		from("20:50", "web1", "anna", "1", "10.0.0.7"), from("20:51", "web2", "kim", "2", "10.0.0.8"), from("20:52", "db1", "anna", "3", "10.0.0.8"),
		from("20:53", "db1", "-rf", "4", "-x"), from("20:54", "it's a web", "Joanna", "5", "10.0.0.7"),
	)
	s := w.open()
	for i, c := range []struct{ page, filter, want string }{
		{"/machines", "machine:web", "rollcall who -m web"},
		{"/machines", "user:anna", "rollcall who -m --user anna"},
		{"/machines", "remote:10.0.0.8", "rollcall who -m --remote 10.0.0.8"},
		{"/machines", "machine:WEB user:ann", "rollcall who -m WEB --user ann"},
		{"/machines", "remote:0.7 machine:web1", "rollcall who -m web1 --remote 0.7"},
		{"/machines", "user:-rf", "rollcall who -m --user='-rf'"},
		{"/machines", `"machine:it's a"`, `rollcall who -m 'it'\''s a'`},
		{"/users", "user:anna", "rollcall where -m anna"},
		{"/users", "user:-rf", "rollcall where -m -- '-rf'"},
		{"/users", "machine:web", "rollcall who -m web"},
		{"/users", "user:anna machine:db", "rollcall who -m db --user anna"},
		{"/users", "remote:10.0.0.7", "rollcall who -m --remote 10.0.0.7"},
		// No command selects these.
		{"/machines", "web", "rollcall who"},
		{"/machines", "-user:anna", "rollcall who"},
		{"/machines", "user:anna user:kim", "rollcall who"},
		{"/machines", "user:anna remote:10", "rollcall who"},
		{"/users", "machine:db remote:10", "rollcall where '*'"},
		{"/users", "anna", "rollcall where '*'"},
	} {
		for _, at := range []string{"", "2026-11-22T21:00:00Z"} {
			link := c.page + "?q=" + url.QueryEscape(c.filter)
			if at != "" {
				link += "&at=" + url.QueryEscape(at)
			}
			html := s.do(http.MethodGet, link).Body.String()
			verb, name, dashes := strings.Cut(c.want, " -- ")
			want := c.want
			if at != "" {
				want += " --at " + at
			}
			if at != "" && dashes {
				want = verb + " --at " + at + " -- " + name
			}
			line := said(parse(t, html).by("id", "command"))
			if line != want {
				t.Errorf("%s names the command %q, want %q", link, line, want)
				continue
			}
			if !strings.Contains(line, " -m") || (at != "" || i%3 != 0) && !kit.Full() {
				continue
			}
			field := map[string]string{"/machines": "machine", "/users": "user"}[c.page]
			out, stderr, code := w.shell(strings.Replace(line, " -m", " -o tsv --fields "+field+" -m", 1))
			got := slices.Sorted(slices.Values(strings.Split(strings.TrimSuffix(out, "\n"), "\n")))
			shown := slices.Sorted(slices.Values(keysOf(html)))
			if got = slices.Compact(got); code != 0 || !slices.Equal(got, shown) {
				t.Errorf("%s: exit code %d, %s: %q, but the page has %q", line, code, stderr, got, shown)
			}
		}
	}
}
