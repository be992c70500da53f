package wire

import (
	"fmt"
	"unicode"
)

// maxName is the length of the longest name in bytes.
const maxName = 255

// nameProblem says what keeps a text from being a name of a machine, user or
// session, or a terminal, remote or service: its length, or a character that
// does not show. Of the empty text, which is no name given, it says nothing. The
// text must be valid UTF-8.
func nameProblem(s string) string {
	if len(s) > maxName {
		return fmt.Sprintf("%d bytes, at most %d", len(s), maxName)
	}
	if isVisible(s) {
		return ""
	}
	for at, r := range s {
		switch {
		case unicode.IsControl(r):
			return fmt.Sprintf("control character U+%04X at byte %d", r, at)
		case unicode.Is(hidden, r):
			return fmt.Sprintf("invisible character U+%04X at byte %d", r, at)
		}
	}
	return ""
}

// isVisible reports whether a text is all of ASCII that shows, as next to all
// names are. It looks at eight bytes at a time: within that range none of the
// three sums sets a byte's highest bit, and the lowest byte outside it does.
func isVisible[T string | []byte](s T) bool {
	const ones, highest = 0x0101010101010101, 0x8080808080808080
	for ; len(s) >= 8; s = s[8:] {
		x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		if (x|(x+ones)|(x-' '*ones))&highest != 0 {
			return false
		}
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// hidden are the characters that steer the direction of text, have no width or
// break the line: with them two names that differ can look the same, and a
// report can show what it does not say.
var hidden = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x061c, Hi: 0x061c, Stride: 1}, // Arabic letter mark
		{Lo: 0x180e, Hi: 0x180e, Stride: 1}, // Mongolian vowel separator
		{Lo: 0x200b, Hi: 0x200f, Stride: 1}, // zero-width space to right-to-left mark
		{Lo: 0x2028, Hi: 0x202e, Stride: 1}, // line and paragraph separators, embeddings, overrides
		{Lo: 0x2060, Hi: 0x206f, Stride: 1}, // word joiner, invisible operators, isolates
		{Lo: 0xfeff, Hi: 0xfeff, Stride: 1}, // zero-width no-break space, the byte-order mark
	},
	R32: []unicode.Range32{
		{Lo: 0xe0000, Hi: 0xe007f, Stride: 1}, // tags
	},
}
