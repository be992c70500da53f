package snapshot

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// disk is what a folder needs of the system. The product has one, system; tests
// wrap it in one that fails.
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

// passing reports whether an error of the disk may go away by itself: the disk is
// full, or it fails. Others (no permission, not a folder) somebody has to fix.
func passing(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EIO)
}
