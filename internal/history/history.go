package history

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"zombiezen.com/go/sqlite"

	"rollcall/internal/roster"
)

// Config is what a History needs.
type Config struct {
	// Dir is the data folder.
	Dir      string
	Log      *slog.Logger
	Registry prometheus.Registerer
}

// History is the history of the fleet, on disk. Its methods may be called from
// several goroutines, but Put only from the one that folds.
type History struct {
	Config
	path    string
	metrics *metrics

	readers chan *reader

	mu      sync.Mutex
	changed *sync.Cond // signals a change of what follows
	queue   []*batch
	queued  int // events
	full    bool
	fed     uint64 // the last place given to Put
	written uint64 // the last place written
	asked   bool   // somebody waits for the queue to be written
	ended   bool
	failing error

	// commits are the last transactions, the newest last.
	commits []commit

	settings roster.Settings
	w        *writer
	fleets   fleets
}

// commit is a transaction: what it changed is dated at from or later.
type commit struct {
	place uint64 // the place before it
	from  roster.Time
}

// maxCommits is how many transactions are remembered.
const maxCommits = 1000

// unchanged reports whether the history as it was at a place tells the same of a
// moment as it does now.
func (h *History) unchanged(place uint64, at roster.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := len(h.commits) - 1; i >= 0; i-- {
		c := &h.commits[i]
		switch {
		case c.place < place:
			return true
		case c.from <= at:
			return false
		}
	}
	return len(h.commits) == 0 || h.commits[0].place <= place
}

const (
	// maxQueued is how many events may wait to be written. When there are more, the
	// history falls behind.
	maxQueued = 200_000
	// writeEvery is how long events wait to be written, unless somebody asks for
	// them or there are many.
	writeEvery = 5 * time.Second
	writeAt    = 50_000
	// readers is how many questions are answered at a time.
	readers = 4
)

// Open opens the history in the data folder, or creates it. A file that is damaged,
// or no history of this version, is renamed, and another one created.
func Open(c Config) (*History, error) {
	h := &History{Config: c, path: pathOf(c.Dir), readers: make(chan *reader, readers)}
	h.changed = sync.NewCond(&h.mu)
	if err := h.open(); err != nil {
		return nil, fmt.Errorf("opening the history: %w", err)
	}
	h.metrics = newMetrics(c.Registry, h)
	return h, nil
}

func (h *History) open() error {
	w, err := openOrCreate(h.path)
	if damaged(err) {
		var name string
		if name, err = setAside(h.path); err != nil {
			return err
		}
		h.Log.Error("damaged history renamed: another one is built", "as", name)
		w, err = openOrCreate(h.path)
	}
	if err != nil {
		return err
	}
	h.w = w
	h.written = w.state.Position.Place
	for range readers {
		c, err := openReader(h.path)
		if err != nil {
			return err
		}
		h.readers <- &reader{c: c, names: newNames(c)}
	}
	return nil
}

func openOrCreate(path string) (*writer, error) {
	c, err := openWriter(path)
	if err != nil {
		return nil, err
	}
	w, err := newWriter(c)
	if err != nil {
		c.Close()
		return nil, err
	}
	return w, nil
}

// damaged reports whether an error means that the file is no history of this version.
func damaged(err error) bool {
	_, foreign := errors.AsType[*foreignError](err)
	code := sqlite.ErrCode(err).ToPrimary()
	return foreign || code == sqlite.ResultCorrupt || code == sqlite.ResultNotADB
}

