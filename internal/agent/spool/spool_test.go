package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"rollcall/internal/test/kit"
)

// small is a configuration with segments of some records, and without waiting for the
// disk.
func small(t testing.TB) Config {
	return Config{Max: 1 << 20, MachineID: "m1", Log: kit.Logger(t), segmentSize: 300, sync: noSync}
}

func noSync(*os.File) error { return nil }

// logged is small with the log in the output.
func logged(out *kit.Output) Config {
	return Config{Max: 1 << 20, MachineID: "m1", Log: slog.New(slog.NewTextHandler(out, nil)), segmentSize: 300, sync: noSync}
}

func mustOpen(t testing.TB, dir string, c Config) *Spool {
	t.Helper()
	s, err := Open(dir, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// record is the record with this number in tests that don't draw their own.
func record(number uint64) Record {
	return Record{
		Number:  number,
		Payload: bytes.Repeat(fmt.Appendf(nil, "event %d;", number), int(number%5)),
		State:   fmt.Appendf(nil, "state %d", number),
	}
}

func equal(a, b Record) bool {
	return a.Number == b.Number && bytes.Equal(a.Payload, b.Payload) && bytes.Equal(a.State, b.State)
}

// add appends n records, one by one.
func add(t testing.TB, s *Spool, n int) {
	t.Helper()
	for range n {
		if err := s.Append(record(s.Next())); err != nil {
			t.Fatal(err)
		}
	}
}

// drain reads all that a reader has.
func drain(t testing.TB, r *Reader) (list []Record) {
	t.Helper()
	for {
		next, ok, err := r.TryNext()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return list
		}
		list = append(list, next)
	}
}

// numbers drains a reader, and checks that each record is the one of its number.
func numbers(t testing.TB, r *Reader) (list []uint64) {
	t.Helper()
	for _, got := range drain(t, r) {
		if !equal(got, record(got.Number)) {
			t.Fatalf("record %d is %v", got.Number, got)
		}
		list = append(list, got.Number)
	}
	return list
}

// upTo returns the numbers from first to last.
func upTo(first, last uint64) (list []uint64) {
	for n := first; n <= last; n++ {
		list = append(list, n)
	}
	return list
}

func want(t testing.TB, got, want []uint64) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("the numbers are %d, want %d", got, want)
	}
}

func ack(t testing.TB, s *Spool, number uint64) {
	t.Helper()
	if err := s.Ack(number); err != nil {
		t.Fatal(err)
	}
}

// crash leaves the folder as a killed process does.
func (s *Spool) crash() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release()
}

// segments returns the names of the segments in a folder.
func segments(t testing.TB, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestStateIsKept: State and Next are kept when all records are acked, and their segments
// are gone.
func TestStateIsKept(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, small(t))
	if s.Next() != 1 || s.State() != nil {
		t.Fatalf("new: next %d, state %q", s.Next(), s.State())
	}
	origin := s.Origin()
	add(t, s, 50)
	ack(t, s, 50)
	if got := s.Stats(); got.Waiting != 0 || got.Oldest != 0 || got.Acked != 50 || got.Dropped != 0 {
		t.Errorf("all is acked: %+v", got)
	}
	s.Close()
	for _, name := range segments(t, dir) {
		os.Remove(name)
	}
	s = mustOpen(t, dir, small(t))
	if s.Next() != 51 || string(s.State()) != "state 50" || s.Origin() != origin || s.Stats().Dropped != 0 {
		t.Errorf("next %d, state %q, origin %s, want %s, %+v", s.Next(), s.State(), s.Origin(), origin, s.Stats())
	}
}

// TestRefused: what Append and Ack refuse changes nothing.
func TestRefused(t *testing.T) {
	s := mustOpen(t, t.TempDir(), small(t))
	add(t, s, 3)
	big := Record{Number: 4, Payload: make([]byte, maxBatch)}
	for name, list := range map[string][]Record{
		"a number again":  {record(3)},
		"a number beyond": {record(5)},
		"not consecutive": {record(4), record(6)},
		"too big":         {big},
		"too big at once": {{Number: 4, State: make([]byte, maxBatch/2)}, {Number: 5, Payload: make([]byte, maxBatch/2)}},
	} {
		if err := s.Append(list...); err == nil {
			t.Errorf("%s: appended", name)
		}
	}
	if err := s.Ack(4); err == nil {
		t.Error("acked a number that was not given")
	}
	biggest := Record{Number: 4, State: make([]byte, maxBatch-frameSize-headSize)}
	if err := s.Append(biggest); err != nil {
		t.Error(err)
	}
	got := drain(t, s.Reader())
	if len(got) != 4 || !equal(got[3], biggest) || s.Stats().Acked != 0 {
		t.Errorf("%d records, %+v", len(got), s.Stats())
	}
	s.Close()
	if err := s.Append(record(5)); !errors.Is(err, errClosed) {
		t.Errorf("appended to a closed spool: %v", err)
	}
	if _, _, err := s.Reader().TryNext(); !errors.Is(err, errClosed) {
		t.Errorf("read a closed spool: %v", err)
	}
	if err := s.Ack(4); !errors.Is(err, errClosed) {
		t.Errorf("acked in a closed spool: %v", err)
	}
}

