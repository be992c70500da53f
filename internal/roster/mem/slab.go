package mem

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

// Slab keeps values by number, from 1 on: a number takes half of a pointer's
// space, and the garbage collector doesn't look at it. Values never move. Only
// the fold adds; others may look, beside it, at what they know the number of.
type Slab[T any] struct {
	chunks atomic.Pointer[[]*chunkOf[T]]
	Last   uint32 // the last number; for the fold
}

// At returns the value of a number.
func (s *Slab[T]) At(number uint32) *T {
	return &(*s.chunks.Load())[number/chunk].values[number%chunk]
}

// Add returns the number of one more value.
func (s *Slab[T]) Add() uint32 {
	var chunks []*chunkOf[T]
	if s.Last > 0 {
		chunks = *s.chunks.Load()
	}
	s.Last++
	if int(s.Last/chunk) >= len(chunks) {
		chunks = append(chunks, new(chunkOf[T]))
		s.chunks.Store(&chunks)
	}
	return s.Last
}
