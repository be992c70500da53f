//go:build unix

package spool

import (
	"errors"
	"os"
	"syscall"
)

// lockFolder opens a folder and locks it.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	//guard:set LOCK_EX LOCK_SH "no two processes use one spool" TestLock
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errors.New("another process uses it")
	}
	return nil, err
}

// unlockFolder unlocks a folder and closes it. A child that is just being started has a
// copy of the open file, so that closing it would not unlock it at once.
func unlockFolder(f *os.File) {
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
	f.Close()
}
