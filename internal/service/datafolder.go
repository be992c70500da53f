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

// dataFolder is the folder of the snapshots and of the embedded server's store,
// held by the lock on a file in it. Whoever removes or replaces the folder takes
// the lock away without our notice: a second service could start there. So it is
// looked at again and again, and made anew, lock first. Its methods are safe for
// use by several goroutines.
type dataFolder struct {
	dir   string
	log   *slog.Logger
	times prometheus.Counter // that it was lost

	mu     sync.Mutex
	lock   *os.File
	id     string // of the consumer; empty: not asked for yet
	lost   bool
	remade time.Time // when it was last made anew; zero: never
}

// errFolderUsed says that another process holds the lock.
var errFolderUsed = errors.New("another rollcall uses it; stop that, or set ROLLCALL_DATA_DIR to another folder")

// lockName is the name of the file that is locked.
const lockName = "lock"

// openDataFolder makes the folder if it is missing, and takes its lock.
func openDataFolder(dir string, log *slog.Logger) (*dataFolder, error) {
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	return &dataFolder{dir: dir, log: log, lock: lock, times: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "rollcall_data_folder_lost_total",
		Help: "Times that the data folder, or the lock in it, was found removed or replaced; it is then made anew.",
	})}, nil
}

// hold makes sure that the lock that we hold is that of the folder, and else makes
// the folder anew, lock first. Call it before anything is written there. An error
// that matches errFolderUsed says that another process was faster.
func (d *dataFolder) hold() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if isFile(d.lock, filepath.Join(d.dir, lockName)) {
		return nil
	}
	if !d.lost {
		d.lost = true
		d.times.Inc()
		d.log.Error("the data folder, or the lock in it, was removed or replaced: making it anew", "path", d.dir)
	}
	lock, err := lockFolder(d.dir)
	if err != nil {
		return fmt.Errorf("the data folder was removed or replaced: %w", err)
	}
	d.lock.Close()
	d.lock, d.lost, d.remade = lock, false, time.Now()
	if d.id != "" {
		if err := writeConsumerID(d.dir, d.id); err != nil {
			d.log.Warn("the next start may wait a minute for the consumer of this one", "err", err)
		}
	}
	d.log.Warn("the data folder is made anew and locked; a snapshot is written to it", "path", d.dir)
	return nil
}

// isFile reports whether an open file is the one that has this path.
func isFile(open *os.File, path string) bool {
	there, err := os.Stat(path)
	if err != nil {
		return false
	}
	ours, err := open.Stat()
	return err == nil && os.SameFile(ours, there)
}

// state tells, for the health checks, whether the folder is ours.
func (d *dataFolder) state() (holds bool, text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.lost || !isFile(d.lock, filepath.Join(d.dir, lockName)):
		return false, d.dir + " was removed or replaced, and could not be made anew yet"
	case time.Since(d.remade) < toldFor:
		return false, "it was removed or replaced, and made anew at " + d.remade.UTC().Format(time.RFC3339) + ": earlier snapshots are gone"
	}
	return true, "locked"
}

// consumerID returns what the reader's consumer is named after, the same as long
// as the process or the folder lasts.
func (d *dataFolder) consumerID() (id string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.id == "" {
		d.id, err = consumerID(d.dir)
	}
	return d.id, err
}

// close gives the lock back.
func (d *dataFolder) close() { d.lock.Close() }

// errStoreLost says that the embedded server's store is not on the disk any more.
var errStoreLost = errors.New("the store of the embedded NATS server was removed or replaced")

// holdEvery is how often it is looked whether the folder is still ours, beside
// before each snapshot: so long a second service could run beside us.
const holdEvery = time.Second

// watch holds the data folder until ctx is done. It returns an error when another
// process has the folder by then, or when also is not nil and returns one.
func (d *dataFolder) watch(ctx context.Context, also func() error) error {
	tick := time.NewTicker(holdEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		// Any other error shows when a snapshot is saved.
		if err := d.hold(); errors.Is(err, errFolderUsed) {
			//guard:set "return err" continue "nothing is written to another service's folder" ./cmd/rollcall:TestFolderTaken
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

// storeLost returns an error when the embedded server would go on acknowledging
// messages that the disk doesn't keep.
func (s *service) storeLost() error {
	if s.embedded != nil && s.embedded.StoreLost() {
		return errStoreLost
	}
	return nil
}