// setAside renames a file, with those that belong to it, and returns its new name.
func setAside(path string) (string, error) {
	name := path + ".bad"
	for n := 2; ; n++ {
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			break
		}
		name = fmt.Sprintf("%s.bad-%d", path, n)
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Rename(path+suffix, name+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return name, os.Rename(path, name)
}

// Position returns the position up to which the history is written.
func (h *History) Position() roster.Position { return h.w.state.Position }

// Follow says that Put is given every batch from now on, and that the first one
// begins after a place.
func (h *History) Follow(place uint64, s roster.Settings) {
	h.fed, h.settings = place, s
}

// Put gives the history what the fold said of a batch, of which it keeps a copy. It
// never waits.
func (h *History) Put(b *roster.Batch, st *roster.Status) {
	batches := h.batches(b, st)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range batches {
		if h.full || h.queued+len(b.events) > maxQueued {
			h.full = true
			return
		}
		h.queue = append(h.queue, b)
		h.queued += len(b.events)
	}
	if len(h.queue) == 1 || h.queued >= writeAt {
		h.changed.Broadcast()
	}
}

// batches splits a batch at its losses.
func (h *History) batches(b *roster.Batch, st *roster.Status) []*batch {
	var list []*batch
	add := func(lost string, through uint64) *batch {
		n := &batch{settings: h.settings, lost: lost, lostTo: through}
		list = append(list, n)
		return n
	}
	var now *batch
	for i := range b.Messages {
		m := &b.Messages[i]
		if m.Place <= h.fed {
			continue
		}
		switch {
		case m.Place > h.fed+1:
			now = add(b.Missing.String(), m.Place-1)
		case now == nil:
			now = add("", 0)
		}
		h.fed = m.Place
		if now.first == 0 {
			now.first = m.Receipt
		}
		now.receipt = max(now.receipt, m.Receipt)
		now.end = b.End
		now.end.Place = m.Place
		switch {
		case m.Marker:
		case m.Refusal == nil:
			now.events = append(now.events, Accepted{m.Place, clone(&m.Event)})
		case m.Refusal.Reason == roster.Limit && st.Losses[roster.LossLimit] >= m.Place:
			now = add(roster.LossLimit.String(), m.Place)
			now.end = b.End
			now.end.Place = m.Place
		case m.Refusal.Reason == roster.Limit:
			now.limited = append(now.limited, Accepted{m.Place, clone(&m.Event)})
		}
	}
	switch {
	case b.Unread:
		now = add(roster.Recreated.String(), b.End.Place)
	case b.End.Place > h.fed:
		now = add(b.Missing.String(), b.End.Place)
	}
	if now != nil {
		now.end = b.End
	}
	h.fed = max(h.fed, b.End.Place)
	return list
}

// clone copies the strings of an event, which may point into a buffer.
func clone(e *roster.Event) roster.Event {
	c := *e
	c.Machine = strings.Clone(e.Machine)
	cloneSession(&c.Session)
	if e.Sessions != nil {
		c.Sessions = make([]roster.Session, len(e.Sessions))
		copy(c.Sessions, e.Sessions)
		for i := range c.Sessions {
			cloneSession(&c.Sessions[i])
		}
	}
	return c
}

func cloneSession(s *roster.Session) {
	s.User, s.ID = strings.Clone(s.User), strings.Clone(s.ID)
	s.Terminal, s.Remote, s.Service = strings.Clone(s.Terminal), strings.Clone(s.Remote), strings.Clone(s.Service)
}

// Run writes what Put is given until ctx is done, and then what is left.
func (h *History) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.ended = true
		h.changed.Broadcast()
	})()
	for {
		batches, ended := h.take()
		if len(batches) > 0 {
			h.write(ctx, batches)
		}
		if ended && len(batches) == 0 {
			return nil
		}
	}
}

// take waits until there is something to write, and takes it.
func (h *History) take() (batches []*batch, ended bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	late := time.AfterFunc(writeEvery, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.asked = true
		h.changed.Broadcast()
	})
	defer late.Stop()
	for !h.ended && h.queued < writeAt && (!h.asked || len(h.queue) == 0) {
		if h.asked {
			h.asked = false
			late.Reset(writeEvery)
		}
		h.changed.Wait()
	}
	batches, h.queue, h.queued, h.asked = h.queue, nil, 0, false
	return batches, h.ended
}

// write writes batches. While that fails they wait, and the queue fills.
func (h *History) write(ctx context.Context, batches []*batch) {
	last := batches[len(batches)-1].end.Place
	before := h.w.state.Position.Place
	pause := 100 * time.Millisecond
	for {
		err := h.w.write(h.unwritten(batches))
		h.mu.Lock()
		if h.failing = err; err == nil {
			h.written = max(h.written, last)
			if h.commits = append(h.commits, commit{before, h.w.changed}); len(h.commits) > maxCommits {
				h.commits = slices.Delete(h.commits, 0, maxCommits/2)
			}
			h.changed.Broadcast()
		}
		h.mu.Unlock()
		if err == nil {
			return
		}
		h.metrics.errors.Inc()
		h.Log.Error("history not written: it is tried again", "err", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, time.Minute)
	}
}

// unwritten returns what of the batches is not in the history yet: after a crash the
// stream gives places again that it has.
func (h *History) unwritten(batches []*batch) []*batch {
	place := h.w.state.Position.Place
	var list []*batch
	for _, b := range batches {
		if b.end.Place <= place {
			continue
		}
		i := 0
		for i < len(b.events) && b.events[i].Place <= place {
			i++
		}
		c := *b
		c.events = b.events[i:]
		if c.lostTo <= place {
			c.lost = ""
		}
		list = append(list, &c)
	}
	return list
}

// Close closes the files. Nothing else may run then.
func (h *History) Close() error {
	var errs []error
	for range readers {
		r := <-h.readers
		errs = append(errs, r.c.Close())
	}
	return errors.Join(append(errs, h.w.c.Close())...)
}