// TestOpenRefuses: settings with which the spool could not work.
func TestOpenRefuses(t *testing.T) {
	for name, c := range map[string]Config{
		"limit":      {Max: minSegments*segmentSize - 1, MachineID: "m1", Log: kit.Logger(t)},
		"machine-id": {Log: kit.Logger(t)},
	} {
		if _, err := Open(t.TempDir(), c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLock: another process can't open the folder, and is told which; when the spool is
// closed it can.
func TestLock(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, small(t))
	_, err := Open(dir, small(t)) // flock tells open files apart, not processes
	if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "another process") {
		t.Errorf("opened twice: %v", err)
	}
	s.Close()
	mustOpen(t, dir, small(t))
}

// TestModes: nobody else can read what is in the folder.
func TestModes(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	dir := filepath.Join(t.TempDir(), "a", "b")
	add(t, mustOpen(t, dir, small(t)), 20)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, _ error) error {
		info, err := d.Info()
		if err != nil {
			return err
		}
		if mode := info.Mode(); mode != 0o600 && mode != fs.ModeDir|0o700 {
			t.Errorf("%s has mode %v", path, mode)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestAnotherMachine: in a folder that was copied to another machine everything begins
// anew, under another origin.
func TestAnotherMachine(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, small(t))
	add(t, s, 50)
	ack(t, s, 10)
	s.Close()
	var out kit.Output
	c := logged(&out)
	c.MachineID = "m2"
	copied := mustOpen(t, dir, c)
	if copied.Origin() == s.Origin() || copied.Next() != 1 || copied.State() != nil || copied.Stats() != (Stats{}) {
		t.Errorf("origin %s, was %s, next %d, %+v", copied.Origin(), s.Origin(), copied.Next(), copied.Stats())
	}
	want(t, numbers(t, copied.Reader()), nil)
	if !out.Has("another machine-id") {
		t.Error(out.String())
	}
	add(t, copied, 3)
	copied.Close()
	again := mustOpen(t, dir, c)
	if again.Origin() != copied.Origin() {
		t.Error("the origin changed on the same machine")
	}
	want(t, numbers(t, again.Reader()), upTo(1, 3))
	data, err := os.ReadFile(filepath.Join(dir, originName))
	if err != nil || bytes.Contains(data, []byte("m2")) {
		t.Errorf("origin holds the machine-id: %q, %v", data, err)
	}
}

// TestMax: over Max the oldest segments go. The reader goes on with what is there; the
// numbers are counted and logged, those that were acked are not.
func TestMax(t *testing.T) {
	var out kit.Output
	c := logged(&out)
	c.Max = 4 * c.segmentSize
	dir := t.TempDir()
	s := mustOpen(t, dir, c)
	add(t, s, 10)
	r := s.Reader()
	want(t, take(t, r, 7), upTo(1, 7))
	ack(t, s, 5)
	for range 200 {
		add(t, s, 1)
		if got := s.Stats(); got.Bytes > c.Max || got.Waiting+got.Dropped+5 != s.Next()-1 {
			t.Fatalf("next %d: %+v", s.Next(), got)
		}
	}
	stats := s.Stats()
	if stats.Bytes < c.Max/2 || stats.Oldest != stats.Dropped+6 || stats.Acked != stats.Oldest-1 {
		t.Errorf("%+v", stats)
	}
	want(t, numbers(t, r), upTo(stats.Oldest, 210))
	if !out.Has(`cause="spool is full" first=6 `) {
		t.Error(out.String())
	}
	s.crash()
	s = mustOpen(t, dir, c)
	if got := s.Stats(); got.Dropped != 0 || got.Oldest != stats.Oldest {
		t.Errorf("opened again: %+v, want %+v without those dropped", got, stats)
	}
}

// take reads n records.
func take(t testing.TB, r *Reader, n int) (list []uint64) {
	t.Helper()
	for range n {
		got, ok, err := r.TryNext()
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		list = append(list, got.Number)
	}
	return list
}

// TestAckedGo: segments that are acked are removed, so a spool that is read in time stays
// small.
func TestAckedGo(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, small(t))
	for range 100 {
		add(t, s, 1)
		ack(t, s, s.Next()-1)
	}
	if n := len(segments(t, dir)); n > 2 {
		t.Errorf("%d segments", n)
	}
}

// TestAcksAreSaved: a kill without any Append repeats few records.
func TestAcksAreSaved(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, small(t))
	add(t, s, 200)
	ack(t, s, 150)
	s.crash()
	s = mustOpen(t, dir, small(t))
	if got := s.Stats(); got.Acked != 150 || got.Dropped != 0 {
		t.Errorf("%+v", got)
	}
}

// TestRewind: a new reader begins after the last ack, and the one before is over.
func TestRewind(t *testing.T) {
	s := mustOpen(t, t.TempDir(), small(t))
	add(t, s, 30)
	r := s.Reader()
	take(t, r, 20)
	ack(t, s, 13)
	want(t, numbers(t, s.Reader()), upTo(14, 30))
	if _, _, err := r.TryNext(); err == nil {
		t.Error("a reader goes on after another one began")
	}
}

// TestAppended: a receive from the channel tells of records that were appended before.
func TestAppended(t *testing.T) {
	s := mustOpen(t, t.TempDir(), small(t))
	select {
	case <-s.Appended():
		t.Fatal("nothing was appended")
	default:
	}
	add(t, s, 3)
	<-s.Appended()
	select {
	case <-s.Appended():
		t.Fatal("told twice")
	default:
	}
}
