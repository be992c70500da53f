package roster

import "rollcall/internal/roster/mem"

// sessionKey names a session on its machine: by ID, or for an implicit one by
// its user.
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
