package history

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"zombiezen.com/go/sqlite"

	"rollcall/internal/roster"
)

// open opens the history's file, or creates it. A file that is damaged, or that is not a
// history of this version, is renamed, and a new one is created.
func (h *History) open() error {
	//guard:false "nothing is written to a folder that another service has locked" ./cmd/rollcall:TestFolderTaken
	if h.Hold != nil {
		if err := h.Hold(); err != nil {
			return fmt.Errorf("opening the history: %w", err)
		}
	}
	w, err := openOrCreate(h.path)
	if err == nil && h.isSpoiled() {
		w.c.Close()
		err = errCorrupt
	}
	//guard:false "a damaged history is set aside, and another one built" TestDamaged
	if damaged(err) {
		var name string
		if name, err = setAside(h.path); err != nil {
			return fmt.Errorf("renaming the damaged history: %w", err)
		}
		h.Log.Error("damaged history renamed: another one is built", "as", name)
		w, err = openOrCreate(h.path)
	}
	if err != nil {
		return fmt.Errorf("opening the history: %w", err)
	}
	h.w = w
	w.c.SetInterrupt(h.interrupt)
	w.withoutReaders = h.withoutReaders
	if err = h.begin(); err == nil {
		err = h.openReaders()
	}
	if err != nil {
		h.closeFiles()
		return fmt.Errorf("opening the history: %w", err)
	}
	return nil
}

// maxBound is the greatest bound of the file if none is configured.
const maxBound = 20 << 30

// begin compares the history with the roster that goes on with it.
func (h *History) begin() (err error) {
	if h.file, err = os.Stat(h.path); err != nil {
		return err
	}
	if err := h.w.accept(h.AcceptLoss); err != nil {
		return err
	}
	if h.w.state.Bound == 0 {
		free, err := freeSpace(h.Dir)
		if err != nil {
			return err
		}
		h.w.state.Bound = min(free/2, maxBound)
	}
	//guard:drop "a fleet of a lost history is forgotten" TestRemoved
	h.fleets.forget()
	live := h.Roster.Status().Position
	if err := h.w.decide(live.Place, Settings{h.Roster.Settings(), h.Subject}); err != nil {
		return err
	}
	if h.w.isOfOtherStream(live) && h.w.state.Position.Place == live.Place {
		// The fold had begun to read another stream when the process ended.
		if err := h.w.writeLoss(roster.Recreated.String(), live, h.Roster.Settings()); err != nil {
			return err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.setWritten()
	if h.behind = h.written < h.fed; h.behind {
		h.queue, h.waiting = nil, 0 // what is before it is missing
	}
	h.transactions = new(transactions)
	h.commits, h.reconciled, h.spoiled, h.failing = nil, false, false, nil
	return nil
}

func (h *History) openReaders() error {
	shared := newReader(h.path, nil)
	for range readers {
		c, err := openReader(h.path)
		if err != nil {
			return err
		}
		h.readers <- shared.over(c)
		h.opened++
	}
	return nil
}

// withoutReaders waits until no question is being answered, and returns a function that
// lets the next ones begin.
func (h *History) withoutReaders() (resume func()) {
	idle := make([]*reader, h.opened)
	for i := range idle {
		idle[i] = <-h.readers
	}
	return func() {
		for _, r := range idle {
			h.readers <- r
		}
	}
}

func openOrCreate(path string) (*writer, error) {
	c, err := openWriter(path)
	if err != nil {
		return nil, err
	}
	w, err := newWriter(c, path)
	if err != nil {
		c.Close()
		return nil, err
	}
	return w, nil
}

// errGone says that the file was removed or replaced.
var errGone = errors.New("the history's file was removed or replaced")

// ensureOpen opens the file if it is not open, or is not the one that is open.
func (h *History) ensureOpen() error {
	if h.w != nil {
		//guard:false "a history that was removed is built again" TestRemoved
		if now, err := os.Stat(h.path); errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(now, h.file) {
			h.Log.Error("history lost: another one is built", "err", errGone)
			h.closeFiles()
		}
	}
	if h.w != nil && h.isSpoiled() {
		h.closeFiles()
	}
	if h.w == nil {
		return h.open()
	}
	return nil
}

// spoil records that the file is damaged.
func (h *History) spoil() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.spoiled, h.behind = true, true
	h.changed.Broadcast()
}

func (h *History) isSpoiled() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.spoiled
}

// damaged reports whether an error means that the file is no history of this version.
func damaged(err error) bool {
	_, foreign := errors.AsType[*foreignError](err)
	code := sqlite.ErrCode(err).ToPrimary()
	return foreign || errors.Is(err, errCorrupt) || code == sqlite.ResultCorrupt || code == sqlite.ResultNotADB
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

// closeFiles closes everything that is open, once the questions that are being
// answered are.
func (h *History) closeFiles() {
	// The connection that is closed last moves the WAL, if it can write.
	if h.w != nil {
		//guard:false "a large write-ahead log is left for the next start" TestTidyWAL
		if size, err := h.w.sizeOfWAL(); err == nil && size > h.tidyWAL {
			h.closeWriter()
		}
	}
	for ; h.opened > 0; h.opened-- {
		r := <-h.readers
		if r.c == nil {
			continue
		}
		if err := r.c.Close(); err != nil {
			h.Log.Debug("history not closed", "err", err)
		}
	}
	h.closeWriter()
}

func (h *History) closeWriter() {
	if h.w == nil {
		return
	}
	if err := h.w.c.Close(); err != nil {
		h.Log.Debug("history not closed", "err", err)
	}
	h.w = nil
}

// Close closes the file. Nothing else may run then.
func (h *History) Close() { h.closeFiles() }
