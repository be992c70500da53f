package wire

import (
	"fmt"
	"strconv"
	"unicode/utf8"

	"rollcall/internal/roster"
)

const (
	// maxProblem is the length in bytes that a problem is cut to: it goes into
	// a header and on one line.
	maxProblem = 200
	// quoted is how many bytes of hostile text are quoted.
	quoted = 32
)

// refuse returns a refusal. The caller must quote text from outside in args.
func refuse(reason roster.Reason, remedy, format string, args ...any) *roster.Refusal {
	//guard:set cut(...) "fmt.Sprintf(format, args...)" "a refusal has at most 200 bytes" TestRefused
	return &roster.Refusal{Reason: reason, Problem: cut(fmt.Sprintf(format, args...), maxProblem), Remedy: remedy}
}

func malformed(remedy, format string, args ...any) *roster.Refusal {
	return refuse(roster.Malformed, remedy, format, args...)
}

// quote returns the beginning of s in double quotes, printable on one line
// whatever it contains.
func quote(s string) string {
	if start := cut(s, quoted); len(start) != len(s) {
		return strconv.Quote(start[:len(start)-len(ellipsis)]) + ellipsis
	}
	return strconv.Quote(s)
}

const ellipsis = "…"

// cut shortens s to at most n bytes, with an ellipsis in place of the rest. It does
// not cut a character in two.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	n -= len(ellipsis)
	for back := 0; back < utf8.UTFMax && n > 0 && !utf8.RuneStart(s[n]); back++ {
		n--
	}
	return s[:n] + ellipsis
}

// isText reports whether a payload begins like text.
func isText(payload []byte) bool {
	const prefix = 16
	start := string(payload[:min(len(payload), prefix)])
	for i, r := range start {
		switch {
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r == 0x7f:
			return false
		case r == utf8.RuneError && i <= len(start)-utf8.UTFMax: // else cut by the prefix
			return false
		}
	}
	return start != ""
}
