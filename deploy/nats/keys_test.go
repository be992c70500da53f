package nats_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// steps returns the commands of a section of the README.
func steps(t *testing.T, section string) string {
	t.Helper()
	_, text, found := strings.Cut(read(t, "nkeys/README.md"), "\n## "+section+"\n")
	if !found {
		t.Fatalf("nkeys/README.md has no section %s", section)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	var commands strings.Builder
	for line := range strings.Lines(text) {
		if command, ok := strings.CutPrefix(line, "    "); ok {
			commands.WriteString(command)
		}
	}
	return commands.String()
}

// TestKeysAreTheOwners: only their owner can read the keys that the README's commands
// create.
func TestKeysAreTheOwners(t *testing.T) {
	w := newFolder(t)
	if err := os.RemoveAll(w.path("keys")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(w.path("add-machine"), 0o755); err != nil {
		t.Fatal(err)
	}
	w.tool("sh", "-ec", "cd '"+w.dir+"'; umask 022\n"+steps(t, "Keys"))
	for _, pattern := range []string{"keys/*.nk", "keys/*.machine"} {
		seeds, err := filepath.Glob(w.path(pattern))
		if err != nil || len(seeds) < 2 {
			t.Fatal(seeds, err)
		}
		for _, seed := range seeds {
			if info, err := os.Stat(seed); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v %v", seed, info.Mode(), err)
			}
		}
	}
}
