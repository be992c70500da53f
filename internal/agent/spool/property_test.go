//go:build !windows

package spool

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"pgregory.net/rapid"
)

// world is a spool, and what a plain model knows of it.
type world struct {
	*rapid.T
	outer *testing.T
	root  string
	folds int // folders so far
	disk  *disk
	spool *Spool
	read  *Reader

	origin  string
	records map[uint64]Record // all that were appended, by number
	tried   []Record          // those whose Append failed, or was cut off
	failed  bool              // a sync has failed since the last success
	waiting []uint64          // neither acked nor dropped
	dropped map[uint64]bool   // for want of space
	at      uint64            // the number read last
	acked   uint64            // the highest
	saved   uint64            // … that is certainly on the disk
	next    uint64
}

const propertyMax = 1500

// TestProperty: a spool does what the model does, over any appends, acks, reads, failing
// fsyncs, kills and power cuts, at any moment.
func TestProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		root, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(root)
		w := &world{T: rt, outer: t, root: root, records: make(map[uint64]Record), dropped: make(map[uint64]bool), next: 1}
		w.start(nil)
		defer func() { w.spool.crash() }()
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			w.step()
		}
		w.restart()
	})
}

// step does something.
func (w *world) step() {
	switch rapid.SampledFrom([]string{
		"append", "append", "append", "append", "read", "read", "ack", "ack", "rewind", "restart", "kill", "power cut", "fail", "cut in append", "cut in ack",
	}).Draw(w.T, "step") {
	case "append":
		w.append()
	case "read":
		w.readSome()
	case "ack":
		w.ack()
	case "rewind":
		w.rewind()
	case "restart":
		w.restart()
	case "kill":
		w.spool.crash()
		w.start(files(w.outer, w.disk.dir))
	case "power cut":
		w.spool.crash()
		w.start(w.disk.afterPowerCut())
	case "fail":
		w.disk.failIn = rapid.IntRange(1, 5).Draw(w.T, "fail in")
		w.append()
		w.disk.failIn = 0
	case "cut in append":
		w.cutIn(w.append)
	case "cut in ack":
		w.cutIn(w.ack)
	}
}

// cutIn cuts the power while something happens.
func (w *world) cutIn(happen func()) {
	w.disk.cutIn, w.disk.image = rapid.IntRange(1, 5).Draw(w.T, "cut in"), nil
	next, waiting, acked, saved := w.next, slices.Clone(w.waiting), w.acked, w.saved
	tried, failed := w.tried, w.failed
	happen()
	w.disk.cutIn = 0
	if w.disk.image == nil {
		return // it took fewer syncs
	}
	w.spool.crash()
	// What happened may be on the disk or not.
	for n := next; n < w.next; n++ {
		tried = append(tried, w.records[n])
		delete(w.records, n)
	}
	w.next, w.waiting, w.acked, w.saved = next, waiting, max(acked, w.acked), saved
	w.tried, w.failed = tried, failed
	w.start(w.disk.image)
}

// append appends some records, which may fail.
func (w *world) append() {
	var list []Record
	for i := range rapid.IntRange(1, 4).Draw(w.T, "records") {
		list = append(list, Record{
			Number:  w.next + uint64(i),
			Payload: rapid.SliceOfN(rapid.Byte(), 0, 60).Draw(w.T, "payload"),
			State:   rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(w.T, "state"),
		})
	}
	before, state := w.spool.Stats(), w.spool.State()
	mayFail := w.disk.failIn > 0
	err := w.spool.Append(list...)
	after := w.spool.Stats()
	w.drop(after.Dropped - before.Dropped)
	if after.Bytes > propertyMax {
		w.Fatalf("%d bytes", after.Bytes)
	}
	if err == nil {
		for _, r := range list {
			w.records[r.Number] = r
			w.waiting = append(w.waiting, r.Number)
		}
		w.next += uint64(len(list))
		w.saved, w.failed, w.tried = w.acked, false, nil
		return
	}
	if !mayFail || !errors.Is(err, syscall.EIO) || w.spool.Next() != w.next || !bytes.Equal(w.spool.State(), state) {
		w.Fatalf("append: %v, next %d, want %d", err, w.spool.Next(), w.next)
	}
	w.failed, w.tried = true, append(w.tried, list...)
}

// drop is told that n records were dropped: the oldest.
func (w *world) drop(n uint64) {
	if n > uint64(len(w.waiting)) {
		w.Fatalf("%d dropped of %d", n, len(w.waiting))
	}
	for _, number := range w.waiting[:n] {
		w.dropped[number] = true
		w.acked = number
	}
	w.waiting = w.waiting[n:]
}

