package spool

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestSyncs: Append fsyncs in this order: the folder, which has the name of a new segment; the
// segment; the new content of acked; and the folder again, in which that takes its name.
func TestSyncs(t *testing.T) {
	dir := t.TempDir()
	var synced []string
	c := small(t)
	c.sync = func(f *os.File) error {
		name, err := filepath.Rel(dir, f.Name())
		synced = append(synced, name)
		return err
	}
	s := mustOpen(t, dir, c)
	for i, want := range []string{
		"origin.tmp . acked.tmp .",
		". 00000000000000000001.log acked.tmp .",
		"00000000000000000001.log acked.tmp .",
	} {
		if i > 0 {
			add(t, s, 1)
		}
		if got := strings.Join(synced, " "); got != want {
			t.Errorf("synced are %s, want %s", got, want)
		}
		synced = nil
	}
}

// TestTornBatch: of a batch that was cut off the second record may be whole. It is not
// found again behind another first one.
func TestTornBatch(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, small(t))
	add(t, s, 2)
	s.crash()
	all := files(t, dir)
	b := slices.Clone(all[segmentName(1)])
	at := len(b)
	b = appendRecord(appendRecord(b, record(3)), Record{4, []byte("torn"), nil})
	b[at+frameSize+headSize] ^= 1
	dir = folder(t, with(all, segmentName(1), b))
	s = mustOpen(t, dir, small(t))
	add(t, s, 1)
	s.crash()
	s = mustOpen(t, dir, small(t))
	want(t, numbers(t, s.Reader()), upTo(1, 3))
	if s.Next() != 4 {
		t.Errorf("next is %d", s.Next())
	}
}

// TestFailedSync: a file whose fsync failed is never synced again, whichever it was. The
// records are stored in another.
func TestFailedSync(t *testing.T) {
	for failing := 1; failing <= 4; failing++ {
		for already := range 2 {
			c, calls := small(t), -1000
			var failed *os.File // open, so that no other file gets its number
			c.sync = func(f *os.File) error {
				if failed != nil && sameFile(t, failed, f) {
					t.Errorf("%s is synced again", f.Name())
				}
				if calls++; calls != failing {
					return nil
				}
				failed, _ = os.Open(f.Name())
				return syscall.EIO
			}
			dir := t.TempDir()
			s := mustOpen(t, dir, c)
			add(t, s, already)
			next := s.Next()
			calls = 0
			err := s.Append(record(next), record(next+1))
			if calls < failing {
				continue
			}
			if info, _ := failed.Stat(); info.IsDir() {
				failed.Close()
				failed = nil
			}
			if !errors.Is(err, syscall.EIO) || s.Next() != next {
				t.Fatalf("sync %d: %v, next %d", failing, err, s.Next())
			}
			add(t, s, 3)
			want(t, numbers(t, s.Reader()), upTo(1, next+2))
			s.crash()
			s = mustOpen(t, dir, small(t))
			want(t, numbers(t, s.Reader()), upTo(1, next+2))
		}
	}
}

func sameFile(t *testing.T, a, b *os.File) bool {
	t.Helper()
	x, err := a.Stat()
	y, err2 := b.Stat()
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	return os.SameFile(x, y)
}

// TestConcurrent: one goroutine appends, another reads and acks, a third asks. All
// records arrive, in order.
func TestConcurrent(t *testing.T) {
	c := small(t)
	c.sync = nil
	s := mustOpen(t, t.TempDir(), c)
	const n = 300
	appended := make(chan error, 1)
	go func() {
		var err error
		for i := uint64(1); i <= n && err == nil; i += 2 {
			err = s.Append(record(i), record(i+1))
		}
		appended <- err
	}()
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		for s.Stats().Acked < n {
			s.Next()
			s.State()
		}
	}()
	r := s.Reader()
	for next := uint64(1); next <= n; {
		<-s.Appended()
		for _, got := range numbers(t, r) {
			if got != next {
				t.Fatalf("read %d, want %d", got, next)
			}
			ack(t, s, got)
			next++
		}
	}
	if err := <-appended; err != nil {
		t.Fatal(err)
	}
	<-asked
}
