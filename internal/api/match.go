package api

import "unicode/utf8"

// Matches reports whether a name matches a pattern, in which "*" matches any text,
// even none, "?" matches any one character, and everything else matches itself. The
// empty pattern matches every name. The time is at most proportional to the product
// of the lengths.
func Matches(pattern, name string) bool {
	if pattern == "" {
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
		case p < len(pattern) && pattern[p] == name[0]:
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
