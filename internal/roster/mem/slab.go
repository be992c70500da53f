package mem

import "sync/atomic"

// chunk is how many values of a slab are allocated together.
const chunk = 31

// chunkOf is one allocation of values. The 56-byte pad and the allocator's 8-byte
// header fill a cache line, so values of 64 or 128 bytes never share one; 31 of
// them use all of what the allocator gives.
type chunkOf[T any] struct {
	_      [56]byte
	values [chunk]T
}

// Slab keeps values by number, starting at 1: a number is half the size of a
// pointer, and the garbage collector doesn't scan it. Values never move. Only one
// goroutine at a time may add values; others may concurrently read those whose
// numbers they know.
type Slab[T any] struct {
	chunks atomic.Pointer[[]*chunkOf[T]]
	Last   uint32 // the last number; only for the goroutine that adds
}

// At returns the value of a number.
func (s *Slab[T]) At(number uint32) *T {
	return &(*s.chunks.Load())[number/chunk].values[number%chunk]
}

// Add adds a value and returns its number.
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
