package roster

import (
	"encoding/binary"
	"fmt"
	"io"
)

// fields decodes the fields of a record of the canonical encoding. After an error
// every field is zero.
type fields struct {
	s   string
	err error
}

func (f *fields) uvarint() uint64 {
	if len(f.s) == 0 || f.s[0] >= 0x80 {
		return f.longUvarint()
	}
	n := f.s[0]
	f.s = f.s[1:]
	return uint64(n)
}

// longUvarint decodes a uvarint of any length, as binary.Uvarint does from bytes.
func (f *fields) longUvarint() uint64 {
	var n uint64
	for i := range min(len(f.s), binary.MaxVarintLen64) {
		c := f.s[i]
		if i == binary.MaxVarintLen64-1 && c > 1 {
			break // more than 64 bits
		}
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			f.s = f.s[i+1:]
			return n
		}
	}
	f.fail(io.ErrUnexpectedEOF)
	return 0
}

func (f *fields) varint() int64 {
	n := f.uvarint()
	return int64(n>>1) ^ -int64(n&1)
}

func (f *fields) fail(err error) {
	f.s = ""
	if f.err == nil {
		f.err = err
	}
}

// text returns a string that shares the record's memory.
func (f *fields) text() string {
	n := f.uvarint()
	//guard:false "no file crashes the service" TestRestoreRefuses
	if n > uint64(len(f.s)) {
		f.fail(io.ErrUnexpectedEOF)
		return ""
	}
	s := f.s[:n]
	f.s = f.s[n:]
	return s
}

func (f *fields) time(from Time) Time {
	t, err := timeFrom(from, f.varint(), f.uvarint())
	if err != nil {
		f.fail(err)
	}
	return t
}

func (f *fields) stamp(newest Time) Stamp {
	return Stamp{f.time(newest), f.uvarint()}
}

// details decodes the details whose bits are set in has.
func (f *fields) details(s *Session, has byte, newest Time) {
	if has&hasSince != 0 {
		s.Since = f.time(newest)
	}
	for i, text := range s.texts() {
		if has&(hasTerminal<<i) != 0 {
			*text = f.text()
		}
	}
}

// timeFrom is the inverse of appendTime.
func timeFrom(from Time, seconds int64, nanos uint64) (Time, error) {
	const most = int64(MaxDate / second)
	s := int64(from/second) - seconds
	if seconds < -most || seconds > most || s < 0 || s > most || nanos >= second {
		return 0, fmt.Errorf("time %d s, %d ns: out of range", s, nanos)
	}
	return Time(s)*second + Time(nanos), nil
}
