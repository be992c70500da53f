package wire

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"

	"rollcall/internal/roster"
)

// readProtobuf decodes a rollcall.v1.Event by hand, so that strings stay in the
// payload; proto.Unmarshal would copy them. It accepts the payloads that
// proto.Unmarshal accepts and decodes the same from them, with one exception: it
// refuses a known field with another wire type, which proto.Unmarshal skips.
func (d *Decoder) readProtobuf(payload []byte, e *roster.Event) *roster.Refusal {
	if err := d.readEvent(message{rest: payload}, e); err != nil {
		return malformed("send one rollcall.v1.Event as protobuf", "%v", err)
	}
	return nil
}

func (d *Decoder) readEvent(m message, e *roster.Event) error {
	var at, every timestamp
	for m.next(eventFields[:]) {
		var err error
		switch m.field {
		case noField:
		case fieldDate:
			err = at.read(m.inner())
		case fieldType:
			d.draft.setNumber(int32(m.varint))
		case fieldMachine:
			e.Machine, err = m.text()
		case fieldOrigin:
			e.Origin, err = m.text()
		case fieldNumber:
			e.Number = m.varint
		case fieldEvery:
			err = every.read(m.inner())
		case fieldSessions:
			e.Sessions = append(e.Sessions, roster.Session{})
			err = d.readSession(m.inner(), e.Sessions)
		default:
			*textOf(&e.Session, m.field), err = m.text()
		}
		if err != nil {
			return err
		}
	}
	d.draft.date, e.Every = at.date(), every.duration()
	return m.err
}

// readSession decodes a message into the last entry of sessions.
func (d *Decoder) readSession(m message, sessions []roster.Session) error {
	i := len(sessions) - 1
	s := &sessions[i]
	var since timestamp
	for m.next(entryFields[:]) {
		var err error
		switch m.field {
		case noField:
		case fieldSince:
			err = since.read(m.inner())
		default:
			*textOf(s, m.field), err = m.text()
		}
		if err != nil {
			return err
		}
	}
	s.Since = d.since(i, since.date())
	return m.err
}

// duration returns a google.protobuf.Duration, which has the fields of a Timestamp; 0 if it
// is out of range.
func (t *timestamp) duration() time.Duration {
	const most = int64(math.MaxInt64/time.Second) - 1
	if t.seconds < -most || t.seconds > most {
		return 0
	}
	return time.Duration(t.seconds)*time.Second + time.Duration(t.nanos)
}

// read merges a google.protobuf.Timestamp into t: if a field occurs twice the last
// one counts, even if each is in a Timestamp of its own.
func (t *timestamp) read(m message) error {
	t.present = true
	for m.next(timestampFields[:]) {
		switch m.field {
		case fieldSeconds:
			t.seconds = int64(m.varint)
		case fieldNanos:
			t.nanos = int32(m.varint)
		}
	}
	return m.err
}

// setNumber sets the type by its number.
func (d *draft) setNumber(n int32) {
	d.typ, d.typeText = 0, ""
	if 0 <= n && int(n) < len(eventTypes) {
		d.typ = eventTypes[n]
	}
	if n != 0 {
		d.typeText = strconv.Itoa(int(n))
	}
}

// eventTypes are the types by their numbers in the contract.
var eventTypes = [...]roster.Type{
	1: roster.Login, 2: roster.Logout, 3: roster.Boot, 4: roster.Shutdown, 5: roster.Present,
}

// The fields of the messages by their numbers.
var (
	eventFields = [...]field{
		1: fieldDate, 2: fieldType, 3: fieldMachine, 4: fieldUser, 5: fieldSession,
		6: fieldTerminal, 7: fieldRemote, 8: fieldService, 9: fieldSessions,
		10: fieldOrigin, 11: fieldNumber, 12: fieldEvery,
	}
	entryFields = [...]field{
		1: fieldUser, 2: fieldSession, 3: fieldSince, 4: fieldTerminal, 5: fieldRemote, 6: fieldService,
	}
	timestampFields = [...]field{1: fieldSeconds, 2: fieldNanos}
)

// message walks over the fields of one message.
type message struct {
	rest []byte
	at   int // the offset of rest in the payload

	// What next has read: a known field or noField, and its value.
	field  field
	varint uint64
	bytes  []byte
	err    error
}

// next reads the next field; known has the fields by number. It returns false
// at the end and after an error.
func (m *message) next(known []field) bool {
	if len(m.rest) == 0 || m.err != nil {
		return false
	}
	if m.nextFast(known) {
		return true
	}
	number, kind, n := protowire.ConsumeTag(m.rest)
	if n >= 0 && number > protowire.MaxValidNumber {
		return m.fail("invalid field number " + strconv.Itoa(int(number)))
	}
	if n < 0 {
		return m.fail(wireProblem(n))
	}
	m.field = noField
	if int(number) < len(known) {
		m.field = known[number]
	}
	if m.field != noField && kind != wireType(m.field) {
		return m.fail(fmt.Sprintf("%s has the wire type %d, want %d", m.field, kind, wireType(m.field)))
	}
	var size int
	switch value := m.rest[n:]; kind {
	case protowire.VarintType:
		m.varint, size = protowire.ConsumeVarint(value)
	case protowire.BytesType:
		m.bytes, size = protowire.ConsumeBytes(value)
	default:
		size = protowire.ConsumeFieldValue(number, kind, value)
	}
	if size < 0 {
		//guard:set m.fail(wireProblem(size)) false "a truncated payload is not a shorter event" TestRefused
		return m.fail(wireProblem(size))
	}
	m.rest, m.at = m.rest[n+size:], m.at+n+size
	return true
}

// nextFast is a fast path of next: it reads the next field if that is a known one of
// the right wire type whose tag has one byte, and whose number or length has one
// byte, as nearly all do.
func (m *message) nextFast(known []field) bool {
	if len(m.rest) < 2 {
		return false
	}
	tag, value := m.rest[0], m.rest[1]
	if int(tag>>3) >= len(known) || value >= 0x80 {
		return false
	}
	f, size := known[tag>>3], 2
	switch kind := protowire.Type(tag & 7); {
	case f == noField || kind != wireType(f):
		return false
	case kind == protowire.VarintType:
		m.varint = uint64(value)
	default:
		if size += int(value); size > len(m.rest) {
			return false
		}
		m.bytes = m.rest[2:size]
	}
	m.field, m.rest, m.at = f, m.rest[size:], m.at+size
	return true
}

func (m *message) fail(what string) bool {
	m.err = fmt.Errorf("byte %d: %s", m.at, what)
	return false
}

// wireProblem describes an error code of protowire.
func wireProblem(code int) string {
	if errors.Is(protowire.ParseError(code), io.ErrUnexpectedEOF) {
		return "the protobuf ends too early"
	}
	return "not valid protobuf"
}

func wireType(f field) protowire.Type {
	switch f {
	case fieldType, fieldNumber, fieldSeconds, fieldNanos:
		return protowire.VarintType
	}
	return protowire.BytesType
}

// inner returns the message in the field.
func (m *message) inner() message {
	return message{rest: m.bytes, at: m.at - len(m.bytes)}
}

// text returns the string in the field: a part of the payload.
func (m *message) text() (string, error) {
	//guard:false "no name is repaired, so different names stay different" TestRefused
	if !isVisible(m.bytes) && !utf8.Valid(m.bytes) {
		return "", fmt.Errorf("byte %d: %s is not valid UTF-8", m.at-len(m.bytes), m.field)
	}
	return unsafe.String(unsafe.SliceData(m.bytes), len(m.bytes)), nil
}
