package history

import (
	"maps"
	"slices"
	"time"

	"rollcall/internal/roster"
)

// remake makes the stays of a machine's window again, with more events in it.
func (w *writer) remake(r *rows, events []roster.Event, skew time.Duration) error {
	from := endOfTime
	if len(events) > 0 {
		from = events[0].Date
	}
	for _, e := range w.recentOf(r.machine) {
		from = min(from, e.Date)
	}
	win, err := w.windows.read(r.machine, from)
	if err != nil {
		return err
	}
	n := 0
	for n < len(events) && events[n].Date < win.settled() {
		n++
	}
	if n > 0 {
		if err := w.unplaced(r, events[0].Date, skew); err != nil {
			return err
		}
	}
	events = events[n:]
	r.change(earliest(events))
	win.place(events)
	win.split(w.windows.most)
	if err := r.remake(win); err != nil {
		return err
	}
	return w.windows.write(win, w.state.Position.Place)
}

// remake makes the stays of a window again.
func (r *rows) remake(win *window) error {
	settled := win.settled()
	f, err := r.fold(win)
	if err != nil {
		return err
	}
	if err := r.replaceEnded(settled, f.ended); err != nil {
		return err
	}
	if err := exec(r.c, "delete from strays where machine = ? and date >= ?", r.machine, settled); err != nil {
		return err
	}
	if err := r.insertStrays(f.strays); err != nil {
		return err
	}
	open, err := r.open()
	if err != nil {
		return err
	}
	late, err := r.replaceOpen(open, f.open)
	r.change(late)
	return err
}

// fold folds the events of a window.
func (r *rows) fold(win *window) (*fold, error) {
	doubts, err := r.doubts()
	if err != nil {
		return nil, err
	}
	f := win.chunks[0].base.clone()
	f.begin(doubts, r.offBefore(win.settled()))
	return f, win.fold(f)
}

// move moves recent events to the windows: a share of the machines, once there are
// many events.
func (w *writer) move(settings roster.Settings) error {
	p := w.windows
	if len(p.moving) == 0 {
		if p.bytes+p.names.added-p.named <= maxRecent {
			return nil
		}
		p.begun(w.state.Position.Place)
	}
	// It is done before as many events again are half there.
	n := min(1+p.share*2*len(p.added)/maxRecent, len(p.moving))
	for _, id := range p.moving[:n] {
		if err := w.moveOne(w.rows(id), settings); err != nil {
			return err
		}
	}
	if p.moving = p.moving[n:]; len(p.moving) > 0 {
		return nil
	}
	return exec(w.c, "delete from recent where place <= ?", p.through)
}

// begun begins to move all recent events, which are those up to a place.
func (w *windows) begun(place uint64) {
	w.moving = slices.Sorted(maps.Keys(w.recent))
	w.share, w.through, w.named = len(w.moving), place, w.names.added
}

// moveOne moves a machine's recent events to its window.
func (w *writer) moveOne(r *rows, settings roster.Settings) error {
	events := w.recentOf(r.machine)
	if len(events) == 0 {
		return nil
	}
	win, err := w.windows.last(r.machine)
	if err != nil {
		return err
	}
	if events[0].Date < win.settled() {
		return w.remake(r, nil, settings.MaxSkew)
	}
	//guard:false "a window is divided when many events are moved to it" TestEvictNames
	if win.split(w.windows.most) {
		if _, err := r.fold(win); err != nil {
			return err
		}
	}
	if err := w.windows.write(win, w.state.Position.Place); err != nil {
		return err
	}
	if c := &win.chunks[len(win.chunks)-1]; c.bytes > w.windows.most {
		return w.beginChunk(r, c, settings)
	}
	return nil
}

// beginChunk begins a chunk after the last one of a machine, and deletes those that no
// event can come before any more.
func (w *writer) beginChunk(r *rows, last *chunk, settings roster.Settings) error {
	open, err := r.open()
	if err != nil {
		return err
	}
	base := &fold{open: open, reset: never}
	q, err := prepared(w.c, "select reset from machines where id = ?", r.machine)
	if err != nil {
		return err
	}
	for q.next() {
		base.reset = q.time(0)
	}
	if q.err != nil {
		return q.err
	}
	newest := last.events[len(last.events)-1].Date
	if err := w.windows.writeChunk(&chunk{id: last.id + 1, start: newest + 1, base: base}, w.state.Position.Place); err != nil {
		return err
	}
	return w.windows.prune(r.machine, newest.Add(-settings.AllowedLateness))
}

// recentOf returns a machine's recent events. What is damaged shows when they are read
// with its window.
func (w *writer) recentOf(machine int64) []roster.Event {
	d := decoder{b: w.windows.recent[machine], names: w.names}
	return d.events()
}

// earliest returns the earliest moment that events tell of.
func earliest(events []roster.Event) roster.Time {
	first := endOfTime
	for i := range events {
		first = min(first, events[i].Date)
		for _, s := range events[i].Sessions {
			if s.Since != 0 {
				first = min(first, s.Since)
			}
		}
	}
	return first
}
