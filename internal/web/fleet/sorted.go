package fleet

import (
	"slices"
	"strings"
)

// maxChunk bounds a chunk. Inserting moves at most a chunk, and finding a place by its
// index passes over all chunks: with 512, a million values take 2,000 additions.
const maxChunk = 512

// sorted is a list in the order of unique keys, in which values are inserted in place.
type sorted[T any] struct {
	key    func(T) string
	chunks [][]T
	len    int
}

// find returns the place of a key, or where it would be inserted.
func (s *sorted[T]) find(key string) (chunk, i int, found bool) {
	chunk, _ = slices.BinarySearchFunc(s.chunks, key, func(c []T, key string) int {
		if s.key(c[len(c)-1]) < key {
			return -1
		}
		return 1
	})
	if chunk == len(s.chunks) {
		return chunk, 0, false
	}
	i, found = slices.BinarySearchFunc(s.chunks[chunk], key, func(v T, key string) int {
		return strings.Compare(s.key(v), key)
	})
	return chunk, i, found
}

// put inserts a value, or replaces the one with its key.
func (s *sorted[T]) put(v T) {
	chunk, i, found := s.find(s.key(v))
	switch {
	case found:
		s.chunks[chunk][i] = v
		return
	case len(s.chunks) == 0:
		s.chunks = [][]T{nil}
	case chunk == len(s.chunks):
		chunk--
		i = len(s.chunks[chunk])
	}
	s.len++
	c := slices.Insert(s.chunks[chunk], i, v)
	s.chunks[chunk] = c
	if len(c) <= maxChunk {
		return
	}
	// What comes in order fills its chunks.
	half := len(c) / 2
	if chunk == len(s.chunks)-1 && i == len(c)-1 {
		half = maxChunk
	}
	s.chunks[chunk] = slices.Clip(c[:half])
	s.chunks = slices.Insert(s.chunks, chunk+1, slices.Clone(c[half:]))
}

// remove removes the value of a key, if there is one.
func (s *sorted[T]) remove(key string) {
	chunk, i, found := s.find(key)
	if !found {
		return
	}
	s.len--
	s.chunks[chunk] = slices.Delete(s.chunks[chunk], i, i+1)
	if len(s.chunks[chunk]) == 0 {
		s.chunks = slices.Delete(s.chunks, chunk, chunk+1)
	}
}

// slice returns a copy of at most n values from an index on.
func (s *sorted[T]) slice(from, n int) []T {
	var part []T
	for _, c := range s.chunks {
		if from >= len(c) {
			from -= len(c)
			continue
		}
		c = c[from:]
		from = 0
		if room := n - len(part); room <= len(c) {
			return append(part, c[:room]...)
		}
		part = append(part, c...)
	}
	return part
}

// all calls yield with each value, in order.
func (s *sorted[T]) all(yield func(T) bool) {
	for _, c := range s.chunks {
		for _, v := range c {
			if !yield(v) {
				return
			}
		}
	}
}