// readSome reads some records: the next ones that wait.
func (w *world) readSome() {
	for range rapid.IntRange(1, 9).Draw(w.T, "reads") {
		i, _ := slices.BinarySearch(w.waiting, w.at+1)
		got, ok, err := w.read.TryNext()
		if err != nil || ok != (i < len(w.waiting)) {
			w.Fatalf("read %v, %v after %d; waiting are %d", ok, err, w.at, w.waiting)
		}
		if !ok {
			return
		}
		if got.Number != w.waiting[i] || !equal(got, w.records[got.Number]) {
			w.Fatalf("read %v, want number %d: %v", got, w.waiting[i], w.records[w.waiting[i]])
		}
		w.at = got.Number
	}
}

// ack acks some of what was read.
func (w *world) ack() {
	if w.at == 0 {
		return
	}
	number := w.at - min(w.at, uint64(rapid.IntRange(0, 5).Draw(w.T, "behind")))
	if err := w.spool.Ack(number); err != nil {
		w.Fatal(err)
	}
	w.acked = max(w.acked, number)
	i, _ := slices.BinarySearch(w.waiting, number+1)
	w.waiting = w.waiting[i:]
	w.checkStats()
}

func (w *world) rewind() {
	w.read, w.at = w.spool.Reader(), w.acked
}

// restart ends the process and begins the next.
func (w *world) restart() {
	if err := w.spool.Close(); err != nil {
		w.Fatal(err)
	}
	w.saved, w.failed, w.tried = w.acked, false, nil
	w.start(files(w.outer, w.disk.dir))
}

// start opens a folder with these files, and checks that it has what it must.
func (w *world) start(all map[string][]byte) {
	w.folds++
	dir := filepath.Join(w.root, string(rune('A'+w.folds)))
	links := dir + "-links"
	for _, d := range []string{dir, links} {
		if err := os.Mkdir(d, 0o700); err != nil {
			w.Fatal(err)
		}
	}
	for name, b := range all {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			w.Fatal(err)
		}
	}
	rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(w.T, "seed"), 0))
	w.disk = newDisk(w.outer, rng, dir, links)
	for name := range w.disk.current() { // what survived is on the disk
		w.disk.content[w.disk.inode(name)] = all[name]
	}
	w.disk.names = w.disk.current()
	c := tiny
	c.Max, c.segmentSize, c.sync = propertyMax, 200, w.disk.sync
	s, err := Open(dir, c)
	if err != nil {
		w.Fatal(err)
	}
	w.spool = s
	if w.origin == "" {
		w.origin = s.Origin()
	}
	if s.Origin() != w.origin {
		w.Fatalf("the origin is %s, was %s", s.Origin(), w.origin)
	}
	w.checkStarted()
	w.checkStats()
	w.rewind()
}

// checkStarted checks what a new process finds, and goes on from there.
func (w *world) checkStarted() {
	s := w.spool
	stats := s.Stats()
	if stats.Acked < w.saved || stats.Acked > w.acked {
		w.Fatalf("acked %d, want %d to %d", stats.Acked, w.saved, w.acked)
	}
	w.acked, w.saved = stats.Acked, stats.Acked
	got := make(map[uint64]Record)
	for _, r := range drain(w.outer, s.Reader()) {
		got[r.Number] = r
	}
	w.recover(s.Next(), got)
	w.waiting = nil
	var missing uint64
	for n := stats.Acked + 1; n < w.next; n++ {
		r, ok := got[n]
		switch {
		case ok && equal(r, w.records[n]):
			w.waiting = append(w.waiting, n)
		case ok || !w.dropped[n]:
			w.Fatalf("record %d is %v, %v, want %v", n, ok, r, w.records[n])
		default:
			missing++
		}
	}
	if len(got) != len(w.waiting) || stats.Dropped != missing {
		w.Fatalf("%d records, want %d; dropped %d, want %d", len(got), len(w.waiting), stats.Dropped, missing)
	}
	if want, known := w.records[w.next-1]; known && !bytes.Equal(s.State(), want.State) {
		w.Fatalf("state %v, want %v", s.State(), want.State)
	}
}

// recover is told what the next number is: records whose Append did not return may be
// there. Where an fsync failed, their numbers may be missing.
func (w *world) recover(next uint64, got map[uint64]Record) {
	if next < w.next {
		w.Fatalf("number %d is given again, want %d", next, w.next)
	}
	for n := w.next; n < next; n++ {
		r, ok := got[n]
		tried := slices.ContainsFunc(w.tried, func(t Record) bool { return t.Number == n && (!ok || equal(t, r)) })
		if !tried || !ok && !w.failed {
			w.Fatalf("number %d, which Append did not return for: %v, %v, want one of %v", n, ok, r, w.tried)
		}
		if ok {
			w.records[n] = r
		} else {
			w.dropped[n] = true
		}
	}
	w.next, w.failed, w.tried = next, false, nil
}

func (w *world) checkStats() {
	want := Stats{Waiting: uint64(len(w.waiting)), Acked: w.acked}
	if len(w.waiting) > 0 {
		want.Oldest = w.waiting[0]
	}
	got := w.spool.Stats()
	want.Dropped, want.Bytes = got.Dropped, got.Bytes
	if got != want {
		w.Fatalf("stats %+v, want %+v", got, want)
	}
}
