package spool

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"rollcall/internal/test/kit"
)

// files returns the content of a folder, by name.
func files(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]byte)
	for _, e := range entries {
		if all[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// folder makes a folder with these files.
func folder(t testing.TB, all map[string][]byte) string {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range all {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// with returns the files, one of them changed; nil: removed.
func with(all map[string][]byte, name string, b []byte) map[string][]byte {
	changed := make(map[string][]byte)
	for n, content := range all {
		changed[n] = content
	}
	changed[name] = b
	if b == nil {
		delete(changed, name)
	}
	return changed
}

// tiny has segments of three or four records, and no log.
var tiny = Config{Max: 1 << 20, MachineID: "m1", Log: slog.New(slog.DiscardHandler), segmentSize: 140, sync: noSync}

// spooled returns the files of a killed spool with 9 records, of which 1 is acked.
func spooled(t *testing.T) (all map[string][]byte, origin string) {
	dir := t.TempDir()
	s := mustOpen(t, dir, tiny)
	add(t, s, 8)
	ack(t, s, 1)
	add(t, s, 1)
	s.crash()
	all = files(t, dir)
	if len(all) != 5 {
		t.Fatalf("%d files", len(all))
	}
	return all, s.Origin()
}

// checkDamaged opens a folder in which something is damaged. Whatever it is: only records
// as they were are read, in order; the numbers that are missing are counted; and no number
// is given again under the same origin. Then the spool goes on.
func checkDamaged(t *testing.T, what string, all map[string][]byte, origin string) (read []uint64, s *Spool) {
	t.Helper()
	dir := folder(t, all)
	defer os.RemoveAll(dir)
	s, err := Open(dir, tiny)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	read = numbers(t, s.Reader())
	stats, next := s.Stats(), s.Next()
	if !slices.IsSorted(read) || len(slices.Compact(slices.Clone(read))) != len(read) {
		t.Fatalf("%s: read %d", what, read)
	}
	if stats.Acked+uint64(len(read))+stats.Dropped != next-1 {
		t.Errorf("%s: read %d, next %d, %+v", what, read, next, stats)
	}
	if s.Origin() == origin && next != 10 || len(read) > 0 && next <= read[len(read)-1] {
		t.Errorf("%s: number %d is given again", what, next)
	}
	add(t, s, 3)
	ack(t, s, next)
	s.Close()
	again, err := Open(dir, tiny)
	if err != nil {
		t.Fatalf("%s: opening again: %v", what, err)
	}
	if again.Origin() != s.Origin() || again.Next() != next+3 {
		t.Fatalf("%s: opened again, next is %d, was %d", what, again.Next(), next)
	}
	want(t, numbers(t, again.Reader()), upTo(next+1, next+2))
	again.Close()
	return read, s
}

// TestEachBitFlipped: whichever bit of whichever file is flipped, it is noticed. A short
// run flips some.
func TestEachBitFlipped(t *testing.T) {
	t.Parallel()
	all, origin := spooled(t)
	step := kit.Length(27, 1)
	for name, content := range all {
		for bit := 0; bit < 8*len(content); bit += step {
			b := slices.Clone(content)
			b[bit/8] ^= 1 << (bit % 8)
			what := fmt.Sprintf("%s, bit %d", name, bit)
			read, s := checkDamaged(t, what, with(all, name, b), origin)
			if _, segment := parseSegmentName(name); segment {
				if s.Origin() != origin || s.Stats().Dropped == 0 {
					t.Errorf("%s: not noticed, read %d", what, read)
				}
			} else if whole := upTo(10-uint64(len(read)), 9); s.Origin() == origin || len(read) < 8 || !slices.Equal(read, whole) {
				t.Errorf("%s: origin %s, was %s, read %d", what, s.Origin(), origin, read)
			}
		}
	}
}

// TestEachBitOfRecords: whichever bit of some records is flipped, those before it are
// read, and no other.
func TestEachBitOfRecords(t *testing.T) {
	var b []byte
	var ends []int
	for n := range uint64(9) {
		b = appendRecord(b, record(n+1))
		ends = append(ends, len(b))
	}
	for bit := range 8 * len(b) {
		b[bit/8] ^= 1 << (bit % 8)
		in, n := bytes.NewReader(b), 0
		for err := error(nil); err == nil; n++ {
			var got Record
			if got, err = readRecord(in); err == nil && !equal(got, record(uint64(n+1))) {
				t.Fatalf("bit %d: read %v", bit, got)
			}
		}
		if n--; n != slices.IndexFunc(ends, func(end int) bool { return bit/8 < end }) {
			t.Errorf("bit %d: read %d records", bit, n)
		}
		b[bit/8] ^= 1 << (bit % 8)
	}
}

// TestCutAtEachByte: each file is cut at each byte.
func TestCutAtEachByte(t *testing.T) {
	t.Parallel()
	all, origin := spooled(t)
	for name, content := range all {
		for n := range content {
			what := fmt.Sprintf("%s cut to %d bytes", name, n)
			read, s := checkDamaged(t, what, with(all, name, content[:n]), origin)
			if _, segment := parseSegmentName(name); segment == (s.Origin() != origin) {
				t.Errorf("%s: origin %s, was %s, read %d", what, s.Origin(), origin, read)
			}
		}
	}
}

// TestAnyFileDamaged: any files are lost or are something else, in any combination.
func TestAnyFileDamaged(t *testing.T) {
	t.Parallel()
	all, origin := spooled(t)
	var names []string
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	n := 1
	for range names {
		n *= 3
	}
	for i := range n {
		changed, what := all, ""
		for _, name := range names {
			switch i % 3 {
			case 1:
				changed = with(changed, name, nil)
				what += name + " lost; "
			case 2:
				changed = with(changed, name, []byte("something else that is long enough for a preamble"))
				what += name + " damaged; "
			}
			i /= 3
		}
		checkDamaged(t, what, changed, origin)
	}
}

// TestTornTail: what a crash left of an Append that had not returned is cut, whatever it
// is, and no number is missing.
func TestTornTail(t *testing.T) {
	all, origin := spooled(t)
	names := make([]string, 0, len(all))
	for name := range all {
		if _, ok := parseSegmentName(name); ok {
			names = append(names, name)
		}
	}
	name := slices.Max(names)
	torn := appendRecord(nil, record(10))
	for n := range len(torn) {
		for what, tail := range map[string][]byte{"torn": torn[:n], "zeros": make([]byte, n)} {
			b := append(slices.Clone(all[name]), tail...)
			read, s := checkDamaged(t, fmt.Sprint(what, n), with(all, name, b), origin)
			want(t, read, upTo(2, 9))
			if s.Stats().Dropped != 0 {
				t.Errorf("%s %d: %+v", what, n, s.Stats())
			}
		}
	}
}

// TestDamagedWhileOpen: a record that becomes bad ends its segment, also the one that is
// written to. The reader goes on with the next.
func TestDamagedWhileOpen(t *testing.T) {
	for number := uint64(1); number <= 20; number++ {
		var out kit.Output
		dir := t.TempDir()
		s := mustOpen(t, dir, logged(&out))
		add(t, s, 20)
		var good []uint64
		for _, g := range s.segments {
			for n := g.first; n <= g.last(); n++ {
				if n < number || number < g.first {
					good = append(good, n)
				}
			}
			if g.first <= number && number <= g.last() {
				spoilRecord(t, s.path(segmentName(g.first)), number)
			}
		}
		r := s.Reader()
		want(t, numbers(t, r), good)
		if got := s.Stats(); got.Dropped != uint64(20-len(good)) || got.Waiting != uint64(len(good)) {
			t.Errorf("%d is bad: %+v", number, got)
		}
		if !out.Has(fmt.Sprintf("cause=damage first=%d ", number)) {
			t.Errorf("%d is bad: %s", number, out.String())
		}
		add(t, s, 5)
		want(t, numbers(t, r), upTo(21, 25))
		ack(t, s, 25)
		s.Close()
		if s = mustOpen(t, dir, small(t)); s.Next() != 26 || s.Stats().Dropped != 0 {
			t.Errorf("%d was bad: next %d, %+v", number, s.Next(), s.Stats())
		}
	}
}

// spoilRecord flips a bit of a record in a segment.
func spoilRecord(t *testing.T, path string, number uint64) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := preambleSize
	for le.Uint64(b[at+frameSize:]) != number {
		at += frameSize + int(le.Uint32(b[at:]))
	}
	b[at+frameSize+headSize] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestRemovedWhileOpen: segments that somebody removes are lost, and it goes on.
func TestRemovedWhileOpen(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, small(t))
	add(t, s, 20)
	for _, name := range segments(t, dir) {
		os.Remove(name)
	}
	r := s.Reader()
	want(t, numbers(t, r), nil)
	add(t, s, 5)
	want(t, numbers(t, r), upTo(21, 25))
	if got := s.Stats(); got.Dropped != 20 || got.Oldest != 21 {
		t.Errorf("%+v", got)
	}
}

// TestUnknownVersion: files of a newer program are refused and not touched.
func TestUnknownVersion(t *testing.T) {
	all, _ := spooled(t)
	for name, content := range all {
		b := slices.Clone(content)
		le.PutUint32(b[8:], version+1)
		le.PutUint32(b[12:], crc32.Checksum(b[:12], castagnoli))
		changed := with(all, name, b)
		dir := folder(t, changed)
		if _, err := Open(dir, small(t)); !errors.Is(err, errVersion) {
			t.Errorf("%s: %v", name, err)
		}
		for n, b := range files(t, dir) {
			if !slices.Equal(b, changed[n]) {
				t.Errorf("%s: %s was changed", name, n)
			}
		}
	}
}

// TestWholeTail: a record that was stored by an Append that could not return counts.
func TestWholeTail(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, small(t))
	add(t, s, 5)
	before := files(t, dir)
	add(t, s, 1)
	s.crash()
	after := files(t, dir)
	s = mustOpen(t, folder(t, with(after, markName, before[markName])), small(t))
	if s.Next() != 7 || string(s.State()) != "state 6" || s.Stats().Dropped != 0 {
		t.Errorf("next %d, state %q, %+v", s.Next(), s.State(), s.Stats())
	}
	want(t, numbers(t, s.Reader()), upTo(1, 6))
}

// TestLeftover: what an Append that failed left in a segment is not read, as the next
// segment has these numbers.
func TestLeftover(t *testing.T) {
	first := preamble()
	for n := range uint64(3) {
		first = appendRecord(first, record(n+1))
	}
	first = appendRecord(first, Record{4, []byte("left"), nil})
	s := mustOpen(t, folder(t, map[string][]byte{
		originName:     appendRecord(preamble(), Record{0, []byte("origin"), machineHash("m1")}),
		markName:       appendRecord(preamble(), Record{5, le.AppendUint64(nil, 0), record(5).State}),
		segmentName(1): first,
		segmentName(4): appendRecord(appendRecord(preamble(), record(4)), record(5)),
	}), small(t))
	want(t, numbers(t, s.Reader()), upTo(1, 5))
	if s.Stats().Dropped != 0 || s.Origin() != "origin" {
		t.Errorf("origin %s, %+v", s.Origin(), s.Stats())
	}
}
