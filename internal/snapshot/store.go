package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/roster"
)

// keep is how many snapshots are kept. If the newest is damaged, or the stream is
// not the one it was made from, an older one helps.
const keep = 3

// Store keeps snapshots in a folder of its own. Only one process may use the
// folder. Its methods may be called from several goroutines.
type Store struct {
	// Settled, if not nil, is called before a snapshot is committed, with the
	// place of its cut. It returns once everything up to that place that has to
	// be stored elsewhere is stored there, because nobody reads those messages
	// again after the snapshot. If it fails, so does the snapshot. Set it before
	// the first Save.
	Settled func(ctx context.Context, place uint64) error

	// Hold, if not nil, is called before anything is written to the folder, and
	// on every interval: it makes sure that the folder is still there and still
	// ours. If it fails, nothing is written. Set it before the first Save.
	Hold func() error

	folder  folder
	version string
	log     *slog.Logger
	metrics *metrics

	saving  sync.Mutex // one at a time
	last    atomic.Pointer[Info]
	trouble trouble
}

// Open makes the folder if it is missing, with permissions 0700, removes what an
// unfinished Save has left in it, and checks that it can be written to. A disk
// that is full or fails is no error: what the folder holds can still be loaded,
// and a later Save may succeed; until then Failing reports it. version is that of
// the program; it is written into every snapshot.
func Open(dir, version string, log *slog.Logger, reg prometheus.Registerer) (*Store, error) {
	return openOn(system{}, dir, version, log, reg)
}

func openOn(d disk, dir, version string, log *slog.Logger, reg prometheus.Registerer) (*Store, error) {
	s := &Store{folder: folder{dir, d}, version: version, log: log}
	err := s.folder.try()
	if err != nil {
		err = fmt.Errorf("opening folder for snapshots: %w", err)
		//guard:true "a full disk keeps no service from starting" TestBeginsFullWithoutAFolder
		if !passing(err) {
			return nil, err
		}
	}
	s.metrics = newMetrics(reg, s)
	s.judge(err)
	if err != nil {
		s.complain(err)
	}
	return s, nil
}

// Last returns the snapshot that was last saved or loaded, if any.
func (s *Store) Last() (Info, bool) {
	if last := s.last.Load(); last != nil {
		return *last, true
	}
	return Info{}, false
}

// Load returns the roster of the newest snapshot that is whole, which continues
// with the settings now; nil when there is none. A damaged snapshot is set aside:
// it gets the ending .bad and stays. One of a newer format, and one that cannot
// be read from the disk, are left where they are. Each of these is logged, and
// the next older one is tried. Load fails only when the folder cannot be read.
func (s *Store) Load(now roster.Settings) (*roster.Roster, Info, error) {
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
		s.pass(e, err)
	}
	return nil, Info{}, nil
}

func (s *Store) load(e entry, now roster.Settings) (*roster.Roster, Info, error) {
	f, err := s.folder.disk.open(s.folder.path(e.String()))
	if err != nil {
		return nil, Info{}, err
	}
	defer f.Close()
	r, info, err := Read(f, now)
	//guard:false "a renamed file is not the newest" TestLoadPassesMisnamedOnes
	if err == nil && info.Status.Position.Place != e.place {
		return nil, Info{}, fmt.Errorf("it is of place %d", info.Status.Position.Place)
	}
	info.Path = f.Name()
	return r, info, err
}

// pass handles a snapshot that could not be loaded.
func (s *Store) pass(e entry, why error) {
	log := s.log.With("file", s.folder.path(e.String()), "err", why)
	if errors.Is(why, ErrNewer) {
		log.Warn("snapshot left alone: a newer program wrote it")
		return
	}
	s.metrics.errors.Inc()
	//guard:false "what cannot be read is not set aside" TestUnreadableIsLeftWhereItIs
	if _, failed := errors.AsType[*fs.PathError](why); failed { // of the system, not in the file's bytes
		log.Error("snapshot passed over: it cannot be read")
		return
	}
	name, err := s.folder.setAside(e)
	if err != nil {
		log.Error("damaged snapshot passed over: it cannot be set aside", "cause", err)
		return
	}
	log.Error("damaged snapshot set aside", "as", name)
}

// Positions returns the positions of the snapshots that are kept, the newest
// first. If the stream doesn't prove the current position, the caller goes back
// to the newest that it does prove. Only headers are read; snapshots whose
// headers cannot be read are left out.
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
