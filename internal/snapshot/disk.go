package snapshot

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// disk is the part of the file system that a folder uses. Tests wrap the real one,
// system, to make it fail.
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

// opened turns a nil *os.File into a nil handle, not a typed nil.
func opened(f *os.File, err error) (handle, error) {
	if err != nil {
		return nil, err
	}
	return f, nil
}

// transient reports whether an error may go away without a change of configuration:
// the disk is full, or has an I/O error. Others (no permission, not a folder) have to
// be fixed by the operator.
func transient(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EIO)
}
