//go:build unix

package service

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lockFolder creates the data folder if it is missing and locks it until the process ends:
// two services would overwrite each other's snapshots and streams.
func lockFolder(dir string) (*os.File, error) {
	for {
		lock, err := lockOnce(dir)
		if err != nil {
			return nil, err
		}
		// The file may have been removed before it was locked, and another process may
		// have locked the file that replaced it.
		if isFile(lock, filepath.Join(dir, lockName)) {
			return lock, nil
		}
		lock.Close()
	}
}

func lockOnce(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating the data folder: %w: set ROLLCALL_DATA_DIR to a writable folder", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("writing to the data folder: %w: set ROLLCALL_DATA_DIR to a writable folder", err)
	}
	//guard:set LOCK_EX LOCK_SH "no two services write to one folder" ./cmd/rollcall:TestCannotServe/folder_used
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return lock, nil
	}
	lock.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errFolderUsed
	}
	return nil, fmt.Errorf("locking the data folder %s: %w", dir, err)
}
