// Package internal has the rule of who may import whom, as a test.
package internal

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// everybody may import these.
var everybody = []string{"rollcall/internal/roster", "rollcall/internal/steps", "rollcall/internal/throttle", "rollcall/proto/rollcall/v1"}

// allowed are the arrows beside those. Only cmd knows several packages.
var allowed = map[string][]string{
	"rollcall/internal/ingest": {"rollcall/internal/stream", "rollcall/internal/wire"},
	"rollcall/internal/past":   {"rollcall/internal/wire"},
	"rollcall/internal/query":  {"rollcall/internal/past", "rollcall/internal/report"},
}

// TestArrows: the packages under internal know the roster and the wire
// contract, and not each other; the roster knows the standard library alone.
func TestArrows(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "rollcall/internal/...", "rollcall/proto/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		names := strings.Fields(line)
		from, imports := names[0], names[1:]
		for _, to := range imports {
			if !mayImport(from, to) {
				t.Errorf("%s imports %s", from, to)
			}
		}
	}
}

func mayImport(from, to string) bool {
	first, _, _ := strings.Cut(to, "/")
	switch {
	case from == "rollcall/internal/roster":
		return !strings.Contains(first, ".") && first != "rollcall"
	case first != "rollcall":
		return true
	}
	return slices.Contains(everybody, to) && from != to || slices.Contains(allowed[from], to)
}
