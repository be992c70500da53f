package roster

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// Restore reads a canonical encoding and returns the roster of it, to go on
// with the settings given from the position given. was are the settings that
// the encoding was made with: where a greater lateness is allowed now, events
// that the old one had refused stay refused, because what they would have to be
// compared with has been forgotten.
//
// The encoding may be any bytes: what is no roster is an error, and memory
// grows only with what was read. Reading and decoding go on beside putting
// together what was decoded; when Restore returns, from is no longer read.
func Restore(from io.Reader, now, was Settings, at Position) (*Roster, error) {
	d := decoder{in: bufio.NewReaderSize(from, 1<<16)}
	if was.AllowedLateness < now.AllowedLateness {
		d.floor = was.AllowedLateness
	}
	r, err := d.roster(now)
	if err != nil {
		return nil, fmt.Errorf("restoring roster: %w", err)
	}
	if place := r.status.Position.Place; place != at.Place {
		return nil, fmt.Errorf("restoring roster: encoded at place %d, want %d", place, at.Place)
	}
	r.status.Position = at
	return r, nil
}

// decoder reads a canonical encoding, block by block.
type decoder struct {
	in     *bufio.Reader
	st     Status
	floor  time.Duration // see machine.floor; 0: none
	record bytes.Buffer
	counts [3]uint64 // machines, sessions, clearings
	last   string    // the last machine
	// Space, to be used again.
	abouts []byte
	ends   []int
}

func (d *decoder) roster(s Settings) (*Roster, error) {
	if err := d.head(); err != nil {
		return nil, fmt.Errorf("head: %w", err)
	}
	r := New(s)
	r.status = d.st
	decoded, used := make(chan *block, 2), make(chan *block, 2)
	used <- new(block)
	used <- new(block)
	var err error
	go func() {
		defer close(decoded)
		err = d.blocks(decoded, used)
	}()
	for b := range decoded {
		r.take(b)
		used <- b
	}
	return r, err
}

// blocks fills blocks until the end. An error ends them too.
func (d *decoder) blocks(decoded chan<- *block, used <-chan *block) error {
	for {
		b := (<-used).emptied()
		more, err := d.block(b)
		if err != nil {
			return fmt.Errorf("machine after %q: %w", d.last, noEOF(err))
		}
		decoded <- b
		if !more {
			return d.end()
		}
	}
}

// block fills a block and tells whether there is more.
func (d *decoder) block(b *block) (more bool, err error) {
	for len(b.text) < fullBlock {
		size, err := binary.ReadUvarint(d.in)
		if err != nil || size == 0 {
			return false, err
		}
		record, err := d.next(size)
		if err != nil {
			return false, err
		}
		if err := d.machine(b, record); err != nil {
			return false, err
		}
	}
	return true, nil
}

// next returns the next bytes, valid until the next call.
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
	var nanos uint64
	seconds, err := binary.ReadVarint(d.in)
	if err != nil {
		return noEOF(err)
	}
	if err := d.number(&nanos); err != nil {
		return err
	}
	if d.st.Receipt, err = timeFrom(0, seconds, nanos); err != nil {
		return err
	}
	for i := range d.st.Losses {
		if err := d.number(&d.st.Losses[i]); err != nil {
			return err
		}
	}
	if d.st.Fates.Sum() != d.st.Position.Place {
		return fmt.Errorf("fates add up to %d, position is %d", d.st.Fates.Sum(), d.st.Position.Place)
	}
	return nil
}

func (d *decoder) number(n *uint64) (err error) {
	*n, err = binary.ReadUvarint(d.in)
	return noEOF(err)
}

func (d *decoder) end() error {
	for i, what := range []string{"machines", "sessions", "clearings"} {
		var n uint64
		if err := d.number(&n); err != nil {
			return fmt.Errorf("end: %w", err)
		}
		if n != d.counts[i] {
			return fmt.Errorf("end: %d %s, read %d", n, what, d.counts[i])
		}
	}
	switch _, err := d.in.ReadByte(); err {
	case io.EOF:
		return nil
	case nil:
		return errors.New("end: bytes after it")
	default:
		return fmt.Errorf("end: %w", err)
	}
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
