package service

import (
	"errors"
	"os"
)

// lockFolder refuses: Windows has neither the lock nor the writing of folders
// that the snapshots rely on.
func lockFolder(string) (*os.File, error) {
	return nil, errors.New("serve is not supported on Windows: run it on Linux or macOS, and give this machine's commands its NATS server in NATS_URL")
}
