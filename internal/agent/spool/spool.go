package spool

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"rollcall/internal/datadir"
	"rollcall/internal/failpoint"
)

// segmentSize is the size from which on a segment is not appended to. maxBatch is how
// many bytes one Append takes, so a segment has less than segmentSize+maxBatch.
const (
	segmentSize = 1 << 20
	maxBatch    = 1 << 20
	defaultMax  = 64 << 20
	minSegments = 4 // that fit into Config.Max
)

// Config is what a Spool needs to know.
type Config struct {
	// Max is how many bytes of records are kept; 0 is 64 MiB. At least 4 MiB.
	Max int64
	// MachineID is that of the machine, of which the folder keeps a hash.
	MachineID string
	Log       *slog.Logger

	segmentSize int64                // of tests; 0: segmentSize
	sync        func(*os.File) error // of tests; nil: File.Sync
}

// Stats is the state of a Spool.
type Stats struct {
	Waiting uint64 // records that are neither acked nor lost
	Oldest  uint64 // the number of the first of them; 0: none
	Acked   uint64 // up to this number all are acked or dropped
	Dropped uint64 // numbers lost since Open, for want of space or by damage
	Bytes   int64  // of all segments
}

// Spool is a queue of records in a folder. Its methods are safe for concurrent use.
type Spool struct {
	dir         string
	log         *slog.Logger
	max         int64
	segmentSize int64
	sync        func(*os.File) error
	origin      string
	base        uint64 // the last number that is not the origin's
	appended    chan struct{}

	mu       sync.Mutex
	lock     *os.File   // the folder; nil: closed
	mark     mark       // on the disk acked may be lower
	segments []*segment // in order
	file     *os.File   // of the last segment; nil: the next record begins one
	reader   *Reader    // the newest
	dropped  uint64
}

var errClosed = errors.New("spool is closed")

// Open opens the spool in a folder, which it creates if it is missing.
func Open(dir string, c Config) (*Spool, error) {
	s := &Spool{
		dir: dir, log: c.Log,
		max:         cmp.Or(c.Max, defaultMax),
		segmentSize: cmp.Or(c.segmentSize, segmentSize),
		sync:        c.sync,
		appended:    make(chan struct{}, 1),
	}
	if s.sync == nil {
		s.sync = (*os.File).Sync
	}
	if err := s.open(c.MachineID); err != nil {
		s.release()
		return nil, fmt.Errorf("opening spool %s: %w", dir, err)
	}
	return s, nil
}

func (s *Spool) open(machineID string) error {
	if s.max < minSegments*s.segmentSize {
		return fmt.Errorf("the limit of %d bytes is too low, at least %d are needed", s.max, minSegments*s.segmentSize)
	}
	// With no machine-id for once, everything would be removed as another machine's.
	if machineID == "" {
		return errors.New("the machine has no machine-id")
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	lock, err := datadir.Lock(s.dir)
	if err != nil {
		return err
	}
	s.lock = lock
	return s.load(machineHash(machineID))
}

// load reads the folder, and decides what the next number is.
func (s *Spool) load(machine []byte) error {
	named, err := s.readOrigin(machine)
	if err != nil {
		return err
	}
	marked, err := s.readMark()
	if err != nil {
		return err
	}
	saved := s.mark.given
	state, err := s.readSegments()
	if err != nil {
		return err
	}
	if !marked && len(s.segments) > 0 {
		s.mark.acked = s.segments[0].first - 1
	}
	//guard:false "a record that a crash left whole counts" TestWholeTail
	if last := s.lastRecord(); last > 0 && last >= s.mark.given {
		s.mark.given, s.mark.state = last, state
	}
	s.reportMissing()
	known := named && marked && s.base <= s.mark.given
	//guard:false "without acked no number is given again" TestAnyFileDamaged
	if !known {
		if err := s.renewOrigin(machine); err != nil {
			return err
		}
	}
	if known && saved == s.mark.given {
		return nil
	}
	return s.writeMark(s.mark)
}

// lastRecord returns the number of the last record; 0: there is none.
func (s *Spool) lastRecord() uint64 {
	if len(s.segments) == 0 {
		return 0
	}
	return s.segments[len(s.segments)-1].last()
}

// reportMissing reports the numbers from acked to given that no segment has.
func (s *Spool) reportMissing() {
	next := s.mark.acked + 1
	for _, g := range s.segments {
		s.reportLost("damage", next, g.first-1)
		next = max(next, g.last()+1)
	}
	s.reportLost("damage", next, s.mark.given)
}

// reportLost counts and logs that the numbers from first to last are lost, if any.
func (s *Spool) reportLost(cause string, first, last uint64) {
	if first > last {
		return
	}
	s.dropped += last - first + 1
	s.log.Error("events in the spool are lost", "path", s.dir, "cause", cause, "first", first, "last", last)
}

// Origin names the counter that the numbers of new records belong to.
func (s *Spool) Origin() string { return s.origin }

// Base is the number of the last record before those of the origin: of a new one, whatever
// counts its records counts from 1. It does not change while the spool is open.
func (s *Spool) Base() uint64 { return s.base }

// Next returns the number of the next record.
func (s *Spool) Next() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mark.given + 1
}

// State returns the state of the newest record, or nil. Do not change it.
func (s *Spool) State() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mark.state
}

// Appended returns a channel that receives after records were appended.
func (s *Spool) Appended() <-chan struct{} { return s.appended }

