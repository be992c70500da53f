// Package mem has the containers of the roster: small, quick to search, and
// without pointers where possible. It knows nothing of machines or users.
package mem

import (
	"hash/maphash"
	"unsafe"
)

// seed is the seed of all hashes. No observable result depends on it.
var seed = maphash.MakeSeed()

// Hash returns the hash of a text. It differs between processes.
func Hash(s string) uint32 { return uint32(maphash.String(seed, s)) }

// HashNumber hashes a number, so that consecutive ones go to different slots of an
// index.
func HashNumber(n uint32) uint32 { return n * 0x9E3779B1 }

// Index finds nonzero numbers by the hash of their keys; several may have the same
// hash, and the caller compares the keys. It is a hash table with open addressing:
// it is a third of the size of a map, has no pointers, and does not store the keys.
type Index struct {
	slots *slot // a power of two of them, or none
	size  uint32
	// Used is how many numbers the index has.
	Used uint32
}

func newIndex(slots int) Index {
	return Index{slots: unsafe.SliceData(make([]slot, slots)), size: uint32(slots)}
}

// all returns the slots.
func (x *Index) all() []slot { return unsafe.Slice(x.slots, x.size) }

type slot struct{ hash, number uint32 }

const minSlots = 8

// First returns the first number with a hash, or 0, and where Next continues.
func (x *Index) First(hash uint32) (number uint32, next int) {
	if x.Used == 0 {
		return 0, 0
	}
	return x.Next(hash, int(hash))
}

// Next returns the next number with the hash, or 0, starting at the slot that First
// or Next returned.
func (x *Index) Next(hash uint32, at int) (number uint32, next int) {
	slots := x.all()
	mask := len(slots) - 1
	for ; ; at++ {
		switch s := slots[at&mask]; {
		case s.number == 0:
			return 0, at
		case s.hash == hash:
			return s.number, at + 1
		}
	}
}

// maxUsed returns how many of n slots may be used.
func maxUsed(n int) int { return n / 4 * 3 }

// slotsFor returns how many slots an index of so many numbers needs.
func slotsFor(numbers int) int {
	n := minSlots
	for maxUsed(n) < numbers {
		n *= 2
	}
	return n
}

// Add adds a number that the index doesn't have.
func (x *Index) Add(hash, number uint32) {
	if int(x.Used) >= maxUsed(int(x.size)) {
		x.resize(max(minSlots, 2*int(x.size)))
	}
	x.all()[x.slotOf(hash, 0)] = slot{hash, number}
	x.Used++
}

// slotOf returns the slot of a number; for 0, the empty slot for a new number.
func (x *Index) slotOf(hash, number uint32) int {
	slots := x.all()
	mask := len(slots) - 1
	at := int(hash) & mask
	for slots[at].number != number {
		at = (at + 1) & mask
	}
	return at
}

// renumber replaces one number with another.
func (x *Index) renumber(hash, from, to uint32) {
	x.all()[x.slotOf(hash, from)].number = to
}

// Remove removes a number. Numbers in the following slots, up to the next empty
// one, move back if they could not be found otherwise.
func (x *Index) Remove(hash, number uint32) {
	slots := x.all()
	mask := len(slots) - 1
	hole := x.slotOf(hash, number)
	for at := (hole + 1) & mask; slots[at].number != 0; at = (at + 1) & mask {
		home := int(slots[at].hash) & mask
		if (at-home)&mask >= (at-hole)&mask {
			slots[hole] = slots[at]
			hole = at
		}
	}
	slots[hole] = slot{}
	x.Used--
	if x.size > minSlots && x.Used < x.size/8 {
		x.resize(len(slots) / 2)
	}
}

func (x *Index) resize(n int) {
	old, used := x.all(), x.Used
	*x = newIndex(n)
	x.Used = used
	slots := x.all()
	for _, s := range old {
		if s.number != 0 {
			slots[x.slotOf(s.hash, 0)] = s
		}
	}
}
