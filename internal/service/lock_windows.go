package service

import (
	"errors"
	"os"
)

// lockFolder always fails: Windows has neither flock nor the fsync of folders that the
// snapshots rely on.
func lockFolder(string) (*os.File, error) {
	return nil, errors.New("serve is not supported on Windows: run it on Linux or macOS, and set NATS_URL here to its NATS server")
}
