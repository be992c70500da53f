package spool

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// FuzzOpen opens a folder in which acked and two segments have any content, or any with
// correct checksums. Open refuses an unknown version and nothing else; the numbers read
// rise and are below Next; the rest is counted; and the spool goes on.
func FuzzOpen(f *testing.F) {
	second := appendRecord(preamble(), record(4))
	first := appendRecord(appendRecord(preamble(), record(1)), record(2))
	acked := appendRecord(preamble(), Record{5, le.AppendUint64(nil, 1), []byte("state")})
	f.Add(acked, first, second, true)
	f.Add(acked[:30], first[:60], second, true)
	f.Add(appendRecord(preamble(), Record{maxNumber, le.AppendUint64(nil, 9), nil}), first, appendRecord(second, record(5)), true)
	f.Add([]byte{}, appendRecord(first, record(3)), appendRecord(second, record(6)), false)
	f.Add(acked, appendRecord(first, record(9)), bytes.Replace(second, []byte{version}, []byte{version + 1}, 1), false)
	memory := "/dev/shm" // ten times as fast as most disks
	if _, err := os.Stat(memory); err != nil {
		memory = ""
	}
	dir, err := os.MkdirTemp(memory, "spool")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { os.RemoveAll(dir) })
	f.Fuzz(func(t *testing.T, acked, first, second []byte, seal bool) {
		if seal {
			acked, first, second = sealed(acked), sealed(first), sealed(second)
		}
		openFuzzed(t, dir, acked, first, second)
	})
}

func openFuzzed(t *testing.T, dir string, acked, first, second []byte) {
	t.Helper()
	for name := range files(t, dir) {
		os.Remove(filepath.Join(dir, name))
	}
	origin := appendRecord(preamble(), Record{0, []byte("origin"), machineHash(tiny.MachineID)})
	for name, b := range map[string][]byte{originName: origin, markName: acked, segmentName(1): first, segmentName(4): second} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(dir, tiny)
	if err != nil {
		if !newer(acked) && !newer(first) && !newer(second) {
			t.Fatal(err)
		}
		return
	}
	defer s.Close()
	stats, next, at := s.Stats(), s.Next(), s.Stats().Acked
	list := drain(t, s.Reader())
	for _, r := range list {
		if r.Number <= at || r.Number >= next {
			t.Fatalf("read number %d after %d, next is %d", r.Number, at, next)
		}
		at = r.Number
	}
	if stats.Acked+uint64(len(list))+stats.Dropped != next-1 {
		t.Fatalf("read %d records, next %d, %+v", len(list), next, stats)
	}
	if next == maxNumber+1 {
		return
	}
	if err := s.Append(record(next)); err != nil {
		t.Fatal(err)
	}
	if again := drain(t, s.Reader()); len(again) != len(list)+1 || !equal(again[len(list)], record(next)) {
		t.Fatalf("appended: %v, then there are %d records", record(next), len(again))
	}
}

// newer reports whether a file has a valid preamble with another version.
func newer(b []byte) bool {
	return len(b) >= preambleSize && string(b[:8]) == magic && le.Uint32(b[8:]) != version && checksum(b[:4], b[4:12]) == le.Uint32(b[12:])
}

// sealed returns a file with correct checksums, so that the fuzzer gets past them.
func sealed(b []byte) []byte {
	if len(b) < preambleSize {
		return b
	}
	out := append(preamble(), b[preambleSize:]...)
	for rest := out[preambleSize:]; len(rest) >= frameSize; {
		n := int64(le.Uint32(rest))
		if n > int64(len(rest)-frameSize) {
			break
		}
		le.PutUint32(rest[4:], checksum(rest[:4], rest[frameSize:frameSize+n]))
		rest = rest[frameSize+n:]
	}
	return out
}
