package roster

import "rollcall/internal/roster/mem"

// sessionKey identifies a session on its machine: by ID, or by user if it is
// implicit.
type sessionKey struct {
	id   string
	user uint32
	hash uint32
}

func keyOf(id string, user uint32) sessionKey {
	if id == "" {
		return sessionKey{user: user, hash: mem.HashNumber(user)}
	}
	return sessionKey{id: id, hash: mem.Hash(id)}
}

func (s *session) is(k *sessionKey) bool {
	if s.hash != k.hash {
		return false
	}
	id, _ := s.packed.id()
	return id == k.id && (id != "" || s.user == k.user)
}
