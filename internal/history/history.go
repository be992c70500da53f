package history

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/roster"
)

// Config is what a History needs.
type Config struct {
	// Dir is the data folder.
	Dir string
	// Roster is the one that is folded.
	Roster *roster.Roster
	// Restore returns the roster of the newest snapshot that is not above a place; nil
	// if there is none.
	Restore func(place uint64) (*roster.Roster, error)
	// Keep is how long stays are kept after they ended; MaxBytes, how large the file
	// may become: 0 is half of what is free at the first start, at most 20 GiB.
	Keep     time.Duration
	MaxBytes int64
	// AcceptLoss is the place up to which losses are accepted.
	AcceptLoss uint64
	// Subject is the base of the subjects.
	Subject string
	// CaughtUp reports whether the fold has caught up with the stream as it was at the
	// start. Until then a history that is behind doesn't compete with it.
	CaughtUp func() bool
	// Read reads the stream again from a position on, and calls fold with each batch,
	// until ctx is done.
	Read func(ctx context.Context, from roster.Position, fold func(Decode)) error
	// Hold is called before a file is opened or created: its error prevents it. nil: it may
	// always be.
	Hold     func() error
	Log      *slog.Logger
	Registry prometheus.Registerer
}

// Decode decodes a batch as with this base of the subjects. It has no fates yet, and
// is valid until the next call.
type Decode func(subject string) *roster.Batch

// History is the history of the fleet, on disk. Its methods may be called from
// several goroutines, but Put only from the one that folds.
type History struct {
	Config
	limits
	path    string
	metrics *metrics

	readers chan *reader

	mu       sync.Mutex
	changed  *sync.Cond // signals a change of what follows
	queue    []*batch
	waiting  int             // events in it
	behind   bool            // what is folded is not queued
	catching bool            // what is before the queue is not written
	fed      uint64          // the last place given to Put
	written  uint64          // the last place written
	position roster.Position // of written
	asked    bool            // somebody waits for the queue to be written
	accepted uint64          // see Accept
	ended    bool
	more     bool // there is more to delete
	spoiled  bool // the file is damaged
	status   Status
	failing  error

	// commits are the last transactions, the newest last.
	commits []commit
	// transactions are the last of the file that is open.
	transactions *transactions

	// interrupt ends what the writer does.
	interrupt chan struct{}
	// Of Run alone: the writer, nil while the file is not open; the file; how many
	// readers there are.
	w          *writer
	file       os.FileInfo
	opened     int
	retained   time.Time // when retain looked last
	reconciled bool      // with the roster, since the start
	fleets     fleets
	counts     counts
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

// limits are how much is done at a time.
type limits struct {
	// queued is how many events may wait to be written. When there are more, the
	// history falls behind.
	queued int
	// writeAt is how many events are written at once. Fewer wait for writeEvery, or
	// for somebody to ask for them. The more are written at once, the less each costs: more
	// of them change the same page.
	writeAt    int
	writeEvery time.Duration
	// catchUpAt is how many events are written at once while the history catches up: the
	// more there are of a machine, the less each costs.
	catchUpAt int
	// nearby is how many places may be left to read again when the hand-over to Put
	// begins.
	nearby uint64
	// writeAtEnd is for how long what is left is written when the service ends.
	writeAtEnd time.Duration
	// tidyWAL is how large a WAL is moved to the database file when the files are closed. A
	// larger one takes too long on a slow disk, and stays for the next start.
	tidyWAL int64
}

var defaultLimits = limits{queued: 200_000, writeAt: 60_000, writeEvery: time.Minute, catchUpAt: 200_000, nearby: 10_000, writeAtEnd: time.Second, tidyWAL: 16 << 20}

// readers is how many questions are answered at a time.
const readers = 4

// Open returns the history in the data folder. If its file cannot be opened or created,
// Run tries again.
func Open(c Config) *History {
	h := &History{Config: c, limits: defaultLimits, path: pathOf(c.Dir), readers: make(chan *reader, readers), interrupt: make(chan struct{}), counts: newCounts()}
	h.changed = sync.NewCond(&h.mu)
	h.metrics = newMetrics(c.Registry, h)
	h.fed = h.Roster.Status().Position.Place
	if err := h.open(); err != nil {
		h.note(err)
		h.Log.Error("history not opened: it is tried again", "err", err)
	}
	return h
}

// Position returns the position up to which the history is written.
func (h *History) Position() roster.Position {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.position
}

// Put gives the history what the fold said of a batch, of which it keeps a copy. It
// never waits.
func (h *History) Put(b *roster.Batch) {
	h.mu.Lock()
	behind := h.behind
	h.mu.Unlock()
	s := splitter{settings: h.Roster.Settings(), fed: h.fed}
	var batches []*batch
	if !behind {
		st := h.Roster.Status()
		batches = s.split(b, &st)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fed = max(h.fed, b.End.Place)
	for _, b := range batches {
		if b.end.Place <= h.written && !b.unread {
			continue // after a crash the stream gives places again
		}
		if h.behind || h.waiting+len(b.events) > h.queued {
			h.behind = true
			break
		}
		h.queue = append(h.queue, b)
		h.waiting += len(b.events)
	}
	h.changed.Broadcast()
}

// Accept accepts losses up to a place, as Config.AcceptLoss does, while the history runs.
func (h *History) Accept(place uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.accepted, h.asked = max(h.accepted, place), true
	h.changed.Broadcast()
}

// acceptable returns the place up to which losses are accepted.
func (h *History) acceptable() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return max(h.AcceptLoss, h.accepted)
}

// Run writes what Put is given until ctx is done, and then for at most writeAtEnd what is
// left: what it has not written by then, it reads again after the next start.
func (h *History) Run(ctx context.Context) {
	defer context.AfterFunc(ctx, func() {
		time.AfterFunc(h.writeAtEnd, func() { close(h.interrupt) })
		h.mu.Lock()
		defer h.mu.Unlock()
		h.ended = true
		h.changed.Broadcast()
	})()
	pause := 100 * time.Millisecond
	for {
		err := h.step(ctx)
		switch {
		case err == nil:
			pause = 100 * time.Millisecond
			continue
		case errors.Is(err, errEnded), ctx.Err() != nil:
			return
		}
		h.note(err)
		h.Log.Error("history not written: it is tried again", "err", err)
		if damaged(err) {
			h.spoil()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, time.Minute)
	}
}

// errEnded says that all is written, and that the context is done.
var errEnded = errors.New("ended")

// step writes what is queued, or catches up.
func (h *History) step(ctx context.Context) error {
	if err := h.ensureOpen(); err != nil {
		return err
	}
	batches, behind, ended := h.take()
	if err := h.w.accept(h.acceptable()); err != nil {
		return err
	}
	if len(batches) > 0 {
		if err := h.write(batches); err != nil {
			return err
		}
	}
	if err := h.retain(); err != nil {
		return err
	}
	switch {
	case ended && len(batches) == 0:
		return errEnded
	case ended:
		return nil
	//guard:false "a history that is behind does not compete with the fold at the start" TestCatchesUpAfterTheFold
	case behind && !h.CaughtUp():
		pause(ctx)
	case behind:
		return h.catchUp(ctx)
	case (!h.reconciled || h.w.differs) && h.Roster.Status().Position.Place >= h.w.state.Position.Place:
		return h.agreeWithRoster()
	}
	return nil
}

// pause waits for a moment, or until ctx is done.
func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(100 * time.Millisecond):
	}
}

