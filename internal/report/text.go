package report

import (
	"bufio"
	"io"
)

// Text writes a report as people read it: a line "machine: user, user" for each
// machine that somebody is on. It takes page after page, and keeps none.
type Text struct {
	out     *bufio.Writer
	machine string // whose line is still open; "" is none
}

// NewText returns a Text that writes to w.
func NewText(w io.Writer) *Text { return &Text{out: bufio.NewWriter(w)} }

// Write writes the machines of a page. The last one's line stays open, as the
// next page may go on with it.
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
			t.out.WriteString(m.Name + ": ")
		}
		for _, user := range m.Users {
			t.out.WriteString(separator)
			t.out.WriteString(user)
			separator = ", "
		}
	}
	return t.out.Flush() // has the first error of all that was written
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
