package inventory

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRead: blank lines, comments, ends of lines of Windows and a byte order mark are no part
// of the names.
func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "machines.txt")
	for text, want := range map[string][]string{
		"":                                nil,
		"web2\nweb1\nweb2":                {"web1", "web2"},
		"\ufeffweb1\r\n\r\nweb 2\r\n":     {"web 2", "web1"},
		"\ufeff# all machines\n#x\nweb1#": {"web1#"},
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := Read(path); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
	for text, says := range map[string]string{
		"web1\na\tb\n":                     `line 2: "a\tb" is no name`,
		"web1\n\ufeffweb2\n":               "line 2: ",
		"# x\n" + strings.Repeat("a", 1e5): "line 2: ",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); err == nil || !strings.Contains(err.Error(), path+", "+says) {
			t.Errorf("%.20q: %v, want an error that says %s", text, err, says)
		}
	}
}
