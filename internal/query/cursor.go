package query

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"unicode/utf8"
)

// cursor says where an answer ended. In a report: after the machine first or, if
// second isn't empty, within that machine after the user second. In the sessions
// of a machine: after the session of user first with ID second. In the sessions
// of a user: after the session on machine first with ID second.
type cursor struct{ first, second string }

// cursorSeparator separates the names; no name contains it.
const cursorSeparator = "\x00"

// maxName is the length of the longest name in bytes.
const maxName = 255

// maxCursor is the length of the longest cursor in bytes: that of an answer about a
// past moment.
var maxCursor = base64.RawURLEncoding.EncodedLen(len(digest{}) + binary.MaxVarintLen64 + 2*maxName + len(cursorSeparator))

// String returns the cursor as clients see it: opaque, of letters, digits, - and _.
func (c cursor) String() string { return base64.RawURLEncoding.EncodeToString([]byte(c.raw())) }

func (c cursor) raw() string {
	if c.second != "" {
		return c.first + cursorSeparator + c.second
	}
	return c.first
}

var errCursor = errors.New("cursor: not a cursor of rollcall's: omit it to start from the beginning")

// parseCursor is the inverse of String. "" is the cursor at the beginning.
func parseCursor(s string) (cursor, error) {
	if s == "" {
		return cursor{}, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return cursor{}, errCursor
	}
	return parseRaw(b)
}

// parseRaw is the inverse of raw.
func parseRaw(b []byte) (cursor, error) {
	//guard:false "an invalid cursor is refused" TestBadRequests
	if !utf8.Valid(b) {
		return cursor{}, errCursor
	}
	first, second, both := strings.Cut(string(b), cursorSeparator)
	c := cursor{first, second}
	if first == "" || len(first) > maxName || len(second) > maxName ||
		both && second == "" || strings.Contains(second, cursorSeparator) {
		return cursor{}, errCursor
	}
	return c, nil
}
