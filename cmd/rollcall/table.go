package main

import (
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/rivo/uniseg"

	"rollcall/internal/config"
)

// table is the output of a command in columns. Cells are untrusted: whatever they contain,
// they stay in their column and cannot control the terminal.
type table struct {
	header []string
	rows   []tableRow
	// whole names the columns that are never cut: a truncated time would be a wrong time.
	// names are cut last: a cut name is no name.
	whole, names []string
	// spare is a column that is left out before others, as they tell the same.
	spare string
	// wrap says that the last column is continued below instead of cut.
	wrap    bool
	colours bool
	// laid is how the rows written first are laid out, and with them those written later.
	laid *layout
}

type tableRow struct {
	cells  []string
	shades []colour // of the cells; nil: plain
}

// layout is the columns that are shown, and their widths.
type layout struct{ columns, widths []int }

func newTable(header ...string) *table {
	return &table{
		header: header,
		whole:  []string{"SINCE", "UNTIL", "LAST HEARD", "FOR", "END", "PLACE", "RECEIPT", "REASON", "COUNT", "NOTE"},
		names:  []string{"USER", "MACHINE"},
	}
}

// add adds a row with one cell per column.
func (t *table) add(cells ...string) { t.addPainted(cells, nil) }

// addPainted adds a row whose cells have colours.
func (t *table) addPainted(cells []string, shades []colour) {
	for i := range cells {
		cells[i] = printable(cells[i])
	}
	t.rows = append(t.rows, tableRow{cells, shades})
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
	gap      = 2 // spaces between columns
	ellipsis = "…"
)

// write writes the rows added since it was last called, in at most width columns. The
// first call writes the header and lays the columns out: those without any value are
// omitted, and details are cut first. Without rows it writes nothing.
func (t *table) write(out io.Writer, width int) error {
	if len(t.rows) == 0 {
		return nil
	}
	var b strings.Builder
	if t.laid == nil {
		t.layOut(width)
		t.writeRow(&b, tableRow{cells: t.header})
	}
	for _, row := range t.rows {
		t.writeRow(&b, row)
	}
	t.rows = t.rows[:0]
	_, err := io.WriteString(out, b.String())
	return err
}

// writeRow writes one row, each cell cut to the width of its column.
func (t *table) writeRow(b *strings.Builder, row tableRow) {
	last := len(t.laid.columns) - 1
	text := row.cells[t.laid.columns[last]]
	lines := []string{text}
	if t.wrap && text != "" {
		lines = config.Wrap(text, t.laid.widths[last])
	}
	for i, text := range lines {
		line, spaces := "", 0
		for at, column := range t.laid.columns {
			cell := row.cells[column]
			switch {
			case at == last:
				cell = text
			case i > 0:
				cell = ""
			}
			if cell = cut(cell, t.laid.widths[at]); cell != "" {
				line += strings.Repeat(" ", spaces) + t.painted(row, column, cell)
				spaces = 0
			}
			spaces += t.laid.widths[at] + gap - uniseg.StringWidth(cell)
		}
		b.WriteString(line + "\n")
	}
}

func (t *table) painted(row tableRow, column int, cell string) string {
	if !t.colours || row.shades == nil {
		return cell
	}
	return paint(cell, row.shades[column])
}

// layOut decides which columns are shown, and how wide they are: as their longest cells,
// but together at most the given width.
func (t *table) layOut(width int) {
	t.laid = &layout{}
	total := -gap
	for column, name := range t.header {
		widest := 0
		for _, row := range t.rows {
			widest = max(widest, uniseg.StringWidth(row.cells[column]))
		}
		if widest > 0 {
			t.laid.columns = append(t.laid.columns, column)
			t.laid.widths = append(t.laid.widths, max(widest, uniseg.StringWidth(name)))
			total += t.laid.widths[len(t.laid.widths)-1] + gap
		}
	}
	if len(t.laid.columns) == 0 { // rows of nothing
		t.laid = &layout{[]int{0}, []int{uniseg.StringWidth(t.header[0])}}
	}
	t.shrink(width, total)
}

// The widths that columns have at least, if the others leave room for them: an IPv4
// address is a detail of 15 columns.
const (
	detailWidth = 15
	nameWidth   = 12
	narrowName  = 8
	minColumn   = 4
)

// shrink makes the columns of this total width fit. Details are cut first, then left out:
// what is spare, and the others from the last on, but for one. Names are cut then, and the
// last detail is left out before they are cut to a few letters. What is left of the width
// goes to what was cut.
func (t *table) shrink(width, total int) {
	if total <= width {
		return
	}
	wanted := slices.Clone(t.laid.widths)
	leaveOut := func(i int) {
		total -= t.laid.widths[i] + gap
		t.laid.columns = slices.Delete(t.laid.columns, i, i+1)
		t.laid.widths = slices.Delete(t.laid.widths, i, i+1)
		wanted = slices.Delete(wanted, i, i+1)
	}
	total = t.cutTo(detailWidth, detail, width, total)
	for i := len(t.laid.columns) - 1; total > width && i >= 0; i-- {
		if t.header[t.laid.columns[i]] == t.spare {
			leaveOut(i)
		}
	}
	for i := len(t.laid.columns) - 1; total > width && i >= 0; i-- {
		if t.details() > 1 && t.kind(i) == detail {
			leaveOut(i)
		}
	}
	total = t.cutTo(nameWidth, name, width, total)
	total = t.cutTo(minColumn, detail, width, total)
	total = t.cutTo(narrowName, name, width, total)
	for i := len(t.laid.columns) - 1; total > width && i >= 0; i-- {
		if t.kind(i) == detail && len(t.laid.columns) > 1 {
			leaveOut(i)
		}
	}
	total = t.cutTo(minColumn, name, width, total)
	for i := range wanted {
		more := max(0, min(width-total, wanted[i]-t.laid.widths[i]))
		t.laid.widths[i] += more
		total += more
	}
}

// cutTo cuts the widest names, or the widest details, column by column, until the table
// fits, or all of them are as narrow as they may be.
func (t *table) cutTo(least int, of kind, width, total int) int {
	for ; total > width; total-- {
		widest, most := -1, least
		for i := range t.laid.columns {
			if t.laid.widths[i] > most && t.kind(i) == of {
				widest, most = i, t.laid.widths[i]
			}
		}
		if widest < 0 {
			break
		}
		t.laid.widths[widest]--
	}
	return total
}

// kind is how a column may be cut.
type kind int

const (
	detail kind = iota
	name
	whole // not at all
)

// kind returns the kind of a column that is shown.
func (t *table) kind(i int) kind {
	switch title := t.header[t.laid.columns[i]]; {
	case slices.Contains(t.whole, title):
		return whole
	case slices.Contains(t.names, title):
		return name
	}
	return detail
}

func (t *table) details() (n int) {
	for i := range t.laid.columns {
		n += count(t.kind(i) == detail)
	}
	return n
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
