package api

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text writes a report as text for people: a line "machine: user, user" for each
// machine with somebody on, with names as Name returns them. It writes page by page,
// and keeps none in memory.
type Text struct {
	out     *bufio.Writer
	machine string // the machine of the unfinished line; "" if none
}

// NewText returns a Text that writes to w.
func NewText(w io.Writer) *Text { return &Text{out: bufio.NewWriter(w)} }

// Write writes the machines of a page. It doesn't end the last line, as the next page
// may continue it.
func (t *Text) Write(page *Report) error {
	for i := range page.Machines {
		m := &page.Machines[i]
		if len(m.Users) == 0 {
			continue
		}
		separator := ", "
		if m.Name != t.machine {
			t.end()
			t.machine, separator = m.Name, ""
			t.out.WriteString(Name(m.Name) + ": ")
		}
		for _, user := range m.Users {
			t.out.WriteString(separator)
			t.out.WriteString(Name(user))
			separator = ", "
		}
	}
	return t.out.Flush() // returns the first error of all writes
}

// Close ends the last line.
func (t *Text) Close() error {
	t.end()
	return t.out.Flush()
}

func (t *Text) end() {
	if t.machine != "" {
		t.out.WriteByte('\n')
		t.machine = ""
	}
}

// Name returns a name for a line "machine: user, user": unchanged, or as a JSON
// string if it begins with a quotation mark, begins or ends with white space, or has
// white space of any kind after a "," or ":". So each line is unambiguous: the
// machine's name ends at the first ": ", a user's at the next ", ", except for names
// that begin with a quotation mark.
func Name(name string) string {
	if !strings.HasPrefix(name, `"`) && strings.TrimSpace(name) == name && !divides(name) {
		return name
	}
	return Quote(name)
}

// divides reports whether a name could be read as two.
func divides(name string) bool {
	var before rune
	for _, c := range name {
		if unicode.IsSpace(c) && (before == ',' || before == ':') {
			return true
		}
		before = c
	}
	return false
}

// Quote returns a name as a JSON string, in which white space other than a plain
// space is escaped.
func Quote(name string) string {
	quoted := []byte{'"'}
	for _, c := range name {
		switch {
		case c == '"' || c == '\\':
			quoted = append(quoted, '\\', byte(c))
		case c != ' ' && unicode.IsSpace(c):
			quoted = fmt.Appendf(quoted, `\u%04x`, c)
		default:
			quoted = utf8.AppendRune(quoted, c)
		}
	}
	return string(append(quoted, '"'))
}