// Append stores records, whose numbers are consecutive from Next; at most 1 MiB at once, see
// Fitting.
// When it returns nil they are on the disk. After an error, such as ENOSPC on a full
// disk, it has stored nothing: append the same records again. If the spool would have
// more than Config.Max bytes, its oldest segments are dropped.
func (s *Spool) Append(list ...Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.encode(list)
	if err == nil && len(list) > 0 {
		err = s.append(list, b)
	}
	if err != nil {
		return fmt.Errorf("appending to spool %s: %w", s.dir, err)
	}
	select {
	case s.appended <- struct{}{}:
	default:
	}
	return nil
}

// encode checks and encodes records.
func (s *Spool) encode(list []Record) ([]byte, error) {
	if s.lock == nil {
		return nil, errClosed
	}
	var b []byte
	for i, r := range list {
		if want := s.mark.given + 1 + uint64(i); r.Number != want {
			return nil, fmt.Errorf("the number is %d, want %d", r.Number, want)
		}
		if len(b)+r.size() > maxBatch {
			return nil, fmt.Errorf("more than %d bytes at once", maxBatch)
		}
		b = appendRecord(b, r)
	}
	return b, nil
}

func (s *Spool) append(list []Record, b []byte) error {
	if err := s.makeRoom(int64(preambleSize + len(b))); err != nil {
		return err
	}
	g, err := s.write(b)
	m := mark{list[len(list)-1].Number, s.mark.acked, bytes.Clone(list[len(list)-1].State)}
	if err == nil {
		//guard:drop "a number whose record is damaged is not given again" TestAnyFileDamaged
		err = s.writeMark(m)
	}
	if err != nil {
		s.abandon(g)
		return err
	}
	if g.count == 0 {
		s.segments = append(s.segments, g)
	}
	g.count, g.size, s.mark = g.count+uint64(len(list)), g.size+int64(len(b)), m
	return nil
}

// write writes records to the last segment, or a new one, which it returns also with an
// error.
func (s *Spool) write(b []byte) (g *segment, err error) {
	if s.file != nil {
		g = s.segments[len(s.segments)-1]
	}
	//guard:drop given "the numbers of a segment are consecutive" TestCutAtEachByte
	if g == nil || g.size >= s.segmentSize || g.last() != s.mark.given {
		if g, err = s.begin(); err != nil {
			return g, err
		}
	}
	if _, err := s.file.Write(b); err != nil {
		return g, err
	}
	failpoint.At("spool-written")
	//guard:set s.sync(s.file) error(nil) "what was appended survives a power cut" ^(TestProperty|TestSyncs)$
	err = s.sync(s.file)
	failpoint.At("spool-synced")
	return g, err
}

// makeRoom drops the oldest segments until n more bytes fit.
func (s *Spool) makeRoom(n int64) error {
	//guard:false "the spool is bounded" TestMax
	for s.bytes()+n > s.max && len(s.segments) > 0 && !s.isOpen(s.segments[0]) {
		g := s.segments[0]
		if err := s.removeFirst(); err != nil {
			return err
		}
		failpoint.At("spool-dropped")
		s.reportLost("spool is full", max(g.first, s.mark.acked+1), g.last())
		//guard:drop "a drop is reported once" TestMax
		s.mark.acked = max(s.mark.acked, g.last())
	}
	return nil
}

func (s *Spool) bytes() (n int64) {
	for _, g := range s.segments {
		n += g.size
	}
	return n
}

// Ack records that all records up to a number are stored by the server. It is on the
// disk after the next Append or Close, or when a segment can be removed; until then a
// crash makes the records be sent again.
func (s *Spool) Ack(number uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	switch {
	case s.lock == nil:
		err = errClosed
	case number > s.mark.given:
		err = fmt.Errorf("number %d was not given yet", number)
	case number > s.mark.acked:
		s.mark.acked = number
		err = s.removeAcked()
	}
	if err != nil {
		return fmt.Errorf("acking in spool %s: %w", s.dir, err)
	}
	return nil
}

// removeAcked removes segments that are acked; first it saves that they are.
func (s *Spool) removeAcked() error {
	n := 0
	for n < len(s.segments) && s.segments[n].last() <= s.mark.acked && !s.isOpen(s.segments[n]) {
		n++
	}
	if n == 0 {
		return nil
	}
	//guard:set s.writeMark(s.mark) error(nil) "acked records don't count as missing" TestAcksAreSaved
	unsaved := s.writeMark(s.mark)
	for range n {
		if err := s.removeFirst(); err != nil {
			return err
		}
		failpoint.At("spool-removed")
	}
	if unsaved != nil { // on a full disk there is space now
		return s.writeMark(s.mark)
	}
	return nil
}

// removeFirst removes the first segment.
func (s *Spool) removeFirst() error {
	g := s.segments[0]
	if err := s.remove(segmentName(g.first)); err != nil {
		return err
	}
	//guard:false "acks make space on a full disk" TestFull
	if s.reader != nil && s.reader.segment == g {
		s.reader.close()
	}
	s.segments = s.segments[1:]
	return nil
}

// Stats returns the state of the spool.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := Stats{Acked: s.mark.acked, Dropped: s.dropped, Bytes: s.bytes()}
	for _, g := range s.segments {
		first := max(g.first, s.mark.acked+1)
		if first > g.last() {
			continue
		}
		stats.Waiting += g.last() - first + 1
		stats.Oldest = cmp.Or(stats.Oldest, first)
	}
	return stats
}

// Close saves what was acked, and unlocks the folder.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock == nil {
		return nil
	}
	err := s.writeMark(s.mark)
	s.release()
	if err != nil {
		return fmt.Errorf("closing spool %s: %w", s.dir, err)
	}
	return nil
}

// release closes all files.
func (s *Spool) release() {
	s.seal()
	if s.reader != nil {
		s.reader.close()
	}
	if s.lock != nil {
		datadir.Unlock(s.lock)
		s.lock = nil
	}
}
