package roster

import "rollcall/internal/roster/mem"

// severalBatch is how many users are looked up, or listed, while holding the lock that
// the fold needs.
const severalBatch = 500

// Users calls show with the name of each user who is on, in no order. It waits for the
// batch that is being folded; do not call it while a View is valid.
func (r *Roster) Users(show func(name string)) {
	names := make([]string, 0, severalBatch)
	for from, more := uint32(1), true; more; {
		names, from, more = r.people.list(names[:0], from)
		for _, name := range names {
			show(name)
		}
	}
}

// list appends the names of those who are on among the next users, from a number.
func (p *people) list(names []string, from uint32) (list []string, next uint32, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for next = from; next <= p.users.Last && next < from+severalBatch; next++ {
		if u := p.users.At(next); u.refs > 0 && len(u.on.Rows) > 0 {
			names = append(names, u.name)
		}
	}
	return names, next, next <= p.users.Last
}

// OnSeveral reports for each of the users whether they are on more than one
// machine. It waits for the batch that is being folded; do not call it while a
// View is valid.
func (r *Roster) OnSeveral(users []string) []bool {
	several := make([]bool, len(users))
	for from := 0; from < len(users); from += severalBatch {
		to := min(from+severalBatch, len(users))
		r.people.several(users[from:to], several[from:to])
	}
	return several
}

func (p *people) several(names []string, several []bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, name := range names {
		if n := p.find(name, mem.Hash(name)); n != 0 {
			several[i] = len(p.users.At(n).on.Rows) > 1
		}
	}
}
