package stream

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"slices"
	"time"

	"rollcall/internal/roster"
	"rollcall/internal/snapshot"
)

// simFile is one snapshot on the simulated disk.
type simFile struct {
	place      uint64
	edition    int
	data       []byte
	durable    bool // the folder was synced after the rename
	unreadable bool // reading it fails
	mark       mark // the state at the cut
}

// simDisk holds the snapshots of the simulated service, the newest first.
type simDisk struct {
	files    []*simFile
	editions int
	changed  time.Time
	readOnly bool
	damaged  bool // files were damaged or lost
}

// save writes a snapshot of a process, step by step, until the process crashes.
func (w *world) save(ctx context.Context, s *service) {
	enc := s.roster.Encode()
	defer enc.Close()
	cut := s.markAt(enc.Status())
	out := &slowFile{w: w, ctx: ctx}
	header := snapshot.Header{Version: "sim", Settings: s.roster.Settings()}
	_, err := snapshot.Write(out, enc, header)
	if err == nil {
		err = out.pause() // fsync
	}
	if err != nil {
		w.lockAndCount("crash while a snapshot is written")
		return
	}
	f := &simFile{place: cut.at.Place, data: out.buf.Bytes(), mark: cut}
	if !w.step(ctx, func() { w.disk.add(f) }) {
		return
	}
	if out.pause() != nil || !w.step(ctx, func() { f.durable = true }) {
		w.lockAndCount("crash before a snapshot's name is durable")
		return
	}
	if out.pause() == nil {
		w.step(ctx, w.disk.prune)
	}
}

// step runs do if the process is still alive.
func (w *world) step(ctx context.Context, do func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ctx.Err() != nil {
		return false
	}
	do()
	return true
}

// slowFile delays each write, and fails once its process has crashed.
type slowFile struct {
	w   *world
	ctx context.Context
	buf bytes.Buffer
}

func (f *slowFile) Write(p []byte) (int, error) {
	if err := f.pause(); err != nil {
		return 0, err
	}
	return f.buf.Write(p)
}

func (f *slowFile) pause() error {
	sleep(f.ctx, time.Duration(f.w.draw("disk")%uint64(50*time.Millisecond)))
	return f.ctx.Err()
}

func (d *simDisk) add(f *simFile) {
	d.editions++
	f.edition = d.editions
	d.files = append(d.files, f)
	slices.SortFunc(d.files, func(a, b *simFile) int {
		return cmp.Or(cmp.Compare(b.place, a.place), cmp.Compare(b.edition, a.edition))
	})
	d.changed = time.Now()
}

func (d *simDisk) prune() {
	d.files = d.files[:min(len(d.files), 3)]
	d.changed = time.Now()
}

// losePower drops some of the names that are not durable yet.
func (d *simDisk) losePower(w *world) {
	d.files = slices.DeleteFunc(d.files, func(f *simFile) bool {
		lost := !f.durable && w.rng.IntN(2) == 0
		if lost {
			d.damaged = true
			w.count("snapshot's name lost in a power failure")
		}
		return lost
	})
}

// damage damages one of the newest two files.
func (d *simDisk) damage(w *world) {
	if len(d.files) == 0 {
		return
	}
	f := d.files[w.rng.IntN(min(2, len(d.files)))]
	d.damaged = true
	f.data = slices.Clone(f.data)
	n := len(f.data)
	switch w.rng.IntN(4) {
	case 0:
		f.data[w.rng.IntN(n)] ^= 1 << w.rng.IntN(8)
		w.count("snapshot with a flipped bit")
	case 1:
		f.data = f.data[:w.rng.IntN(n)]
		w.count("snapshot cut short")
	case 2:
		clear(f.data[n-w.rng.IntN(n):])
		w.count("snapshot with zeros at its end")
	default:
		f.unreadable = true
		w.count("snapshot partly readable")
	}
	w.logf("snapshot of place %d damaged", f.place)
}

// load returns the newest valid snapshot and how many it skipped; it sets those aside.
func (d *simDisk) load(settings roster.Settings) (*roster.Roster, mark, int) {
	skipped := 0
	for i := 0; i < len(d.files); {
		f := d.files[i]
		r, _, err := snapshot.Read(bytes.NewReader(f.data), settings)
		if f.unreadable {
			err = io.ErrUnexpectedEOF
		}
		switch {
		case err == nil:
			return r, f.mark, skipped
		case d.readOnly:
			i++
		default:
			d.files = slices.Delete(d.files, i, i+1)
		}
		skipped++
	}
	return nil, mark{}, skipped
}

// positions returns the positions in the headers of the files.
func (d *simDisk) positions() []roster.Position {
	var positions []roster.Position
	for _, f := range d.files {
		h, err := snapshot.ReadHeader(bytes.NewReader(f.data))
		if err == nil {
			positions = append(positions, h.Status.Position)
		}
	}
	return positions
}
