package mem

import "unsafe"

// Row is a row of a table.
type Row interface{ KeyHash() uint32 }

const (
	// minIndexedRows is the number of rows from which a table has an index: with
	// fewer, scanning them is faster.
	minIndexedRows = 24
	// minShrinkCap is the capacity up to which a table does not shrink.
	minShrinkCap = 16
	// minGrowthBytes is the least by which a table grows, except for its first row:
	// most tables never get a second.
	minGrowthBytes = 32
)

// Table is a set of rows by key, in no order: a slice, and an index once the
// slice is long. Most machines have few sessions, and most users are on few
// machines.
//
// Pointers into it are valid until a row is added or removed.
type Table[R Row] struct {
	Rows  []R
	Index Index // of positions in Rows, from 1; empty: Rows is scanned
}

// Indexed reports whether rows are found by the index.
func (t *Table[R]) Indexed() bool { return t.Index.Used > 0 }

// Lookup finds a row by the index and returns its position, or -1.
func (t *Table[R]) Lookup(hash uint32, is func(*R) bool) int {
	for number, next := t.Index.First(hash); number != 0; number, next = t.Index.Next(hash, next) {
		if i := int(number - 1); is(&t.Rows[i]) {
			return i
		}
	}
	return -1
}

// First returns the first row that a search for a hash finds, or nil.
func (t *Table[R]) First(hash uint32) *R {
	if t.Indexed() {
		if number, _ := t.Index.First(hash); number != 0 {
			return &t.Rows[number-1]
		}
		return nil
	}
	for i := range t.Rows {
		if row := &t.Rows[i]; (*row).KeyHash() == hash {
			return row
		}
	}
	return nil
}

// Put adds a row with a new key, and returns a pointer to it.
func (t *Table[R]) Put(row R) *R {
	if len(t.Rows) == cap(t.Rows) {
		t.grow()
	}
	t.Rows = append(t.Rows, row)
	switch {
	case t.Indexed():
		t.Index.Add(row.KeyHash(), uint32(len(t.Rows)))
	case len(t.Rows) >= minIndexedRows:
		t.Reindex()
	}
	return &t.Rows[len(t.Rows)-1]
}

// Remove removes the row at a position, and moves the last row there.
func (t *Table[R]) Remove(i int) {
	last := len(t.Rows) - 1
	if t.Indexed() {
		t.Index.Remove(t.Rows[i].KeyHash(), uint32(i+1))
		if i != last {
			t.Index.renumber(t.Rows[last].KeyHash(), uint32(last+1), uint32(i+1))
		}
	}
	t.Rows[i] = t.Rows[last]
	clear(t.Rows[last:])
	t.Rows = t.Rows[:last]
	t.shrink()
}

// Keep removes the rows for which f is false.
func (t *Table[R]) Keep(f func(*R) bool) {
	kept := t.Rows[:0]
	for i := range t.Rows {
		if f(&t.Rows[i]) {
			kept = append(kept, t.Rows[i])
		}
	}
	if len(kept) == len(t.Rows) {
		return
	}
	clear(t.Rows[len(kept):])
	t.Rows, t.Index = kept, Index{}
	t.shrink()
	t.Reindex()
}

// shrink releases memory when most of it is unused.
func (t *Table[R]) shrink() {
	if len(t.Rows) < minIndexedRows/2 {
		t.Index = Index{}
	}
	if cap(t.Rows) > minShrinkCap && len(t.Rows) <= cap(t.Rows)/4 {
		t.Resize(len(t.Rows))
	}
}

// grow allocates space for more rows.
func (t *Table[R]) grow() {
	n := len(t.Rows)
	if n == 0 {
		t.Resize(1)
		return
	}
	t.Resize(n + max(n/8+1, minGrowthBytes/int(unsafe.Sizeof(t.Rows[0]))))
}

// Resize allocates space for n rows, and for as many more as fit in the allocator's
// size class.
func (t *Table[R]) Resize(n int) {
	t.Rows = append(append([]R(nil), make([]R, n)...)[:0], t.Rows...)
}

// Reindex builds the index if the table is long enough for one.
func (t *Table[R]) Reindex() {
	if len(t.Rows) < minIndexedRows {
		return
	}
	t.Index = newIndex(slotsFor(len(t.Rows)))
	for i := range t.Rows {
		t.Index.Add(t.Rows[i].KeyHash(), uint32(i+1))
	}
}

// Clone returns a copy without an index; Reindex builds one.
func (t *Table[R]) Clone() Table[R] {
	return Table[R]{Rows: append([]R(nil), t.Rows...)}
}
