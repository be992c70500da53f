package history

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

// TestBackup: a copy made while the history is open and has a WAL tells the same, and
// is private.
func TestBackup(t *testing.T) {
	during(t, func(s *sim) {
		s.fold(9)
		s.attempt()
		copied := filepath.Join(s.dir, "copy.db")
		if err := Backup(s.Context(), s.dir, copied); err != nil {
			s.Fatal(err)
		}
		if err := Backup(s.Context(), s.dir, copied); !os.IsExist(err) {
			s.Fatalf("a second copy over the first: %v", err)
		}
		canceled, cancel := context.WithCancel(s.Context())
		cancel()
		other := filepath.Join(s.dir, "other.db")
		if err := Backup(canceled, s.dir, other); err == nil {
			s.Fatal("a copy that nobody wants any more is made")
		}
		if _, err := os.Stat(other); !os.IsNotExist(err) {
			s.Fatalf("a part of a copy is left: %v", err)
		}
		f, err := os.Stat(copied)
		if err != nil || f.Mode().Perm() != 0o600 {
			s.Fatalf("mode %v, %v", f.Mode(), err)
		}
		if rapid.Bool().Draw(s.T, "restore") {
			s.history.Close()
			for _, suffix := range []string{"", "-wal", "-shm"} {
				os.Remove(filepath.Join(s.dir, FileName+suffix))
			}
			if err := os.Rename(copied, filepath.Join(s.dir, FileName)); err != nil {
				s.Fatal(err)
			}
			s.start()
		} else {
			os.Remove(copied)
		}
	})
	if err := Backup(t.Context(), t.TempDir(), filepath.Join(t.TempDir(), "copy")); !os.IsNotExist(err) {
		t.Errorf("without a history: %v", err)
	}
}
