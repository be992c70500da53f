package api

import (
	"strings"
	"unicode/utf8"
)

// Matches reports whether a name matches a pattern, in which "*" matches any text,
// even none, "?" matches any one character, "[ab0-9]" one of those in the brackets, "[!ab]"
// or "[^ab]" one that is none of them, and everything else matches itself, also a "[" without
// a "]". A name that is equal to the pattern matches, and the empty pattern matches every
// name. The time is at most proportional to the product
// of the lengths.
func Matches(pattern, name string) bool {
	if pattern == "" || pattern == name {
		return true
	}
	// star is the position of the last "*", rest the part of the name after the text
	// that it matches so far. If rest doesn't match what follows the star, the star
	// matches one character more.
	star, rest := -1, ""
	p := 0
	for name != "" {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, rest = p, name
			p++
		case p < len(pattern) && pattern[p] == '?':
			_, n := utf8.DecodeRuneInString(name)
			name = name[n:]
			p++
		case p < len(pattern) && pattern[p] == '[' && inClass(pattern[p:], name):
			_, n := utf8.DecodeRuneInString(name)
			name = name[n:]
			p += classLen(pattern[p:])
		case p < len(pattern) && pattern[p] == name[0] && classLen(pattern[p:]) == 0:
			name = name[1:]
			p++
		case star >= 0:
			_, n := utf8.DecodeRuneInString(rest)
			rest = rest[n:]
			name, p = rest, star+1
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// IsPattern reports whether a text has a wildcard or a class, so that it can match other
// names than itself; see [Matches].
func IsPattern(text string) bool {
	for i := range len(text) {
		if text[i] == '*' || text[i] == '?' || classLen(text[i:]) > 0 {
			return true
		}
	}
	return false
}

// classLen returns the length of the class that a pattern begins with, such as "[ab]"; 0 if
// it begins with none. A "]" that comes first in a class belongs to it.
func classLen(pattern string) int {
	if !strings.HasPrefix(pattern, "[") {
		return 0
	}
	first := len("[]")
	if strings.HasPrefix(pattern, "[!") || strings.HasPrefix(pattern, "[^") {
		first = len("[!]")
	}
	if len(pattern) < first {
		return 0
	}
	end := strings.IndexByte(pattern[first:], ']')
	if end < 0 {
		return 0
	}
	return first + end + 1
}

// inClass reports whether the first character of a name is in the class that a pattern
// begins with.
func inClass(pattern, name string) bool {
	n := classLen(pattern)
	if n == 0 {
		return false
	}
	wanted, _ := utf8.DecodeRuneInString(name)
	class := pattern[1 : n-1]
	not := class[0] == '!' || class[0] == '^'
	if not {
		class = class[1:]
	}
	in := false
	for runes := []rune(class); len(runes) > 0; {
		low, high := runes[0], runes[0]
		if len(runes) > 2 && runes[1] == '-' {
			high, runes = runes[2], runes[2:]
		}
		in = in || low <= wanted && wanted <= high
		runes = runes[1:]
	}
	return in != not
}

// Contains reports whether a name contains a part, in upper or lower case. Every name
// contains the empty part.
func Contains(name, part string) bool { return strings.Contains(Fold(name), Fold(part)) }

// Fold returns a text in lower case, and letters with several lower cases, such as σ and
// ς, as one of them.
func Fold(text string) string {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return strings.ToLower(strings.ToUpper(text))
		}
	}
	return strings.ToLower(text)
}
