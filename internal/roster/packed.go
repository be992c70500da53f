package roster

import (
	"encoding/binary"
	"math"
	"unsafe"
)

// packed is a session's ID and its details. Most sessions have few of them, so they
// are encoded behind one pointer: the length of the rest in two bytes, the ID, a
// byte of bits that says which details follow, and the details, encoded as in the
// canonical encoding, except that since is absolute. Without details it ends after
// the ID. It is nil for an implicit session without details.
type packed struct{ bytes *byte }

const (
	packedHead = 2
	maxPacked  = math.MaxUint16
)

// The details that a session may have.
const (
	hasSince = 1 << iota
	hasTerminal
	hasRemote
	hasService
	allDetails = 1<<iota - 1
)

// newPacked returns a packed of the bytes that appendPacked appended. It refers to
// b, which must not change.
func newPacked(b []byte) packed {
	if len(b) == 0 {
		return packed{}
	}
	return packed{unsafe.SliceData(b)}
}

// text returns the bytes after the length. They never change.
func (p packed) text() string {
	if p.bytes == nil {
		return ""
	}
	n := int(binary.LittleEndian.Uint16(unsafe.Slice(p.bytes, packedHead)))
	return unsafe.String(p.bytes, packedHead+n)[packedHead:]
}

// appendPacked packs the ID and the details of a session; it appends nothing if
// there are none.
func appendPacked(b []byte, s *Session) []byte {
	details := s.detailBits()
	if s.ID == "" && details == 0 {
		return b
	}
	start := len(b)
	b = appendString(append(b, 0, 0), s.ID)
	if details != 0 {
		b = append(b, details)
		if s.Since != 0 {
			b = appendTime(b, s.Since, 0)
		}
		for _, text := range s.texts() {
			if *text != "" {
				b = appendString(b, *text)
			}
		}
	}
	binary.LittleEndian.PutUint16(b[start:], uint16(len(b)-start-packedHead))
	return b
}

// detailBits returns the bits of the session's details.
func (s *Session) detailBits() (bits byte) {
	if s.Since != 0 {
		bits = hasSince
	}
	for i, text := range s.texts() {
		if *text != "" {
			bits |= hasTerminal << i
		}
	}
	return bits
}

func (s *Session) texts() [3]*string { return [...]*string{&s.Terminal, &s.Remote, &s.Service} }

// id returns the ID, and the details that follow it.
func (p packed) id() (id, details string) {
	in := fields{s: p.text()}
	if in.s == "" {
		return "", ""
	}
	id = in.text()
	return id, in.s
}

// isImplicit reports whether there is no ID.
func (p packed) isImplicit() bool {
	id, _ := p.id()
	return id == ""
}

// fill sets the ID and the details of a session.
func (p packed) fill(s *Session) {
	id, details := p.id()
	s.ID = id
	if details != "" {
		in := fields{s: details[1:]}
		in.details(s, details[0], 0)
	}
}

// appendDetails appends details as in the canonical encoding.
func appendDetails(b []byte, details string, newest Time) []byte {
	if details == "" {
		return append(b, 0)
	}
	b = append(b, details[0])
	in := fields{s: details[1:]}
	if details[0]&hasSince != 0 {
		b = appendTime(b, in.time(0), newest)
	}
	return append(b, in.s...)
}
