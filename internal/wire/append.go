package wire

import (
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"rollcall/internal/roster"
)

// AppendJSON appends an event to dst as the contract's JSON object, on one
// line. Decode decodes the same event from it. An event that is not valid is encoded
// as it is, with bytes that are not UTF-8, so that Decode refuses it.
func AppendJSON(dst []byte, e *roster.Event) []byte {
	dst = e.Date.Time().AppendFormat(append(dst, `{"date":"`...), time.RFC3339Nano)
	dst = append(append(dst, `","type":"`...), e.Type.String()...)
	dst = append(dst, '"')
	dst = appendMember(dst, fieldMachine, e.Machine)
	if e.Origin != "" {
		dst = appendMember(dst, fieldOrigin, e.Origin)
	}
	if e.Number != 0 {
		dst = strconv.AppendUint(append(dst, `,"number":`...), e.Number, 10)
	}
	switch e.Type {
	case roster.Login, roster.Logout:
		dst = appendDetails(dst, &e.Session)
	case roster.Present:
		if e.Every != 0 {
			dst = appendMember(dst, fieldEvery, e.Every.String())
		}
		dst = append(dst, `,"sessions":[`...)
		for i := range e.Sessions {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendEntry(dst, &e.Sessions[i])
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

func appendEntry(dst []byte, s *roster.Session) []byte {
	start := len(dst)
	dst = appendDetails(dst, s)
	if s.Since != 0 {
		dst = append(dst, `,"since":"`...)
		dst = append(s.Since.Time().AppendFormat(dst, time.RFC3339Nano), '"')
	}
	if len(dst) == start {
		return append(dst, "{}"...)
	}
	dst[start] = '{' // in place of the first comma
	return append(dst, '}')
}

func appendDetails(dst []byte, s *roster.Session) []byte {
	for f := fieldUser; f <= fieldService; f++ {
		if text := *textOf(s, f); text != "" {
			dst = appendMember(dst, f, text)
		}
	}
	return dst
}

func appendMember(dst []byte, f field, text string) []byte {
	dst = append(dst, `,"`...)
	dst = append(dst, fieldNames[f]...)
	return appendQuoted(append(dst, `":`...), text)
}

// appendQuoted appends a JSON string. The library's function would replace bytes
// that are not UTF-8 by U+FFFD, and so make two different names equal.
func appendQuoted(dst []byte, s string) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// AppendProtobuf appends an event to dst as a rollcall.v1.Event. Decode reads
// the same event from it.
func AppendProtobuf(dst []byte, e *roster.Event) []byte {
	dst = appendTimestamp(dst, fieldDate, eventFields[:], e.Date)
	for number, t := range eventTypes {
		if t == e.Type && t != 0 {
			dst = protowire.AppendTag(dst, numberOf(fieldType, eventFields[:]), protowire.VarintType)
			dst = protowire.AppendVarint(dst, uint64(number))
		}
	}
	dst = appendText(dst, fieldMachine, eventFields[:], e.Machine)
	switch e.Type {
	case roster.Login, roster.Logout:
		dst = appendTexts(dst, eventFields[:], &e.Session)
	case roster.Present:
		var entry []byte
		for i := range e.Sessions {
			s := &e.Sessions[i]
			entry = appendTexts(entry[:0], entryFields[:], s)
			if s.Since != 0 {
				entry = appendTimestamp(entry, fieldSince, entryFields[:], s.Since)
			}
			dst = protowire.AppendTag(dst, numberOf(fieldSessions, eventFields[:]), protowire.BytesType)
			dst = protowire.AppendBytes(dst, entry)
		}
	}
	dst = appendText(dst, fieldOrigin, eventFields[:], e.Origin)
	if e.Number != 0 {
		dst = protowire.AppendTag(dst, numberOf(fieldNumber, eventFields[:]), protowire.VarintType)
		dst = protowire.AppendVarint(dst, e.Number)
	}
	if e.Type == roster.Present && e.Every > 0 {
		dst = appendTimestamp(dst, fieldEvery, eventFields[:], roster.Time(e.Every))
	}
	return dst
}

func appendTexts(dst []byte, numbered []field, s *roster.Session) []byte {
	for f := fieldUser; f <= fieldService; f++ {
		dst = appendText(dst, f, numbered, *textOf(s, f))
	}
	return dst
}

func appendText(dst []byte, f field, numbered []field, text string) []byte {
	if text == "" {
		return dst
	}
	dst = protowire.AppendTag(dst, numberOf(f, numbered), protowire.BytesType)
	return protowire.AppendString(dst, text)
}

func appendTimestamp(dst []byte, f field, numbered []field, t roster.Time) []byte {
	seconds, nanos := uint64(t)/uint64(time.Second), uint64(t)%uint64(time.Second)
	var buf [16]byte
	inner := buf[:0]
	if seconds != 0 {
		inner = protowire.AppendTag(inner, numberOf(fieldSeconds, timestampFields[:]), protowire.VarintType)
		inner = protowire.AppendVarint(inner, seconds)
	}
	if nanos != 0 {
		inner = protowire.AppendTag(inner, numberOf(fieldNanos, timestampFields[:]), protowire.VarintType)
		inner = protowire.AppendVarint(inner, nanos)
	}
	dst = protowire.AppendTag(dst, numberOf(f, numbered), protowire.BytesType)
	return protowire.AppendBytes(dst, inner)
}

// numberOf is the inverse of numbered.
func numberOf(f field, numbered []field) protowire.Number {
	return protowire.Number(slices.Index(numbered, f))
}
