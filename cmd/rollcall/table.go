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
	wanted  []int   // how wide the cells of each column are so far
	laid    *layout // how the last rows were laid out
}

type tableRow struct {
	cells  []string
	shades []colour // of the cells; nil: plain
}

// layout is the columns that are shown, and their widths.
type layout struct{ columns, widths []int }

func (l *layout) equal(o *layout) bool {
	return slices.Equal(l.columns, o.columns) && slices.Equal(l.widths, o.widths)
}

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

// write writes the rows added since it was last called, in at most width columns. Columns
// without any value so far are omitted. The header is written first, and again if rows need
// another layout than those before.
func (t *table) write(out io.Writer, width int) error {
	if len(t.rows) == 0 {
		return nil
	}
	var b strings.Builder
	if laid := t.layOut(width); t.laid == nil || !laid.equal(t.laid) {
		t.laid = laid
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

// layOut returns which columns are shown, and how wide they are: as the longest cells so
// far, but together at most the given width.
func (t *table) layOut(width int) *layout {
	if t.wanted == nil {
		t.wanted = make([]int, len(t.header))
	}
	l, total := &layout{}, -gap
	for column, title := range t.header {
		for _, row := range t.rows {
			t.wanted[column] = max(t.wanted[column], uniseg.StringWidth(row.cells[column]))
		}
		if t.wanted[column] > 0 {
			l.columns = append(l.columns, column)
			l.widths = append(l.widths, max(t.wanted[column], uniseg.StringWidth(title)))
			total += l.widths[len(l.widths)-1] + gap
		}
	}
	if len(l.columns) == 0 { // rows of nothing
		return &layout{[]int{0}, []int{uniseg.StringWidth(t.header[0])}}
	}
	if total > width {
		s := &shrinking{table: t, layout: l, wanted: slices.Clone(l.widths), width: width, total: total}
		s.shrink()
	}
	return l
}

// The widths that columns have at least, if the others leave room for them: an IPv4
// address is a detail of 15 columns.
const (
	detailWidth = 15
	nameWidth   = 12
	narrowName  = 8
	minColumn   = 4
)

// shrinking makes the columns of a layout fit a width.
type shrinking struct {
	*table
	*layout
	wanted       []int // how wide the columns want to be
	width, total int   // that there is, and that the columns have
}

// shrink cuts details first, then leaves them out: what is spare, and the others from the
// last on, but for one. Names are cut then, and the last detail is left out before they are
// cut to a few letters. What is left of the width goes to what was cut.
func (s *shrinking) shrink() {
	s.cutTo(detailWidth, isDetail)
	s.leaveOut(0, func(i int) bool { return s.header[s.columns[i]] == s.spare })
	s.leaveOut(1, func(i int) bool { return s.kind(i) == isDetail })
	s.cutTo(nameWidth, isName)
	s.cutTo(minColumn, isDetail)
	s.cutTo(narrowName, isName)
	s.leaveOut(0, func(i int) bool { return s.kind(i) == isDetail })
	s.cutTo(minColumn, isName)
	for i := range s.wanted {
		more := max(0, min(s.width-s.total, s.wanted[i]-s.widths[i]))
		s.widths[i] += more
		s.total += more
	}
}

// cutTo cuts the widest columns of a kind until the table fits, or all of them are as
// narrow as they may be.
func (s *shrinking) cutTo(least int, kind columnKind) {
	for ; s.total > s.width; s.total-- {
		widest, most := -1, least
		for i := range s.columns {
			if s.widths[i] > most && s.kind(i) == kind {
				widest, most = i, s.widths[i]
			}
		}
		if widest < 0 {
			return
		}
		s.widths[widest]--
	}
}

// leaveOut leaves out columns, from the last on, until the table fits. It keeps so many of
// those that may be left out, and one column of all.
func (s *shrinking) leaveOut(keep int, may func(i int) bool) {
	left := 0
	for i := range s.columns {
		left += count(may(i))
	}
	for i := len(s.columns) - 1; i >= 0 && s.total > s.width && left > keep && len(s.columns) > 1; i-- {
		if !may(i) {
			continue
		}
		left--
		s.total -= s.widths[i] + gap
		s.columns = slices.Delete(s.columns, i, i+1)
		s.widths = slices.Delete(s.widths, i, i+1)
		s.wanted = slices.Delete(s.wanted, i, i+1)
	}
}

// columnKind is how a column may be cut.
type columnKind int

const (
	isDetail columnKind = iota
	isName
	isWhole // is not cut at all
)

// kind returns the kind of a column that is shown.
func (s *shrinking) kind(i int) columnKind {
	switch title := s.header[s.columns[i]]; {
	case slices.Contains(s.whole, title):
		return isWhole
	case slices.Contains(s.names, title):
		return isName
	}
	return isDetail
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
