package roster

// bulkIndex builds the index by user for a restored roster. It collects the pairs of
// user and machine, sorts them by user, and then builds each user's table once, at its
// final size; inserting one pair at a time would miss the cache each time, and grow the
// tables.
type bulkIndex struct {
	users, machines []uint32 // of each open session
	latest          []uint32 // by user: the last machine that the user is on
}

// add records an open session of a user on m. The sessions of one machine must be
// added consecutively.
func (b *bulkIndex) add(user uint32, m *machine) {
	if n := int(user) + 1; n > len(b.latest) {
		b.latest = append(b.latest, make([]uint32, n-len(b.latest))...)
	}
	//guard:true "a restored roster counts users, not sessions" TestRestoredIndex
	if b.latest[user] != m.number {
		b.latest[user] = m.number
		m.users++
	}
	m.open++
	b.users, b.machines = append(b.users, user), append(b.machines, m.number)
}

// finish builds each user's table of machines, which must be empty.
func (b *bulkIndex) finish(p *people, st *Status) {
	st.Sessions += len(b.users)
	ends := b.latest // reuses the space
	clear(ends)
	for _, user := range b.users {
		ends[user]++
	}
	// ends[user] is first where the user's machines begin; the loop after it advances
	// it to where they end.
	sum := uint32(0)
	for user, n := range ends {
		ends[user] = sum
		sum += n
	}
	sorted := make([]uint32, len(b.machines))
	for i, user := range b.users {
		sorted[ends[user]] = b.machines[i]
		ends[user]++
	}
	start := uint32(0)
	for user, end := range ends {
		if end > start {
			p.users.At(uint32(user)).fill(st, sorted[start:end])
		}
		start = end
	}
}

// fill sets the table of a user, which must be empty. A machine on which the user
// has several sessions is listed several times in a row.
func (u *user) fill(st *Status, machines []uint32) {
	on := 1
	for i := 1; i < len(machines); i++ {
		if machines[i] != machines[i-1] {
			on++
		}
	}
	u.on.Resize(on)
	for i, n := range machines {
		if i > 0 && n == machines[i-1] {
			u.on.Rows[len(u.on.Rows)-1].open++
			continue
		}
		u.on.Rows = append(u.on.Rows, presence{n, 1})
	}
	u.on.Reindex()
	st.Users++
	if on > 1 {
		st.Several++
	}
}
