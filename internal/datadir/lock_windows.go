package datadir

import (
	"errors"
	"os"
)

// Lock always fails: Windows has neither flock nor the fsync of folders that those who lock
// one rely on.
func Lock(string) (*os.File, error) {
	return nil, errors.New("not supported on Windows")
}

// Unlock closes a folder.
func Unlock(f *os.File) { f.Close() }
