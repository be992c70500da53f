package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// dataFolder is the folder of the snapshots and of the embedded server's store. A lock on
// a file in it keeps other processes out. If somebody removes or replaces the folder, the
// lock goes with it, and a second service could start there. So the folder is checked
// every second and, if it was lost, recreated, lock first. The methods are safe for use by
// several goroutines.
type dataFolder struct {
	dir    string
	log    *slog.Logger
	losses prometheus.Counter // how often it was lost

	mu          sync.Mutex
	lock        *os.File
	id          string // in the consumer's name; empty: not read yet
	lost        bool
	recreatedAt time.Time // when it was last recreated; zero: never
}

// errFolderUsed means that another process holds the lock.
var errFolderUsed = errors.New("another rollcall uses it: stop that one, or set ROLLCALL_DATA_DIR to another folder")

// lockName is the name of the locked file.
const lockName = "lock"

// openDataFolder creates the folder if it is missing, and locks it.
func openDataFolder(dir string, log *slog.Logger) (*dataFolder, error) {
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	return &dataFolder{dir: dir, log: log, lock: lock, losses: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "rollcall_data_folder_lost_total",
		Help: "Times that the data folder, or the lock in it, was found removed or replaced; it is then recreated.",
	})}, nil
}

// hold checks that the lock is still that of the folder, and otherwise recreates the
// folder, lock first. Call it before writing to the folder. An error that matches
// errFolderUsed means that another process has locked the new folder first.
func (d *dataFolder) hold() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if isFile(d.lock, filepath.Join(d.dir, lockName)) {
		return nil
	}
	if !d.lost {
		d.lost = true
		d.losses.Inc()
		d.log.Error("data folder, or the lock in it, was removed or replaced: recreating it", "path", d.dir)
	}
	lock, err := lockFolder(d.dir)
	if err != nil {
		return fmt.Errorf("the data folder was removed or replaced: %w", err)
	}
	d.lock.Close()
	d.lock, d.lost, d.recreatedAt = lock, false, time.Now()
	if d.id != "" {
		if err := writeConsumerID(d.dir, d.id); err != nil {
			d.log.Warn("consumer id not saved, the next start may wait a minute for this consumer to expire", "err", err)
		}
	}
	d.log.Warn("data folder recreated and locked, writing a snapshot to it", "path", d.dir)
	return nil
}

// isFile reports whether an open file is the one at this path.
func isFile(open *os.File, path string) bool {
	named, err := os.Stat(path)
	if err != nil {
		return false
	}
	opened, err := open.Stat()
	return err == nil && os.SameFile(opened, named)
}

// state returns the result of the health check: whether the folder is locked.
func (d *dataFolder) state() (holds bool, text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.lost || !isFile(d.lock, filepath.Join(d.dir, lockName)):
		return false, d.dir + " was removed or replaced, and could not be recreated yet"
	case time.Since(d.recreatedAt) < recentFor:
		return false, "it was removed or replaced, and recreated at " + d.recreatedAt.UTC().Format(time.RFC3339) + ": earlier snapshots are gone"
	}
	return true, "locked"
}

// consumerID returns the id in the name of the reader's consumer. It stays the same as
// long as the process or the folder exists.
func (d *dataFolder) consumerID() (id string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.id == "" {
		d.id, err = consumerID(d.dir)
	}
	return d.id, err
}

// close releases the lock.
func (d *dataFolder) close() { d.lock.Close() }

// errStoreLost means that the embedded server's store was removed from the disk.
var errStoreLost = errors.New("the store of the embedded NATS server was removed or replaced")

// checkEvery is how often the folder is checked, apart from the check before each
// snapshot. It bounds how long a second service could run in a replaced folder.
const checkEvery = time.Second

// watch holds the data folder until ctx is done. It returns an error if another process
// has locked the folder, or if also, which may be nil, returns one.
func (d *dataFolder) watch(ctx context.Context, also func() error) error {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		// Any other error shows up when a snapshot is saved.
		if err := d.hold(); errors.Is(err, errFolderUsed) {
			//guard:set "return err" continue "nothing is written to a folder that another service has locked" ./cmd/rollcall:TestFolderTaken
			return err
		}
		if also == nil {
			continue
		}
		if err := also(); err != nil {
			return err
		}
	}
}

// storeLost returns an error if the store of the embedded server is gone: the server
// would keep acknowledging messages that are not on disk.
func (s *service) storeLost() error {
	if s.embedded != nil && s.embedded.StoreLost() {
		return errStoreLost
	}
	return nil
}
