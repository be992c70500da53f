package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Record is an event to be published, and what the agent has to remember with it.
type Record struct {
	// Number is the number of the record before, plus one.
	Number uint64
	// Payload is published.
	Payload []byte
	// State is what the agent needs to go on after this record.
	State []byte
}

const (
	magic        = "rc-spool"
	version      = 1
	preambleSize = 16
	frameSize    = 8  // length and CRC
	headSize     = 12 // number and length of the state
	maxRecord    = 1 << 20
	maxNumber    = 1<<63 - 1 // no counter gets there; a record beyond is damaged
)

var (
	errDamaged = errors.New("damaged")
	errVersion = errors.New("unknown version")

	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	le         = binary.LittleEndian
)

// preamble is the beginning of each file.
func preamble() []byte {
	b := le.AppendUint32([]byte(magic), version)
	return le.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// readPreamble returns an error that matches errVersion or errDamaged.
func readPreamble(in io.Reader) error {
	var b [preambleSize]byte
	if _, err := io.ReadFull(in, b[:]); err != nil {
		return fmt.Errorf("%w: reading preamble: %w", errDamaged, err)
	}
	if string(b[:8]) != magic || crc32.Checksum(b[:12], castagnoli) != le.Uint32(b[12:]) {
		return fmt.Errorf("%w: no preamble", errDamaged)
	}
	//guard:false "files of a newer program are refused, not removed" TestUnknownVersion
	if v := le.Uint32(b[8:]); v != version {
		return fmt.Errorf("%w %d, this program knows %d: upgrade it, or move the folder away", errVersion, v, version)
	}
	return nil
}

// size is the length of the record on disk.
func (r Record) size() int { return frameSize + headSize + len(r.State) + len(r.Payload) }

func appendRecord(b []byte, r Record) []byte {
	at := len(b)
	b = le.AppendUint32(b, uint32(r.size()-frameSize))
	b = le.AppendUint32(b, 0)
	b = le.AppendUint64(b, r.Number)
	b = le.AppendUint32(b, uint32(len(r.State)))
	b = append(append(b, r.State...), r.Payload...)
	le.PutUint32(b[at+4:], checksum(b[at:at+4], b[at+frameSize:]))
	return b
}

func checksum(length, content []byte) uint32 {
	return crc32.Update(crc32.Checksum(length, castagnoli), castagnoli, content)
}

// readRecord returns io.EOF if there is nothing to read, and an error that matches
// errDamaged for everything that is not a whole record.
func readRecord(in io.Reader) (Record, error) {
	var frame [frameSize]byte
	if _, err := io.ReadFull(in, frame[:]); err == io.EOF {
		return Record{}, io.EOF
	} else if err != nil {
		return Record{}, fmt.Errorf("%w: %w", errDamaged, err)
	}
	n := le.Uint32(frame[:])
	if n < headSize || n > maxRecord {
		return Record{}, fmt.Errorf("%w: a record of %d bytes", errDamaged, n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(in, b); err != nil {
		return Record{}, fmt.Errorf("%w: %w", errDamaged, err)
	}
	//guard:false "a changed record is never returned" TestEachBitFlipped
	if checksum(frame[:4], b) != le.Uint32(frame[4:]) {
		return Record{}, fmt.Errorf("%w: wrong checksum", errDamaged)
	}
	number, s := le.Uint64(b), le.Uint32(b[8:])
	if number > maxNumber || s > n-headSize {
		return Record{}, fmt.Errorf("%w: impossible record", errDamaged)
	}
	return Record{number, b[headSize+s:], bytes.Clone(b[headSize : headSize+s])}, nil
}

// Fitting returns how many records, from the first on, one Append takes.
func Fitting(list []Record) int {
	size := 0
	for i, r := range list {
		//guard:false "many events at once are written" ./internal/agent:TestBurst
		if size += r.size(); size > maxBatch {
			return i
		}
	}
	return len(list)
}
