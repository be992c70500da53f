package roster

import "sync/atomic"

// chunk is how many values of a slab lie together.
const chunk = 31

// chunkOf are values that lie together. What stands before them makes, with the
// eight bytes that the allocator puts there, a cache line: values of 64 or 128
// bytes share none, and 31 of them fill what the allocator gives.
type chunkOf[T any] struct {
	_      [56]byte
	values [chunk]T
}

// slab keeps values by number, from 1 on: a number takes half of a pointer's
// space, and the garbage collector doesn't look at it. Values never move. Only
// the fold adds; others may look, beside it, at what they know the number of.
type slab[T any] struct {
	chunks atomic.Pointer[[]*chunkOf[T]]
	n      uint32 // the last number; for the fold
}

func (s *slab[T]) at(number uint32) *T {
	return &(*s.chunks.Load())[number/chunk].values[number%chunk]
}

// add returns the number of one more value.
func (s *slab[T]) add() uint32 {
	var chunks []*chunkOf[T]
	if s.n > 0 {
		chunks = *s.chunks.Load()
	}
	s.n++
	if int(s.n/chunk) >= len(chunks) {
		chunks = append(chunks, new(chunkOf[T]))
		s.chunks.Store(&chunks)
	}
	return s.n
}
