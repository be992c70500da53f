package handover

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"rollcall/internal/history"
	"rollcall/internal/snapshot"
)

// The folder in the data folder into which a hand-over is received, and its files. It is
// complete once it has completeFile, with the snapshot's place.
const (
	folderName   = "handover"
	snapshotFile = "snapshot"
	historyFile  = "history.db"
	completeFile = "complete"
)

func folder(dir string) string { return filepath.Join(dir, folderName) }

// Install puts what was fetched in place of what the data folder has, which is moved to a
// folder of its own, replaced-PLACE. It reports whether there was anything. Only the service
// that has locked the data folder may call it, before it opens anything there. After a crash
// the next call continues.
func Install(dir string) (place uint64, installed bool, err error) {
	from := folder(dir)
	text, err := os.ReadFile(filepath.Join(from, completeFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, os.RemoveAll(from) // it was not complete
	}
	if err != nil {
		return 0, false, err
	}
	place, err = strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0, false, fmt.Errorf("%s: %w", filepath.Join(from, completeFile), err)
	}
	aside := filepath.Join(dir, "replaced-"+strconv.FormatUint(place, 10))
	snapshots, old := filepath.Join(dir, "snapshots"), filepath.Join(dir, history.FileName)
	err = errors.Join(
		put(filepath.Join(from, snapshotFile), filepath.Join(snapshots, snapshot.Name(place)), aside, snapshots),
		put(filepath.Join(from, historyFile), old, aside, old, old+"-wal", old+"-shm"),
	)
	if err != nil {
		return 0, false, fmt.Errorf("installing the hand-over: %w", err)
	}
	return place, true, os.RemoveAll(from)
}

// put moves the old files or folders aside, and then a new file to its place. If the new
// file is not there, it was moved before a crash.
func put(file, to, aside string, old ...string) error {
	if _, err := os.Stat(file); err != nil {
		return ignoreMissing(err)
	}
	for _, path := range old {
		if err := moveAside(path, aside); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	if err := os.Rename(file, to); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// moveAside moves a file or a folder to another folder, if it is there and not empty.
func moveAside(path, aside string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return ignoreMissing(err)
	}
	if info.IsDir() && os.Remove(path) == nil {
		return nil
	}
	if err := os.MkdirAll(aside, 0o700); err != nil {
		return err
	}
	return os.Rename(path, filepath.Join(aside, filepath.Base(path)))
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// IsEmpty reports whether a data folder has neither snapshots nor a history.
func IsEmpty(dir string) (bool, error) {
	if _, err := os.Stat(filepath.Join(dir, history.FileName)); !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	files, err := os.ReadDir(filepath.Join(dir, "snapshots"))
	return len(files) == 0, ignoreMissing(err)
}
