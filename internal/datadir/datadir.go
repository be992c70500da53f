// Package datadir is for programs that keep files in a folder of their own.
package datadir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"rollcall/internal/failpoint"
)

// unfinished follows a file's name in that of what is to replace it.
const unfinished = ".new-"

// Replace replaces a file by one with this content, which is on disk when it returns.
// Whoever reads it meanwhile, or after a crash, finds the old content or the new.
func Replace(path string, content []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+unfinished+"*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	failpoint.At("replacement-written")
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
	failpoint.At("file-replaced")
	return errors.Join(dir.Sync(), dir.Close())
}

// RemoveUnfinished removes what a crash in [Replace] has left of these files of a folder.
// Nobody may be replacing them meanwhile.
func RemoveUnfinished(dir string, names ...string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, name := range names {
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), name+unfinished) {
				err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
			}
		}
	}
	return err
}
