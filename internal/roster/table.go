package roster

// keyed is a row that knows its key.
type keyed[K comparable] interface{ key() K }

// indexed is the number of rows from which a table keeps an index: fewer are
// found faster by looking at each.
const indexed = 24

// table is a set of rows by key, in no order: a slice, and beside it a map
// once the slice is long. Most machines have few sessions, and most users are
// on few machines; a map for each would cost more than the rows.
//
// Pointers into it are valid until the next put or remove.
type table[K comparable, R keyed[K]] struct {
	rows  []R
	index map[K]int32
}

func (t *table[K, R]) find(k K) *R {
	if t.index != nil {
		if i, ok := t.index[k]; ok {
			return &t.rows[i]
		}
		return nil
	}
	for i := range t.rows {
		if t.rows[i].key() == k {
			return &t.rows[i]
		}
	}
	return nil
}

// put adds a row whose key is not there yet, and returns where it stands.
func (t *table[K, R]) put(row R) *R {
	if len(t.rows) == cap(t.rows) {
		t.resize(len(t.rows) + len(t.rows)/4 + 1)
	}
	t.rows = append(t.rows, row)
	switch {
	case t.index != nil:
		t.index[row.key()] = int32(len(t.rows) - 1)
	case len(t.rows) >= indexed:
		t.reindex()
	}
	return &t.rows[len(t.rows)-1]
}

func (t *table[K, R]) remove(k K) {
	for i := range t.rows {
		if t.index != nil {
			i = int(t.index[k])
		}
		if t.rows[i].key() == k {
			t.removeRow(i)
			return
		}
	}
}

func (t *table[K, R]) removeRow(i int) {
	last := len(t.rows) - 1
	if t.index != nil {
		delete(t.index, t.rows[i].key())
		if i != last {
			t.index[t.rows[last].key()] = int32(i)
		}
	}
	t.rows[i] = t.rows[last]
	clear(t.rows[last:])
	t.rows = t.rows[:last]
	t.shrink()
}

// keep removes the rows that f does not want.
func (t *table[K, R]) keep(f func(*R) bool) {
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
	t.rows, t.index = kept, nil
	t.shrink()
	if len(t.rows) >= indexed {
		t.reindex()
	}
}

// shrink gives memory back when most of it is empty.
func (t *table[K, R]) shrink() {
	if len(t.rows) < indexed/2 {
		t.index = nil
	}
	if cap(t.rows) > 4 && len(t.rows) <= cap(t.rows)/4 {
		t.resize(len(t.rows))
	}
}

func (t *table[K, R]) resize(n int) {
	rows := make([]R, len(t.rows), n)
	copy(rows, t.rows)
	t.rows = rows
}

func (t *table[K, R]) reindex() {
	t.index = make(map[K]int32, len(t.rows))
	for i := range t.rows {
		t.index[t.rows[i].key()] = int32(i)
	}
}
