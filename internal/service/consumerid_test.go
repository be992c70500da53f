package service

import (
	"os"
	"path/filepath"
	"testing"
)

// TestConsumerID: the id stays the same as long as the data folder exists, differs
// between folders, and is readable only by its owner; a malformed one is replaced.
func TestConsumerID(t *testing.T) {
	id := func(dir string) string {
		t.Helper()
		got, err := consumerID(dir)
		if err != nil || !consumerIDs.MatchString(got) {
			t.Fatalf("%q, %v", got, err)
		}
		return got
	}
	dir := t.TempDir()
	file := filepath.Join(dir, consumerIDFile)
	first := id(dir)
	if again := id(dir); again != first {
		t.Errorf("%s, then %s", first, again)
	}
	if other := id(t.TempDir()); other == first {
		t.Errorf("two folders have %s", first)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v (%v)", info, err)
	}
	for _, content := range []string{"", "a.b", "*", "../x", first + "0"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := id(dir); got == first {
			t.Errorf("%q is accepted as %s", content, first)
		}
	}
	if _, err := consumerID(filepath.Join(dir, "none")); err == nil {
		t.Error("no error where there is no folder")
	}
}
