package roster

import "sync/atomic"

// chunk is how many values of a slab lie together.
const chunk = 16

// slab keeps values by number, from 1 on: a number takes half of a pointer's
// space, and the garbage collector doesn't look at it. Values never move. Only
// the fold adds; others may look, beside it, at what they know the number of.
type slab[T any] struct {
	chunks atomic.Pointer[[]*[chunk]T]
	n      uint32 // the last number; for the fold
}

func (s *slab[T]) at(number uint32) *T {
	return &(*s.chunks.Load())[number/chunk][number%chunk]
}

// add returns the number of one more value.
func (s *slab[T]) add() uint32 {
	var chunks []*[chunk]T
	if s.n > 0 {
		chunks = *s.chunks.Load()
	}
	s.n++
	if int(s.n/chunk) >= len(chunks) {
		chunks = append(chunks, new([chunk]T))
		s.chunks.Store(&chunks)
	}
	return s.n
}
