package query

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

// cursor says where an answer ended. In a report: after the machine first or, if
// second isn't empty, within that machine after the user second. In the sessions
// of a machine: after the session of user first with ID second. In the sessions
// of a user: after the session on machine first with ID second. In those of many machines:
// after the machine first or, if second isn't empty, within that machine after the session
// of user second with ID third.
type cursor struct{ first, second, third string }

// cursorSeparator separates the names; no name contains it.
const cursorSeparator = "\x00"

// maxName is the length of the longest name in bytes.
const maxName = 255

// maxCursor is the length of the longest cursor in bytes: that of an answer about a
// past moment.
var maxCursor = base64.RawURLEncoding.EncodedLen(len(digest{}) + binary.MaxVarintLen64 + 3*maxName + 2*len(cursorSeparator))

// String returns the cursor as clients see it: opaque, of letters, digits, - and _.
func (c cursor) String() string { return base64.RawURLEncoding.EncodeToString([]byte(c.raw())) }

func (c cursor) raw() string {
	names := []string{c.first, c.second, c.third}
	for len(names) > 1 && names[len(names)-1] == "" {
		names = names[:len(names)-1]
	}
	return strings.Join(names, cursorSeparator)
}

var errCursor = errors.New("cursor: not a cursor of rollcall's: omit it to start from the beginning")

// parseCursor is the inverse of String, for a cursor of at most so many names. "" is the
// cursor at the beginning.
func parseCursor(s string, names int) (cursor, error) {
	if s == "" {
		return cursor{}, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return cursor{}, errCursor
	}
	return parseRaw(b, names)
}

// parseRaw is the inverse of raw, for at most so many names.
func parseRaw(b []byte, most int) (cursor, error) {
	//guard:false "an invalid cursor is refused" TestBadRequests
	if !utf8.Valid(b) {
		return cursor{}, errCursor
	}
	names := strings.Split(string(b), cursorSeparator)
	if len(names) > most || slices.ContainsFunc(names, func(name string) bool { return name == "" || len(name) > maxName }) {
		return cursor{}, errCursor
	}
	names = append(names, "", "")
	return cursor{names[0], names[1], names[2]}, nil
}
