package roster

import "unsafe"

// row is what a table keeps: it knows the hash of its key.
type row interface{ keyHash() uint32 }

const (
	// manyRows is the number of rows from which a table keeps an index: fewer
	// are found faster by looking at each.
	manyRows = 24
	// spare is the room that a table keeps although it is empty.
	spare = 16
	// growth is by how many bytes a table grows at the least, but for its first
	// row: most never get a second.
	growth = 32
)

// table is a set of rows by key, in no order: a slice, and beside it an index
// once the slice is long. Most machines have few sessions, and most users are
// on few machines.
//
// Pointers into it are valid until the next put or remove.
type table[R row] struct {
	rows  []R
	index index // of positions in rows, from 1; empty: look at each row
}

// indexed reports whether rows are found by the index.
func (t *table[R]) indexed() bool { return t.index.used > 0 }

// lookup returns the position of a row by the index, or -1.
func (t *table[R]) lookup(hash uint32, is func(*R) bool) int {
	for number, next := t.index.first(hash); number != 0; number, next = t.index.next(hash, next) {
		if i := int(number - 1); is(&t.rows[i]) {
			return i
		}
	}
	return -1
}

// first returns the first row that a search for a hash finds, or nil.
func (t *table[R]) first(hash uint32) *R {
	if t.indexed() {
		if number, _ := t.index.first(hash); number != 0 {
			return &t.rows[number-1]
		}
		return nil
	}
	for i := range t.rows {
		if row := &t.rows[i]; (*row).keyHash() == hash {
			return row
		}
	}
	return nil
}

// put adds a row whose key is not there yet, and returns where it stands.
func (t *table[R]) put(row R) *R {
	if len(t.rows) == cap(t.rows) {
		t.grow()
	}
	t.rows = append(t.rows, row)
	switch {
	case t.indexed():
		t.index.add(row.keyHash(), uint32(len(t.rows)))
	case len(t.rows) >= manyRows:
		t.reindex()
	}
	return &t.rows[len(t.rows)-1]
}

// remove removes the row at a position. The last one takes its place.
func (t *table[R]) remove(i int) {
	last := len(t.rows) - 1
	if t.indexed() {
		t.index.remove(t.rows[i].keyHash(), uint32(i+1))
		if i != last {
			t.index.renumber(t.rows[last].keyHash(), uint32(last+1), uint32(i+1))
		}
	}
	t.rows[i] = t.rows[last]
	clear(t.rows[last:])
	t.rows = t.rows[:last]
	t.shrink()
}

// keep removes the rows that f does not want.
func (t *table[R]) keep(f func(*R) bool) {
	kept := t.rows[:0]
	for i := range t.rows {
		if f(&t.rows[i]) {
			kept = append(kept, t.rows[i])
		}
	}
	if len(kept) == len(t.rows) {
		return
	}
	clear(t.rows[len(kept):])
	t.rows, t.index = kept, index{}
	t.shrink()
	t.reindex()
}

// shrink gives memory back when most of it is empty.
func (t *table[R]) shrink() {
	if len(t.rows) < manyRows/2 {
		t.index = index{}
	}
	if cap(t.rows) > spare && len(t.rows) <= cap(t.rows)/4 {
		t.resize(len(t.rows))
	}
}

// grow makes room for more rows.
func (t *table[R]) grow() {
	n := len(t.rows)
	if n == 0 {
		t.resize(1)
		return
	}
	t.resize(n + max(n/8+1, growth/int(unsafe.Sizeof(t.rows[0]))))
}

// resize makes room for n rows, and for as many more as the allocator gives
// with them.
func (t *table[R]) resize(n int) {
	t.rows = append(append([]R(nil), make([]R, n)...)[:0], t.rows...)
}

// reindex makes an index if the table is long enough for one.
func (t *table[R]) reindex() {
	if len(t.rows) < manyRows {
		return
	}
	t.index = newIndex(slotsFor(len(t.rows)))
	for i := range t.rows {
		t.index.add(t.rows[i].keyHash(), uint32(i+1))
	}
}

// clone returns a copy without an index: see reindex.
func (t *table[R]) clone() table[R] {
	return table[R]{rows: append([]R(nil), t.rows...)}
}
