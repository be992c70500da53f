package roster

import (
	"bufio"
	"bytes"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"sync/atomic"
	"time"
)

// Encoded describes a canonical encoding: its version, the settings that it was
// made with, and the position at which it was made.
type Encoded struct {
	Version  uint32
	Settings Settings
	Position Position
}

// Restore decodes a canonical encoding and returns its roster, which continues
// with the settings now. If now allows a greater lateness than the encoding was
// made with, events that were too late then are still refused: the registers that
// would decide them have been dropped.
//
// Restore is safe for untrusted input: anything that is not a roster is an error,
// and memory grows only with what was read. Reading and decoding run concurrently
// with building the roster. When Restore returns, from is no longer read.
func Restore(from io.Reader, was Encoded, now Settings) (*Roster, error) {
	if was.Version < 1 || was.Version > EncodingVersion {
		return nil, fmt.Errorf("restoring roster: version %d of the encoding: unknown", was.Version)
	}
	d := decoder{in: bufio.NewReaderSize(from, 1<<16), version: was.Version}
	if was.Settings.AllowedLateness < now.AllowedLateness {
		d.floor = was.Settings.AllowedLateness
	}
	r, err := d.roster(now)
	if err != nil {
		return nil, fmt.Errorf("restoring roster: %w", err)
	}
	if place := r.status.Position.Place; place != was.Position.Place {
		return nil, fmt.Errorf("restoring roster: encoded at place %d, want %d", place, was.Position.Place)
	}
	r.status.Position = was.Position
	return r, nil
}

// decoder reads a canonical encoding block by block, in three concurrent steps:
// records are read, decoded, and added to the roster.
type decoder struct {
	in      *bufio.Reader
	version uint32
	st      Status
	floor   time.Duration // each floor is raised to this long before newest; 0: no floor is
	record  bytes.Buffer
	failed  atomic.Bool // decoding failed: reading stops
	counts  counts
	last    string // the last machine
	// Buffers, reused.
	packed []byte
	ends   []int
}

// counts are the totals at the end of an encoding: machines, sessions, clearings.
type counts [3]uint64

func (d *decoder) roster(s Settings) (*Roster, error) {
	if err := d.head(); err != nil {
		return nil, fmt.Errorf("head: %w", err)
	}
	r := New(s)
	r.status = d.st
	r.deriveSettling(&r.status)
	used, read, decoded := make(chan *block, blocks), make(chan *block, blocks), make(chan *block, blocks)
	for range blocks {
		used <- new(block)
	}
	go func() {
		defer close(read)
		d.readAll(read, used)
	}()
	var err error
	go func() {
		defer close(decoded)
		err = d.decodeAll(decoded, read)
	}()
	var g bulkIndex
	for b := range decoded {
		r.addBlock(b, &g)
		used <- b
	}
	g.finish(&r.people, &r.status)
	heap.Init(&r.recent)
	return r, err
}

// readAll fills blocks with records. The last block has the end, or an error.
func (d *decoder) readAll(read chan<- *block, used <-chan *block) {
	for more := true; more && !d.failed.Load(); {
		b := (<-used).reset()
		more, b.err = d.readBlock(b)
		more = more && b.err == nil
		read <- b
	}
}

// readBlock fills a block with records and reports whether there are more.
func (d *decoder) readBlock(b *block) (more bool, err error) {
	for len(b.text) < fullBlock {
		size, err := binary.ReadUvarint(d.in)
		if err != nil {
			return false, err
		}
		if size == 0 {
			b.end, err = d.end()
			return false, err
		}
		record, err := d.next(size)
		if err != nil {
			return false, err
		}
		b.text = append(b.text, record...)
		b.ends = append(b.ends, len(b.text))
	}
	return true, nil
}

// decodeAll decodes blocks until there are no more. After an error it only forwards
// them. The block with the error has the machines decoded before it, each complete.
func (d *decoder) decodeAll(decoded chan<- *block, read <-chan *block) (err error) {
	for b := range read {
		if err == nil {
			err = d.decode(b)
		}
		d.failed.Store(err != nil)
		decoded <- b
	}
	return err
}

