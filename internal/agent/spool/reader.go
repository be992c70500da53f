package spool

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Reader reads the records in order. One goroutine may use it while others append and
// ack.
type Reader struct {
	spool   *Spool
	next    uint64   // the number to return next, or the first above it that there is
	segment *segment // that is open; nil: none
	file    *os.File
	in      *bufio.Reader
	at      uint64 // the number of the record at which in is
}

// Reader returns a reader that begins with the first record that is not acked. It ends
// the one before.
func (s *Spool) Reader() *Reader {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reader != nil {
		s.reader.close()
	}
	s.reader = &Reader{spool: s, next: s.mark.acked + 1}
	return s.reader
}

// TryNext returns the next record, or false if there is none yet. It skips numbers that
// are lost.
func (r *Reader) TryNext() (Record, bool, error) {
	s := r.spool
	s.mu.Lock()
	defer s.mu.Unlock()
	record, ok, err := r.tryNext()
	if err != nil {
		return Record{}, false, fmt.Errorf("reading spool %s: %w", s.dir, err)
	}
	return record, ok, nil
}

func (r *Reader) tryNext() (Record, bool, error) {
	s := r.spool
	if s.lock == nil || s.reader != r {
		return Record{}, false, errClosed
	}
	for {
		g := s.holding(r.next)
		if g == nil {
			return Record{}, false, nil
		}
		record, err := r.read(g)
		if err == nil {
			r.next = record.Number + 1
			return record, true, nil
		}
		if !errors.Is(err, errDamaged) {
			return Record{}, false, err
		}
		s.spoil(g, r.at, err)
	}
}

// holding returns the first segment that ends with this number or a later one; nil: there
// is none.
func (s *Spool) holding(number uint64) *segment {
	for _, g := range s.segments {
		if g.count > 0 && g.last() >= number {
			return g
		}
	}
	return nil
}

// read reads the first record of a segment that is not below next.
func (r *Reader) read(g *segment) (Record, error) {
	if r.segment != g {
		if err := r.open(g); err != nil {
			return Record{}, err
		}
	}
	for {
		record, err := readRecord(r.in)
		if err != nil {
			return Record{}, fmt.Errorf("%w: %w", errDamaged, err)
		}
		if record.Number != r.at {
			return Record{}, fmt.Errorf("%w: number %d", errDamaged, record.Number)
		}
		r.at++
		if record.Number >= r.next {
			return record, nil
		}
	}
}

// open opens a segment at its first record.
func (r *Reader) open(g *segment) error {
	r.close()
	r.at = g.first
	f, err := os.Open(r.spool.path(segmentName(g.first)))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	if err != nil {
		return err
	}
	r.segment, r.file, r.in = g, f, bufio.NewReader(f)
	return readPreamble(r.in)
}

// close closes the open segment.
func (r *Reader) close() {
	if r.file != nil {
		r.file.Close()
	}
	r.segment, r.file, r.in = nil, nil, nil
}

// spoil ends a segment before a bad record. Nothing is appended to it any more.
func (s *Spool) spoil(g *segment, number uint64, why error) {
	s.log.Warn("segment of the spool is damaged", "path", s.path(segmentName(g.first)), "number", number, "err", why)
	s.reportLost("damage", max(number, s.mark.acked+1), g.last())
	g.count = number - g.first
}
