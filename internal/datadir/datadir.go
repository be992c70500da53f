// Package datadir is for programs that keep files in a folder of their own.
package datadir

import (
	"errors"
	"os"
	"path/filepath"
)

// Replace replaces a file by one with this content, which is on disk when it returns.
// Whoever reads it meanwhile, or after a crash, finds the old content or the new.
func Replace(path string, content []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
