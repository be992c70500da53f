package wire

import "rollcall/internal/roster"

// entryKey identifies a session of one machine: by its id, or by its user if it has
// none.
type entryKey struct{ id, user string }

func keyOf(s *roster.Session) entryKey {
	if s.ID != "" {
		return entryKey{id: s.ID}
	}
	return entryKey{user: s.User}
}

// fewEntries is up to how many entries are compared pairwise, which is faster than a
// map for the lists of most machines.
const fewEntries = 16

// findDuplicate finds two entries for one session. Entries that name neither user
// nor session are not compared.
func findDuplicate(entries []roster.Session) (i, j int, found bool) {
	if len(entries) > fewEntries {
		return findDuplicateOfMany(entries)
	}
	for j := range entries {
		for i := range j {
			if key := keyOf(&entries[i]); key == keyOf(&entries[j]) && key != (entryKey{}) {
				return i, j, true
			}
		}
	}
	return 0, 0, false
}

func findDuplicateOfMany(entries []roster.Session) (i, j int, found bool) {
	first := make(map[entryKey]int, len(entries))
	for j := range entries {
		key := keyOf(&entries[j])
		//guard:false "duplicates are found in long lists, too" TestRefused
		if i, found := first[key]; found {
			return i, j, true
		}
		if key != (entryKey{}) {
			first[key] = j
		}
	}
	return 0, 0, false
}
