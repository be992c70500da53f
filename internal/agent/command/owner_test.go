//go:build unix

package command

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/internal/natsconn"
)

// TestOwner: root does not run the agent in a folder of another user.
func TestOwner(t *testing.T) {
	dir := t.TempDir()
	if err := checkOwner(filepath.Join(dir, "none"), 0); err != nil {
		t.Errorf("a folder that is not there: %v", err)
	}
	if err := checkOwner(dir, os.Getuid()); err != nil {
		t.Errorf("a folder of one's own: %v", err)
	}
	if os.Getuid() == 0 {
		if err := os.Chown(dir, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	if err := checkOwner(dir, 0); !errors.Is(err, natsconn.ErrConfiguration) || !strings.Contains(err.Error(), "systemctl start rollcall-agent") {
		t.Errorf("root in a folder of another: %v", err)
	}
	if err := checkOwner(dir, 65534); err != nil {
		t.Errorf("its owner: %v", err)
	}
}
