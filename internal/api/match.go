package api

import "unicode/utf8"

// Matches reports whether a name is one that a pattern means: in it "*" is any
// text, none included, "?" any one character, and all else is itself. The empty
// pattern means every name. It takes no more than the product of the lengths.
func Matches(pattern, name string) bool {
	if pattern == "" {
		return true
	}
	// The last star, and the name's rest that it was tried with last: where what
	// follows the star doesn't match, the star takes a character more.
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
