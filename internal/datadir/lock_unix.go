//go:build unix

package datadir

import (
	"errors"
	"os"
	"syscall"
)

// Lock opens a folder and locks it, for one process.
func Lock(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	//guard:set LOCK_EX LOCK_SH "no two processes use one folder" TestLock
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

// Unlock unlocks a folder and closes it. A child that is just being started has a copy of
// the open file, so that closing it would not unlock it at once.
func Unlock(f *os.File) {
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
	f.Close()
}
