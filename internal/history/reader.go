package history

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"zombiezen.com/go/sqlite"

	"rollcall/internal/roster"
)

// reader is a connection that reads, with what it remembers.
type reader struct {
	path     string
	c        *sqlite.Conn // nil: it was abandoned
	names    *names
	machines *cache[int64, string]
	last     head
}

// head is what every view needs of the file.
type head struct {
	text string // the state as it is stored. It counts transactions: if it is the same, so is all
	state
	classes []class
}

func newReader(path string, c *sqlite.Conn) *reader {
	return &reader{path: path, c: c, names: newNames(c, maxNames), machines: newNamesOf(maxMachineNames)}
}

// over returns a reader of another connection, which shares what both remember.
func (r *reader) over(c *sqlite.Conn) *reader {
	return &reader{path: r.path, c: c, names: r.names.over(c), machines: r.machines}
}

// ErrBusy says that as many questions as may be are being answered.
var ErrBusy = errors.New("busy: as many questions about the past as may be are being answered: ask again later")

// waitForReader is how long a question waits for a connection, and waitForWriter, for
// the events that were folded before it to be written.
const (
	waitForReader = 2 * time.Second
	waitForWriter = 3 * time.Second
)

// View is the history at one place, for as long as the call lasts that it is given to.
type View struct {
	*reader
	head
	// The numbers of the machines and users that were looked for by name; 0: there is none.
	machineIDs, userIDs map[string]int64
}

type class struct {
	number int
	span   roster.Time
}

// View calls show with the history as it is now, with all that was folded before if
// it is written within 3 s: a minute of 1,000 events/s usually is. The errors are ErrBusy, the context's, show's, and
// those of the disk.
func (h *History) View(ctx context.Context, show func(*View) error) error {
	h.await(ctx)
	within, cancel := context.WithTimeout(ctx, waitForReader)
	defer cancel()
	select {
	case r := <-h.readers:
		defer func() { h.readers <- r }()
		return h.view(ctx, r, show)
	case <-within.Done():
		switch err := h.Failing(); {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return err
		}
		return ErrBusy
	}
}

// view calls show with what a reader sees now.
func (h *History) view(ctx context.Context, r *reader, show func(*View) error) error {
	err := r.view(ctx, show)
	if damaged(err) {
		h.spoil()
	}
	return err
}

// Failing returns why the history cannot be written; nil while it can.
func (h *History) Failing() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failing
}

// await waits until what was folded before is written. The fold gives a batch to Put just
// after its place has changed.
func (h *History) await(ctx context.Context) {
	want := h.Roster.Status().Position.Place
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.written >= want {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, waitForWriter)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.changed.Broadcast()
	})()
	//guard:drop "!h.catching" "a question does not wait for a history that catches up" TestAnswersWhileCatchingUp
	for h.written < want && ctx.Err() == nil && !h.behind && !h.catching && !h.ended && h.failing == nil {
		if len(h.queue) > 0 && !h.asked {
			h.asked = true
			h.changed.Broadcast()
		}
		h.changed.Wait()
	}
}

// view calls show with what the reader sees now, unless ctx is done before.
func (r *reader) view(ctx context.Context, show func(*View) error) error {
	if err := r.connect(); err != nil {
		return err
	}
	r.c.SetInterrupt(ctx.Done())
	err := r.transaction(show)
	//guard:false "after a fault another connection is used" TestFault
	if errors.Is(err, errFault) {
		r.abandon()
		return err
	}
	r.c.SetInterrupt(nil)
	//guard:false "a question that takes too long is not a failure of the disk" TestTooLong
	if sqlite.ErrCode(err).ToPrimary() == sqlite.ResultInterrupt && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (r *reader) transaction(show func(*View) error) error {
	if err := exec(r.c, "begin"); err != nil {
		return err
	}
	err := survive(func() error {
		v := &View{reader: r, machineIDs: map[string]int64{}, userIDs: map[string]int64{}}
		if err := v.load(); err != nil {
			return fmt.Errorf("reading the history: %w", err)
		}
		return show(v)
	})
	if errors.Is(err, errFault) {
		return err // the connection is of no more use
	}
	r.c.SetInterrupt(nil)
	if end := exec(r.c, "rollback"); err == nil {
		err = end
	}
	return err
}

// load reads the head, or takes that of the view before, if it is the same.
func (v *View) load() error {
	text := ""
	err := each(v.c, func(q *query) { text = q.ColumnText(0) }, "select value from meta where name = 'state'")
	if err != nil {
		return err
	}
	if text == v.last.text {
		v.head = v.last
		return nil
	}
	v.head = head{text: text}
	if err := json.Unmarshal([]byte(text), &v.state); err != nil {
		return err
	}
	err = each(v.c, func(q *query) { v.classes = append(v.classes, class{q.ColumnInt(0), q.time(1)}) }, "select class, span from classes order by class")
	if err == nil {
		v.last = v.head
	}
	return err
}

// Place is the place up to which the view has all events.
func (v *View) Place() uint64 { return v.Position.Place }

// MachineStay is a stay and its machine.
type MachineStay struct {
	Machine string
	Stay
}

// machineID returns the number of a machine; 0 if no event of it was ever accepted.
func (v *View) machineID(name string) (int64, error) {
	return v.id(v.machineIDs, "select id from machines where name = ?", name)
}

// userID returns the number of a user; 0 if nobody of this name was ever on.
func (v *View) userID(name string) (int64, error) {
	return v.id(v.userIDs, "select id from users where name = ?", name)
}

func (v *View) id(known map[string]int64, statement, name string) (id int64, err error) {
	if id, ok := known[name]; ok {
		return id, nil
	}
	if err = each(v.c, func(q *query) { id = q.ColumnInt64(0) }, statement, name); err == nil {
		known[name] = id
	}
	return id, err
}

// machineName returns the name of a machine.
func (v *View) machineName(id int64) (string, error) {
	return nameOf(v.c, v.reader.machines, "select name from machines where id = ?", id)
}