// decode decodes the records of a block. In the last block it also checks the
// end.
func (d *decoder) decode(b *block) error {
	start := 0
	for _, end := range b.ends {
		if err := d.machine(b, b.text[start:end]); err != nil {
			return fmt.Errorf("machine after %q: %w", d.last, err)
		}
		start = end
	}
	if b.err != nil {
		return fmt.Errorf("machine after %q: %w", d.last, noEOF(b.err))
	}
	if b.end != nil {
		return d.counts.check(b.end)
	}
	return nil
}

// check compares the counts of what was read with those at the end.
func (c *counts) check(end *counts) error {
	for i, what := range []string{"machines", "sessions", "clearings"} {
		//guard:false "a machine missing from a snapshot is detected" TestRestoreRefuses
		if c[i] != end[i] {
			return fmt.Errorf("end: %d %s, read %d", end[i], what, c[i])
		}
	}
	return nil
}

// next returns the next size bytes, which are valid until the next call.
func (d *decoder) next(size uint64) ([]byte, error) {
	if size <= uint64(d.in.Size()) {
		record, err := d.in.Peek(int(size))
		d.in.Discard(len(record))
		return record, err
	}
	d.record.Reset()
	_, err := io.CopyN(&d.record, d.in, int64(min(size, 1<<40)))
	return d.record.Bytes(), err
}

func (d *decoder) head() error {
	numbers := []*uint64{&d.st.Position.Place, &d.st.Fates[0], &d.st.Fates[1], &d.st.Fates[2], &d.st.Fates[3]}
	for _, n := range numbers {
		if err := d.number(n); err != nil {
			return err
		}
	}
	if err := d.time(&d.st.Receipt); err != nil {
		return err
	}
	for i := range d.st.Losses {
		if d.version < 5 && Loss(i) >= SourceGap {
			break
		}
		if err := d.number(&d.st.Losses[i]); err != nil {
			return err
		}
	}
	if err := d.bounds(); err != nil {
		return err
	}
	//guard:false "a snapshot's fates add up to its position" TestRestoreRefuses
	if d.st.Fates.Sum() != d.st.Position.Place {
		return fmt.Errorf("fates add up to %d, position is %d", d.st.Fates.Sum(), d.st.Position.Place)
	}
	return nil
}

// bounds decodes the rest of the head. Version 1 of the encoding doesn't have it:
// there, reading is assumed to have resumed after a loss at the newest receipt.
func (d *decoder) bounds() error {
	if d.version == 1 {
		if d.st.Losses != (Losses{}) {
			d.st.firstReceiptAfterLoss = d.st.Receipt
		}
		return nil
	}
	if err := cmp.Or(d.time(&d.st.firstReceiptAfterLoss), d.time(&d.st.fleetFloor)); err != nil || d.version == 2 {
		return err
	}
	err := d.number(&d.st.leftMissing)
	if d.st.leftMissing > math.MaxInt64 {
		return fmt.Errorf("%d missing events: out of range", d.st.leftMissing)
	}
	d.st.Missing = d.st.leftMissing
	if err != nil || d.version < 5 {
		return err
	}
	return d.sources()
}

func (d *decoder) time(t *Time) error {
	var nanos uint64
	seconds, err := binary.ReadVarint(d.in)
	if err != nil {
		return noEOF(err)
	}
	if err := d.number(&nanos); err != nil {
		return err
	}
	*t, err = timeFrom(0, seconds, nanos)
	return err
}

func (d *decoder) number(n *uint64) (err error) {
	*n, err = binary.ReadUvarint(d.in)
	return noEOF(err)
}

// end decodes what comes after the last machine, and checks that nothing follows.
func (d *decoder) end() (*counts, error) {
	var end counts
	for i := range end {
		if err := d.number(&end[i]); err != nil {
			return nil, fmt.Errorf("end: %w", err)
		}
	}
	switch _, err := d.in.ReadByte(); err {
	case io.EOF:
		return &end, nil
	case nil:
		return nil, errors.New("end: bytes after it")
	default:
		return nil, fmt.Errorf("end: %w", err)
	}
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
