package spool

import (
	"errors"
	"os"
)

// lockFolder always fails: Windows has neither flock nor the fsync of folders that the
// spool relies on.
func lockFolder(string) (*os.File, error) {
	return nil, errors.New("not supported on Windows")
}

func unlockFolder(f *os.File) { f.Close() }
