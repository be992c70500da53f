package main

import (
	"strings"
	"unicode"
)

// joinBash joins the words that bash has divided at ":" and "@", and takes backslashes away.
// kept is how much of the last word stays on the command line: bash replaces only what
// follows the last divider.
func joinBash(words []string) (joined []string, kept string) {
	divides := func(word string) bool { return word == ":" || word == "@" }
	for i, word := range words {
		if i == 0 || !divides(word) && !divides(words[i-1]) {
			joined, kept = append(joined, word), ""
			continue
		}
		last := &joined[len(joined)-1]
		if kept = *last; divides(word) {
			kept += word
		}
		*last += word
	}
	for i := range joined {
		joined[i] = unquoteBash(joined[i])
	}
	return joined, kept
}

// unquoteBash takes the backslashes of a word away. What has quotation marks or an
// expansion is not a name that can be completed: nothing begins with the word returned.
func unquoteBash(word string) string {
	var b strings.Builder
	quoted := false
	for _, r := range word {
		switch {
		case quoted:
			b.WriteRune(r)
			quoted = false
		case r == '\\':
			quoted = true
		case strings.ContainsRune("\"'`$", r):
			return "\x00"
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// quoteForBash puts a backslash before each character but letters, digits and . _ @ : + - =
// and /, which mean nothing to a shell.
func quoteForBash(text string) string {
	var b strings.Builder
	for _, r := range text {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._@:+-=/", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