// agreeWithRoster makes the history agree with the roster as it is now.
func (h *History) agreeWithRoster() error {
	cut := h.Roster.Cut()
	defer cut.Close()
	h.mu.Lock()
	for h.fed < cut.Status.Position.Place && !h.ended {
		h.changed.Wait()
	}
	n := 0
	for n < len(h.queue) && h.queue[n].end.Place <= cut.Status.Position.Place {
		n++
	}
	batches := slices.Clone(h.queue[:n])
	h.mu.Unlock()
	if err := h.write(batches); err != nil {
		return err
	}
	if h.w.state.Position.Place != cut.Status.Position.Place {
		return nil // the queue was full: it falls behind
	}
	return h.reconcile(cut)
}

// take waits until there is something to do. What it returns stays queued until it
// is written.
func (h *History) take() (batches []*batch, behind, ended bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	late := time.AfterFunc(h.writeEvery, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.asked = true
		h.changed.Broadcast()
	})
	defer late.Stop()
	for !h.ended && !h.behind && !h.more && h.waiting < h.writeAt && (!h.asked || len(h.queue) == 0) && h.accepted <= h.w.state.Accepted {
		if h.asked {
			h.asked = false
			late.Reset(h.writeEvery)
		}
		h.changed.Wait()
	}
	h.asked = false
	return slices.Clone(h.queue), h.behind, h.ended
}

// write writes the first of the queued batches.
func (h *History) write(batches []*batch) error {
	if len(batches) == 0 {
		return nil
	}
	if err := h.w.write(h.unwritten(batches)); err != nil {
		return err
	}
	h.mu.Lock()
	for _, b := range batches {
		h.waiting -= len(b.events)
	}
	h.queue = slices.Clone(h.queue[len(batches):])
	h.mu.Unlock()
	h.note(nil)
	return nil
}

// retainEvery is how often the history looks for what it need not keep.
const retainEvery = time.Minute

// retain deletes some of what need not be kept.
func (h *History) retain() error {
	if !h.more && time.Since(h.retained) < retainEvery {
		return nil
	}
	if h.w.unused.marking() {
		return h.w.unused.markSome()
	}
	more, err := h.w.retain(h.Keep, cmp.Or(h.MaxBytes, h.w.state.Bound))
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.more = more
	h.mu.Unlock()
	h.retained = time.Now()
	h.note(nil)
	return nil
}

// note records the result of a transaction.
func (h *History) note(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failing = err; err != nil {
		h.metrics.errors.Inc()
		h.asked = true // it is tried again after a pause, not with the next regular write
		return
	}
	if h.commits = append(h.commits, commit{h.written, h.w.changed}); len(h.commits) > maxCommits {
		h.commits = slices.Delete(h.commits, 0, maxCommits/2)
	}
	h.transactions.add(h.w.last)
	h.setWritten()
	h.changed.Broadcast()
}

// setWritten publishes how far the history is.
func (h *History) setWritten() {
	st := &h.w.state
	h.position, h.written = st.Position, st.Position.Place
	h.status.Stays, h.status.Kept, h.status.Evicted = st.Stays, st.Kept, int64(h.w.evicted)
}

// unwritten returns what of the batches is not in the history yet: after a crash the
// stream gives places again that it has.
func (h *History) unwritten(batches []*batch) []*batch {
	place := h.w.state.Position.Place
	var list []*batch
	for _, b := range batches {
		if b.end.Place <= place && !b.unread {
			continue
		}
		i := 0
		for i < len(b.events) && b.events[i].Place <= place {
			i++
		}
		c := *b
		c.events = b.events[i:]
		if c.lostTo <= place && !b.unread {
			c.lost = ""
		}
		list = append(list, &c)
	}
	return list
}
