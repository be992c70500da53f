package main

import (
	"io"
	"os"
	"slices"
	"strings"
	"unicode"

	"github.com/rivo/uniseg"
	"golang.org/x/term"

	"rollcall/internal/config"
)

// plainWidth is the width in columns if the output is no terminal.
const plainWidth = 80

// width returns the width of a stream in columns.
func width(out io.Writer) int {
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			return w
		}
	}
	return plainWidth
}

// table is the output of a command in columns. Cells are untrusted: whatever they contain,
// they stay in their column and cannot control the terminal.
type table struct {
	header []string
	rows   [][]string
	// whole names the columns that are never cut: a truncated time would be a wrong time.
	whole []string
	// wrap says that the last column is continued below instead of cut.
	wrap bool
}

func newTable(header ...string) *table {
	return &table{header: header, whole: []string{"SINCE", "UNTIL", "LAST HEARD", "FOR", "END", "PLACE", "RECEIPT", "REASON"}}
}

// add adds a row with one cell per column.
func (t *table) add(cells ...string) {
	for i := range cells {
		cells[i] = printable(cells[i])
	}
	t.rows = append(t.rows, cells)
}

// printable replaces each character that is invisible or would move the cursor by the
// replacement character.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

const (
	gap       = 2 // spaces between columns
	minColumn = 4 // the least width of a column that is cut
	ellipsis  = "…"
)

// write writes the table in at most width columns, cutting the widest columns first.
// Columns without any value are omitted. Without rows it writes nothing.
func (t *table) write(out io.Writer, width int) error {
	if len(t.rows) == 0 {
		return nil
	}
	t.dropEmpty()
	widths := t.widths(width)
	var b strings.Builder
	for _, row := range append([][]string{t.header}, t.rows...) {
		last := len(row) - 1
		lines := []string{row[last]}
		if t.wrap && row[last] != "" {
			lines = config.Wrap(row[last], widths[last])
		}
		for i, text := range lines {
			if i > 0 {
				row = make([]string, len(row))
			}
			row[last] = text
			writeRow(&b, row, widths)
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// writeRow writes one row, each cell cut to the width of its column.
func writeRow(b *strings.Builder, row []string, widths []int) {
	line := ""
	for i, cell := range row {
		cell = cut(cell, widths[i])
		line += cell + strings.Repeat(" ", widths[i]+gap-uniseg.StringWidth(cell))
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
}

// dropEmpty removes the columns without any value.
func (t *table) dropEmpty() {
	for column := len(t.header) - 1; column >= 0; column-- {
		empty := true
		for _, row := range t.rows {
			empty = empty && row[column] == ""
		}
		if !empty {
			continue
		}
		t.header = append(t.header[:column:column], t.header[column+1:]...)
		for i, row := range t.rows {
			t.rows[i] = append(row[:column:column], row[column+1:]...)
		}
	}
}

// widths returns the widths of the columns: those of their longest cells, but together at
// most the given width.
func (t *table) widths(width int) []int {
	widths := make([]int, len(t.header))
	total := -gap
	for column, name := range t.header {
		widths[column] = uniseg.StringWidth(name)
		for _, row := range t.rows {
			widths[column] = max(widths[column], uniseg.StringWidth(row[column]))
		}
		total += widths[column] + gap
	}
	for total > width {
		widest := t.widest(widths)
		if widest < 0 {
			break
		}
		widths[widest]--
		total--
	}
	return widths
}

// widest returns the widest column that may be cut, or -1.
func (t *table) widest(widths []int) int {
	widest, most := -1, minColumn
	for column, name := range t.header {
		if widths[column] > most && !slices.Contains(t.whole, name) {
			widest, most = column, widths[column]
		}
	}
	return widest
}

// cut cuts a text to the width in columns.
func cut(text string, width int) string {
	if uniseg.StringWidth(text) <= width {
		return text
	}
	var b strings.Builder
	left, state := width-uniseg.StringWidth(ellipsis), -1
	for text != "" {
		var cluster string
		var wide int
		cluster, text, wide, state = uniseg.FirstGraphemeClusterInString(text, state)
		if left -= wide; left < 0 {
			break
		}
		b.WriteString(cluster)
	}
	return b.String() + ellipsis
}
