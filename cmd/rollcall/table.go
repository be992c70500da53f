package main

import (
	"io"
	"os"
	"slices"
	"strings"
	"unicode"

	"github.com/rivo/uniseg"
	"golang.org/x/term"
)

// plainWidth is how many columns there are where there is no terminal to ask.
const plainWidth = 80

// width is how many columns a stream has.
func width(out io.Writer) int {
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			return w
		}
	}
	return plainWidth
}

// table is what a command prints in columns. Cells come from outside: whatever
// is in them, they stay in their place and do nothing to a terminal.
type table struct {
	header []string
	rows   [][]string
	// whole are the columns, by name, that are never cut: a part of a time says
	// something else.
	whole []string
	// wrap says that the last column goes on below, in place of being cut.
	wrap bool
}

func newTable(header ...string) *table {
	return &table{header: header, whole: []string{"SINCE", "UNTIL", "LAST HEARD", "FOR", "END", "PLACE", "RECEIPT", "REASON"}}
}

// add adds a row, a cell for each column.
func (t *table) add(cells ...string) {
	for i := range cells {
		cells[i] = harmless(cells[i])
	}
	t.rows = append(t.rows, cells)
}

// harmless returns text from outside with a sign in place of each character that
// would move the cursor, or not be seen.
func harmless(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

const (
	gap        = 2 // spaces between columns
	leastCells = 4 // how narrow a column may become, unless it is so anyway
	ellipsis   = "…"
)

// write writes the table in lines of at most so many columns: the widest
// columns are cut where it would be wider. Columns without any value are left
// out. It writes nothing if there are no rows.
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
			lines = wrap(row[last], widths[last])
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

// writeRow writes a line of cells, each cut to the width of its column.
func writeRow(b *strings.Builder, row []string, widths []int) {
	line := ""
	for i, cell := range row {
		cell = cut(cell, widths[i])
		line += cell + strings.Repeat(" ", widths[i]+gap-uniseg.StringWidth(cell))
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
}

// dropEmpty leaves out the columns without any value.
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

// widths returns how wide the columns are: as wide as what is in them, but
// together not more than the width.
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
	widest, most := -1, leastCells
	for column, name := range t.header {
		if widths[column] > most && !slices.Contains(t.whole, name) {
			widest, most = column, widths[column]
		}
	}
	return widest
}

// cut returns as much of a text as fits into so many columns.
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
