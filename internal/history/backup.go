package history

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"zombiezen.com/go/sqlite"
)

// Backup copies the history of a data folder to a new file, as it is at one place,
// while the service may go on writing it. The copy has no free pages. The file must
// not exist. If ctx is done first, there is no copy.
func Backup(ctx context.Context, dir, to string) (err error) {
	path := pathOf(dir)
	if _, err := os.Stat(path); err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreMissing(os.Remove(to)))
		}
	}()
	if err := f.Close(); err != nil {
		return err
	}
	c, err := sqlite.OpenConn(path, sqlite.OpenReadOnly)
	if err != nil {
		return fmt.Errorf("opening %s: %w", path, err)
	}
	defer c.Close()
	//guard:drop "nobody waits for a copy of a large history" TestBackup
	c.SetInterrupt(ctx.Done())
	if app, err := pragma(c, "application_id"); err != nil || app != application {
		return errors.Join(fmt.Errorf("%s is no history", path), err)
	}
	// It accepts an empty file.
	return exec(c, "vacuum into ?", to)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Check returns why a file is no history that this version can read; nil: it is one.
func Check(path string) error {
	c, err := sqlite.OpenConn(path, sqlite.OpenReadOnly)
	if err != nil {
		return fmt.Errorf("opening %s: %w", path, err)
	}
	defer c.Close()
	app, err := pragma(c, "application_id")
	if err != nil {
		return err
	}
	found, err := pragma(c, "user_version")
	switch {
	case err != nil:
		return err
	case app != application || found != version:
		return &foreignError{fmt.Sprintf("application_id %d, version %d, want %d", app, found, version)}
	}
	return nil
}
