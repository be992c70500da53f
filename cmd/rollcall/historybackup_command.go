package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"rollcall/internal/config"
	"rollcall/internal/history"
)

// historyBackup is the command's name. History has arguments of its own, so that the
// parser would not find a command in it.
const historyBackup = "history backup"

type historyBackupCmd struct {
	File string `arg:"" help:"The new file. It must not exist."`
}

// Help is the text of "rollcall history backup --help" before the flags.
func (historyBackupCmd) Help() string {
	return `Copies the file history.db of the data folder, which ROLLCALL_DATA_DIR names, on the machine of the service. The service may be running: the copy is the history as it was at one place. Copying history.db by other means is not safe while the service runs. To restore it, stop the service, replace history.db with the copy, remove history.db-wal and history.db-shm, and start the service: it reads from the stream what the copy lacks.

Examples:

    rollcall history backup history-copy.db`
}

// Run copies the history.
func (c *historyBackupCmd) Run(ctx context.Context, std streams) error {
	cfg, err := config.ReadClient(nil)
	if err != nil {
		return err
	}
	switch err := history.Backup(ctx, cfg.DataDir, c.File); {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("history backup: %s exists: name a new file", c.File)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("history backup: %w: set ROLLCALL_DATA_DIR to the data folder of the service", err)
	case err != nil:
		return fmt.Errorf("history backup: copying to %s: %w", c.File, err)
	}
	f, err := os.Stat(c.File)
	if err != nil {
		return fmt.Errorf("history backup: %w", err)
	}
	_, err = fmt.Fprintf(std.out, "%s: %d bytes\n", c.File, f.Size())
	return err
}
