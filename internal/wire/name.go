package wire

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is the length of the longest name in bytes.
const maxName = 255

// NameProblem returns why a text cannot be the name of a machine, user or session,
// or a terminal, remote or service: it is too long, not valid UTF-8, has an invisible
// character, or is only white space. It returns "" if the text is valid, or empty,
// which means that no name is given.
//
// White space before, within and after a name is kept: it is part of real names, and
// whatever prints names can show it. Look-alike characters are not checked.
func NameProblem(s string) string {
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
	//guard:false "an agent has a name that the service accepts" ./internal/config:TestAgentValues
	if !utf8.ValidString(s) {
		return "not valid UTF-8"
	}
	before, visible := rune(0), false
	for at, r := range s {
		switch {
		//guard:false "no name breaks a line, a log or a terminal" TestRefused
		case unicode.IsControl(r):
			return fmt.Sprintf("control character U+%04X at byte %d", r, at)
		//guard:false "different names do not look the same" TestRefused
		case isHidden(before, r):
			return fmt.Sprintf("invisible character U+%04X at byte %d", r, at)
		}
		before, visible = r, visible || !unicode.IsSpace(r)
	}
	if !visible {
		return blank
	}
	return ""
}

const blank = "only white space"

// isVisible reports whether all bytes of a text are from ' ' to '~', as in nearly
// all names. It checks eight bytes at a time: if they are in that range none of the
// three sums sets the highest bit of a byte; otherwise the lowest byte outside the
// range sets it.
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

// isHidden reports whether a character is invisible after the one before it: it
// controls the direction of text, has no width, breaks the line or is drawn as
// nothing. Such characters make different names look the same, and let a report show
// something else than it contains.
//
// These are all of Unicode's Default_Ignorable_Code_Point, and some others. A
// variation selector has no width either, but it selects a form of a Han or
// Mongolian character or of a symbol, and real names contain it; after anything
// else it is invisible.
func isHidden(before, r rune) bool {
	switch {
	case unicode.Is(unicode.Variation_Selector, r):
		return !hasForms(before, r)
	case unicode.Is(unicode.Cf, r):
		return !unicode.Is(unicode.Prepended_Concatenation_Mark, r) // visible signs over numbers
	}
	return unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Zl, unicode.Zp, blanks)
}

// hasForms reports whether a character can have the form that a variation
// selector selects.
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
