package roster

import "rollcall/internal/roster/mem"

// severalBatch is how many users are looked up while holding the lock that the
// fold needs.
const severalBatch = 500

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
