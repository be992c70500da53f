//go:build unix

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lockFolder makes the data folder and takes its lock, which ends with the
// process: two services would write over each other's snapshots and streams.
func lockFolder(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the data folder: %w; set ROLLCALL_DATA_DIR to a folder that can be written to", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("writing to the data folder: %w; set ROLLCALL_DATA_DIR to a folder that can be written to", err)
	}
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return lock, nil
	}
	lock.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errors.New("another rollcall uses it; stop that, or set ROLLCALL_DATA_DIR to another folder")
	}
	return nil, fmt.Errorf("locking the data folder %s: %w", dir, err)
}
