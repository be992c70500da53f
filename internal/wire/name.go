package wire

import (
	"fmt"
	"strings"
	"unicode"
)

// maxName is the length of the longest name in bytes.
const maxName = 255

// nameProblem says what keeps a text from being a name of a machine, user or
// session, or a terminal, remote or service: its length, a character that does
// not show, or nothing but white space. Of the empty text, which is no name
// given, it says nothing. The text must be valid UTF-8.
//
// White space within a name, before and behind it stays: it is part of real
// names, and what prints names can show it. Which characters look alike is not
// asked.
func nameProblem(s string) string {
	//guard:false "a name fits a subject, a cursor and a label" TestRefused
	if len(s) > maxName {
		return fmt.Sprintf("%d bytes, at most %d", len(s), maxName)
	}
	if isVisible(s) {
		if s != "" && s[0] == ' ' && strings.TrimLeft(s, " ") == "" {
			return blank
		}
		return ""
	}
	before, shows := rune(0), false
	for at, r := range s {
		switch {
		//guard:false "no name breaks a line, a log or a terminal" TestRefused
		case unicode.IsControl(r):
			return fmt.Sprintf("control character U+%04X at byte %d", r, at)
		//guard:false "names that differ look different" TestRefused
		case isHidden(before, r):
			return fmt.Sprintf("invisible character U+%04X at byte %d", r, at)
		}
		before, shows = r, shows || !unicode.IsSpace(r)
	}
	if !shows {
		return blank
	}
	return ""
}

const blank = "nothing but white space"

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

// isHidden reports whether a character does not show behind the one before it:
// what steers the direction of text, has no width, breaks the line or is drawn
// as nothing. With it two names that differ look the same, and a report can show
// what it does not say.
//
// These are all of Unicode's Default_Ignorable_Code_Point, and some that are not
// in it. A variation selector has no width either, but chooses among the forms
// of a Han or Mongolian character or a symbol, as real names do; behind anything
// else it is invisible.
func isHidden(before, r rune) bool {
	switch {
	case unicode.Is(unicode.Variation_Selector, r):
		return !hasForms(before, r)
	case unicode.Is(unicode.Cf, r):
		return !unicode.Is(unicode.Prepended_Concatenation_Mark, r) // signs that show, over numbers
	}
	return unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Zl, unicode.Zp, blanks)
}

// hasForms reports whether a character can have the form that a variation
// selector asks for.
func hasForms(r, selector rune) bool {
	if selector < 0xFE00 { // U+180B to U+180F
		return unicode.Is(unicode.Mongolian, r) && !unicode.Is(unicode.Variation_Selector, r)
	}
	return unicode.In(r, unicode.Han, unicode.So)
}

// blanks are letters and symbols that are drawn as nothing.
var blanks = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x2800, Hi: 0x2800, Stride: 1}, // Braille pattern blank
	},
	R32: []unicode.Range32{
		{Lo: 0x13441, Hi: 0x13442, Stride: 1}, // Egyptian hieroglyph full and half blank
		{Lo: 0x16fe4, Hi: 0x16fe4, Stride: 1}, // Khitan small script filler
		{Lo: 0x1d159, Hi: 0x1d159, Stride: 1}, // musical symbol null notehead
	},
}
