package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/roster"
)

// keepCount is how many snapshots are kept. An older one is used if the newest is
// damaged, or if the stream is not the one that it was made from.
const keepCount = 3

// Store keeps snapshots in a folder of its own. Only one process may use the
// folder. Its methods may be called from several goroutines.
type Store struct {
	// AwaitStored, if not nil, is called before a snapshot is committed, with the
	// place of its cut. It returns once every dead letter up to that place is
	// stored, because those messages are not read again after the snapshot. If it
	// fails, so does the snapshot. Set it before the first Save.
	AwaitStored func(ctx context.Context, place uint64) error

	// EnsureFolder, if not nil, is called before anything is written to the folder,
	// and on every interval: it makes sure that the folder still exists and still
	// belongs to this process. If it fails, nothing is written. Set it before the
	// first Save.
	EnsureFolder func() error

	// KeepFor, if not nil, returns a place: the newest snapshot that is not above it is
	// kept beside the newest three, for LoadUpTo.
	KeepFor func() uint64

	folder  folder
	version string
	log     *slog.Logger
	metrics *metrics

	saving  sync.Mutex // held by Save
	last    atomic.Pointer[Info]
	failure failure
}

// Open creates the folder if it is missing, with permissions 0700, removes files
// of unfinished saves from it, and checks that it is writable. A disk that is full
// or has an I/O error is no error: the snapshots in the folder can still be loaded,
// and a later Save may succeed; until then Failing reports it. version is the
// program's; it is written into every snapshot.
func Open(dir, version string, log *slog.Logger, reg prometheus.Registerer) (*Store, error) {
	return openOn(system{}, dir, version, log, reg)
}

func openOn(d disk, dir, version string, log *slog.Logger, reg prometheus.Registerer) (*Store, error) {
	s := &Store{folder: folder{dir, d}, version: version, log: log}
	err := s.folder.probe()
	if err != nil {
		err = fmt.Errorf("opening folder for snapshots: %w", err)
		//guard:true "a full disk does not keep the service from starting" TestOpenOnFullDiskWithoutFolder
		if !transient(err) {
			return nil, err
		}
	}
	s.metrics = newMetrics(reg, s)
	s.recordResult(err)
	if err != nil {
		s.logFailure(err)
	}
	return s, nil
}

// Last returns the snapshot that was saved or loaded last, if any.
func (s *Store) Last() (Info, bool) {
	if last := s.last.Load(); last != nil {
		return *last, true
	}
	return Info{}, false
}

// loadGCPercent is the GC percentage while a snapshot is loaded. The heap only grows
// then; with the default percentage, loading takes a tenth longer.
const loadGCPercent = 400

// loading serialises loads: the GC percentage belongs to the process.
var loading sync.Mutex

// Load returns the roster of the newest valid snapshot, which continues with the
// settings now; nil if there is none. A damaged snapshot is renamed, with the
// ending .bad. One in a newer format, and one that cannot be read because of an I/O
// error, are not touched. Each of these is logged, and the next older one is tried.
// Load fails only if the folder cannot be read.
func (s *Store) Load(now roster.Settings) (*roster.Roster, Info, error) {
	loading.Lock()
	defer loading.Unlock()
	defer debug.SetGCPercent(debug.SetGCPercent(loadGCPercent))
	entries, err := s.folder.list()
	if err != nil {
		return nil, Info{}, fmt.Errorf("loading snapshot: %w", err)
	}
	for _, e := range entries {
		r, info, err := s.load(e, now)
		if err == nil {
			s.last.Store(&info)
			return r, info, nil
		}
		s.skip(e, err)
	}
	return nil, Info{}, nil
}

// LoadUpTo returns the roster of the newest valid snapshot that is not above a place,
// with the settings that it was made with; nil if there is none.
func (s *Store) LoadUpTo(place uint64) (*roster.Roster, error) {
	entries, err := s.folder.list()
	if err != nil {
		return nil, fmt.Errorf("loading snapshot: %w", err)
	}
	for _, e := range entries {
		//guard:false "the history catches up from a snapshot that is not above it" TestKeptFor
		if e.place > place {
			continue
		}
		settings, err := s.settings(e)
		if err == nil {
			var r *roster.Roster
			if r, _, err = s.load(e, settings); err == nil {
				return r, nil
			}
		}
		s.log.Warn("older snapshot skipped", "file", s.folder.path(e.String()), "err", err)
	}
	return nil, nil
}

// settings returns the settings that a snapshot was made with.
func (s *Store) settings(e entry) (roster.Settings, error) {
	f, err := s.folder.disk.open(s.folder.path(e.String()))
	if err != nil {
		return roster.Settings{}, err
	}
	defer f.Close()
	h, err := ReadHeader(f)
	return h.Settings, err
}

func (s *Store) load(e entry, now roster.Settings) (*roster.Roster, Info, error) {
	f, err := s.folder.disk.open(s.folder.path(e.String()))
	if err != nil {
		return nil, Info{}, err
	}
	defer f.Close()
	r, info, err := Read(f, now)
	//guard:false "a misnamed file is not loaded" TestLoadSkipsMisnamed
	if err == nil && info.Status.Position.Place != e.place {
		return nil, Info{}, fmt.Errorf("the name has place %d, the content place %d", e.place, info.Status.Position.Place)
	}
	info.Path = f.Name()
	return r, info, err
}

// skip logs a snapshot that could not be loaded, and renames it if it is damaged.
func (s *Store) skip(e entry, why error) {
	log := s.log.With("file", s.folder.path(e.String()), "err", why)
	if errors.Is(why, ErrNewer) {
		log.Warn("snapshot skipped: a newer version of rollcall wrote it")
		return
	}
	s.metrics.errors.Inc()
	//guard:false "an unreadable file is not renamed" TestUnreadableIsNotRenamed
	if _, failed := errors.AsType[*fs.PathError](why); failed { // an I/O error, not bad content
		log.Error("snapshot skipped: it cannot be read")
		return
	}
	name, err := s.folder.setAside(e)
	if err != nil {
		log.Error("damaged snapshot skipped: it cannot be renamed", "cause", err)
		return
	}
	log.Error("damaged snapshot skipped and renamed", "as", name)
}

// Positions returns the positions of the stored snapshots, the newest first. If the
// stream doesn't prove the current position, the caller returns to the newest that
// it does prove. Only headers are read; snapshots with unreadable headers are
// omitted.
func (s *Store) Positions() ([]roster.Position, error) {
	entries, err := s.folder.list()
	if err != nil {
		return nil, fmt.Errorf("listing snapshots: %w", err)
	}
	var positions []roster.Position
	for _, e := range entries {
		f, err := s.folder.disk.open(s.folder.path(e.String()))
		if err != nil {
			continue
		}
		h, err := ReadHeader(f)
		f.Close()
		if err == nil {
			positions = append(positions, h.Status.Position)
		}
	}
	return positions, nil
}
