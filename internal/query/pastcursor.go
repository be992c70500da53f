package query

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"rollcall/internal/history"
	"rollcall/internal/roster"
)

// digest identifies a question about the past: its cursors begin with it, so that
// nobody gets an answer made of two questions.
type digest [8]byte

// digestOf returns the digest of a request without its cursor and limit.
func digestOf(endpoint string, request any) (d digest) {
	b, err := json.Marshal(request)
	if err != nil {
		panic(err) // strings and numbers
	}
	sum := sha256.Sum256(append([]byte(endpoint), b...))
	copy(d[:], sum[:])
	return d
}

var errOtherQuestion = errors.New("cursor: belongs to another question: omit it to ask again")

func (d digest) cursor(rest []byte) string {
	return base64.RawURLEncoding.EncodeToString(append(d[:], rest...))
}

// parse is the inverse of cursor.
func (d digest) parse(s string) (rest []byte, err error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	switch {
	case err != nil || len(b) < len(d):
		return nil, errCursor
	//guard:false "no answer is made of two questions" TestPastCursors
	case digest(b[:len(d)]) != d:
		return nil, errOtherQuestion
	}
	return b[len(d):], nil
}

// momentCursor returns the cursor of an answer about a moment.
func (d digest) momentCursor(at roster.Time, after cursor) string {
	return d.cursor(append(binary.AppendVarint(nil, int64(at)), after.raw()...))
}

func (d digest) parseMoment(s string) (at roster.Time, after cursor, err error) {
	rest, err := d.parse(s)
	if err != nil {
		return 0, cursor{}, err
	}
	n, size := binary.Varint(rest)
	//guard:drop n<0 "a cursor that was made up is refused" TestPastCursors
	if size <= 0 || n < 0 || roster.Time(n) > roster.MaxDate {
		return 0, cursor{}, errCursor
	}
	after, err = parseRaw(rest[size:], 3)
	return roster.Time(n), after, err
}

// stayCursor returns the cursor of a history.
func (d digest) stayCursor(k *history.StayKey) string {
	var b []byte
	for _, n := range []int64{int64(k.Since), k.Machine, int64(k.Class), k.N, k.User} {
		b = binary.AppendVarint(b, n)
	}
	return d.cursor(append(b, k.Session...))
}

func (d digest) parseStay(s string) (*history.StayKey, error) {
	rest, err := d.parse(s)
	if err != nil {
		return nil, err
	}
	var n [5]int64
	for i := range n {
		size := 0
		if n[i], size = binary.Varint(rest); size <= 0 || n[i] < 0 {
			return nil, errCursor
		}
		rest = rest[size:]
	}
	if len(rest) > maxName || !utf8.Valid(rest) {
		return nil, errCursor
	}
	return &history.StayKey{Since: roster.Time(n[0]), Machine: n[1], Class: int(n[2]), N: n[3], User: n[4], Session: string(rest)}, nil
}
