package inventory

import (
	"log/slog"
	"os"
	"sync"
	"time"
)

// File is a file with the names of machines, which may be changed or replaced at any time.
type File struct {
	path string
	log  *slog.Logger

	mu    sync.Mutex
	names []string
	read  version // that names are of, or that could not be read
}

// version tells whether a file was replaced or changed.
type version struct {
	modified time.Time
	size     int64
}

// Open reads a file, as Read does.
func Open(path string, log *slog.Logger) (*File, error) {
	f := &File{path: path, log: log}
	f.read = f.version()
	var err error
	f.names, err = Read(path)
	return f, err
}

func (f *File) version() (v version) {
	if info, err := os.Stat(f.path); err == nil {
		v = version{info.ModTime(), info.Size()}
	}
	return v
}

// Names returns the names that the file has now, or, if it cannot be read, those that it had
// before, which is logged once. The caller must not change them.
func (f *File) Names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.version()
	if now == f.read {
		return f.names
	}
	f.read = now
	names, err := Read(f.path)
	if err != nil {
		f.log.Warn("inventory not read: the earlier one counts", "err", err)
		return f.names
	}
	f.names = names
	return names
}
