package report

import (
	"encoding/base64"
	"errors"
	"strings"
	"unicode/utf8"
)

// cursor is where an answer ended: after a machine or, when user isn't empty,
// within it after that user.
type cursor struct{ machine, user string }

// cursorSeparator stands between the names; no name contains it.
const cursorSeparator = "\x00"

// maxName is the length of the longest name in bytes.
const maxName = 255

// maxCursor is the length of the longest cursor in bytes.
var maxCursor = base64.RawURLEncoding.EncodedLen(2*maxName + len(cursorSeparator))

// String is the cursor as clients see it: opaque, of letters, digits, - and _.
func (c cursor) String() string {
	s := c.machine
	if c.user != "" {
		s += cursorSeparator + c.user
	}
	return base64.RawURLEncoding.EncodeToString([]byte(s))
}

var errCursor = errors.New("cursor: not one that rollcall gave: leave it out to begin anew")

// parseCursor is the inverse of String. "" is the cursor before everything.
func parseCursor(s string) (cursor, error) {
	if s == "" {
		return cursor{}, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || !utf8.Valid(b) {
		return cursor{}, errCursor
	}
	machine, user, within := strings.Cut(string(b), cursorSeparator)
	c := cursor{machine, user}
	if machine == "" || len(machine) > maxName || len(user) > maxName ||
		within && user == "" || strings.Contains(user, cursorSeparator) {
		return cursor{}, errCursor
	}
	return c, nil
}
