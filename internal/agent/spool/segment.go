package spool

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"rollcall/internal/failpoint"
)

// segment is a file with records of consecutive numbers.
type segment struct {
	first, count uint64
	size         int64 // in bytes, up to the last good record
}

// last is the number of the last record, or first-1.
func (g *segment) last() uint64 { return g.first + g.count - 1 }

func segmentName(first uint64) string { return fmt.Sprintf("%020d.log", first) }

// parseSegmentName is the inverse of segmentName.
func parseSegmentName(name string) (first uint64, ok bool) {
	first, err := strconv.ParseUint(strings.TrimSuffix(name, ".log"), 10, 64)
	return first, err == nil && first > 0 && first <= maxNumber && segmentName(first) == name
}

// listSegments returns the first numbers of the segments, in order.
func (s *Spool) listSegments() ([]uint64, error) {
	files, err := os.ReadDir(s.dir) // sorted by name
	if err != nil {
		return nil, err
	}
	var firsts []uint64
	for _, file := range files {
		if first, ok := parseSegmentName(file.Name()); ok {
			firsts = append(firsts, first)
		}
	}
	return firsts, nil
}

// readSegments reads all segments, and returns the state of the last record. It removes
// those without a good record, and cuts the last.
func (s *Spool) readSegments() (state []byte, err error) {
	firsts, err := s.listSegments()
	if err != nil {
		return nil, err
	}
	for i, first := range firsts {
		end := uint64(maxNumber)
		if i+1 < len(firsts) {
			end = firsts[i+1]
		}
		g, last, err := s.readSegment(first, end)
		if err != nil {
			return nil, err
		}
		if g.count > 0 {
			s.segments, state = append(s.segments, g), last
		} else if err := s.remove(segmentName(first)); err != nil {
			return nil, err
		}
	}
	if len(s.segments) == 0 {
		return nil, nil
	}
	return state, s.reopen(s.segments[len(s.segments)-1])
}

// readSegment reads a segment up to the first bad record, or to the number with which the
// next segment begins: what follows is left from an Append that failed.
func (s *Spool) readSegment(first, end uint64) (g *segment, state []byte, err error) {
	f, err := os.Open(s.path(segmentName(first)))
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	g = &segment{first: first, size: preambleSize}
	in := bufio.NewReader(f)
	if err = readPreamble(in); errors.Is(err, errVersion) {
		return nil, nil, fmt.Errorf("%s: %w", segmentName(first), err)
	}
	//guard:drop end "what a failed append left is not read" TestLeftover
	for err == nil && g.last()+1 < end {
		var r Record
		r, err = readRecord(in)
		if err == nil && r.Number != g.last()+1 {
			err = fmt.Errorf("%w: number %d", errDamaged, r.Number)
		}
		if err == nil {
			g.count, g.size, state = g.count+1, g.size+int64(r.size()), r.State
		}
	}
	if errors.Is(err, errDamaged) {
		s.log.Warn("segment of the spool ends with a bad record", "path", f.Name(), "number", g.last()+1, "err", err)
	}
	return g, state, nil
}

// reopen opens the last segment to append to it. The process that wrote it may have been
// killed before the fsync.
func (s *Spool) reopen(g *segment) error {
	f, err := os.OpenFile(s.path(segmentName(g.first)), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	s.file = f
	//guard:drop "new records are not written behind a torn one" TestTornBatch
	if err := f.Truncate(g.size); err != nil {
		return err
	}
	failpoint.At("spool-cut")
	if _, err := f.Seek(g.size, io.SeekStart); err != nil {
		return err
	}
	return s.sync(f)
}

// begin creates the segment of the next record.
func (s *Spool) begin() (*segment, error) {
	s.seal()
	g := &segment{first: s.mark.given + 1, size: preambleSize}
	name := segmentName(g.first)
	if err := s.remove(name); err != nil { // left from an Append that failed
		return nil, err
	}
	f, err := os.OpenFile(s.path(name), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	s.file = f
	if _, err := f.Write(preamble()); err != nil {
		return g, err
	}
	failpoint.At("spool-begun")
	//guard:set s.syncFolder() error(nil) "a power cut makes no number missing" TestSyncs
	return g, s.syncFolder()
}

// seal ends the last segment: the next record begins another one.
func (s *Spool) seal() {
	if s.file != nil {
		s.file.Close()
		s.file = nil
	}
}

// abandon undoes a failed write to a segment, and seals it. It is not written to again:
// after a failed fsync the system may consider the lost pages written.
func (s *Spool) abandon(g *segment) {
	if s.file == nil || g == nil {
		return
	}
	// Should this fail: what is left in a segment is not read beyond the next one.
	_ = s.file.Truncate(g.size)
	//guard:drop "a file whose fsync failed is not synced again" TestFailedSync
	s.seal()
	if g.count == 0 {
		_ = s.remove(segmentName(g.first))
	}
}

// isOpen reports whether records are appended to a segment.
func (s *Spool) isOpen(g *segment) bool {
	return s.file != nil && g == s.segments[len(s.segments)-1]
}
