package snapshot

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// disk is what a folder asks of the system. There is one, system; tests put
// another before it, which fails.
type disk interface {
	makeFolder(path string) error
	list(path string) ([]os.DirEntry, error)
	create(folder, pattern string) (handle, error)
	open(path string) (handle, error)
	rename(from, to string) error
	remove(path string) error
}

// handle is an open file or folder.
type handle interface {
	io.ReadWriteCloser
	Name() string
	Sync() error
}

// system is the real disk.
type system struct{}

func (system) makeFolder(path string) error            { return os.MkdirAll(path, 0o700) }
func (system) list(path string) ([]os.DirEntry, error) { return os.ReadDir(path) }
func (system) create(folder, pattern string) (handle, error) {
	return opened(os.CreateTemp(folder, pattern))
}
func (system) open(path string) (handle, error) { return opened(os.Open(path)) }
func (system) rename(from, to string) error     { return os.Rename(from, to) }
func (system) remove(path string) error         { return os.Remove(path) }

// opened makes of no file no interface either.
func opened(f *os.File, err error) (handle, error) {
	if err != nil {
		return nil, err
	}
	return f, nil
}

// passing reports whether an error of the disk can go away by itself: it is
// full, or it fails. Others (no permission, not a folder) are for somebody to
// put right.
func passing(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EIO)
}
