package snapshot

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

var (
	seed       = flag.Uint64("seed", 0, "seed of the damage; 0: another one each time")
	exhaustive = flag.Int("damage.exhaustive", 4<<10, "size in bytes of the file of which every bit is flipped and every byte cut")
	random     = flag.Int("damage.random", 500, "how often a file of 256 KiB is damaged")
	large      = flag.Int("damage.large", 0, "how often a file of a million sessions is damaged")
)

// fileOf returns a snapshot of at least this number of bytes.
func fileOf(t *testing.T, size int) []byte {
	t.Helper()
	for sessions := size / 50; ; {
		data := file(t, fleet(t, sessions/2+1, sessions))
		if len(data) >= size {
			return data
		}
		sessions = max(sessions*size/len(data), sessions+sessions/50+1)
	}
}

// undetected reads a damaged file and fails the test if the damage is not detected.
func undetected(t *testing.T, what string, damaged []byte) {
	if _, err := Inspect(bytes.NewReader(damaged)); err == nil {
		t.Errorf("%s: not detected", what)
	}
}

// TestDamageEverywhere flips each bit of a file and truncates it at each byte: all
// of this is detected.
func TestDamageEverywhere(t *testing.T) {
	data := fileOf(t, *exhaustive)
	for i := range len(data) * 8 {
		data[i/8] ^= 1 << (i % 8)
		undetected(t, fmt.Sprint("bit ", i), data)
		data[i/8] ^= 1 << (i % 8)
	}
	for i := range data {
		undetected(t, fmt.Sprint("cut at ", i), data[:i])
	}
	if _, err := Inspect(bytes.NewReader(data)); err != nil {
		t.Errorf("as it was: %v", err)
	}
	t.Logf("%d bytes: %d bits flipped, %d cuts", len(data), len(data)*8, len(data))
}

// TestDamageAnywhere damages larger files at random, as disks do: all of it is
// detected.
func TestDamageAnywhere(t *testing.T) {
	damageAnywhere(t, fileOf(t, 256<<10), *random)
}

// TestDamageOfAMillion is TestDamageAnywhere with the snapshot of a million
// sessions.
func TestDamageOfAMillion(t *testing.T) {
	machines, sessions := 100_000, 1_000_000
	if *large == 0 {
		machines, sessions = 10_000, 100_000
	}
	damageAnywhere(t, file(t, fleet(t, machines, sessions)), max(*large, 20))
}

func damageAnywhere(t *testing.T, data []byte, times int) {
	t.Helper()
	from := *seed
	if from == 0 {
		from = uint64(time.Now().UnixNano())
	}
	rng := rand.New(rand.NewPCG(from, uint64(len(data))))
	whole := bytes.Clone(data)
	done := make(map[string]int)
	for n := 0; n < times; {
		kind := kinds[rng.IntN(len(kinds))]
		damaged := kind.damage(rng, data)
		if !bytes.Equal(damaged, whole) { // what was zero stays so when it is zeroed
			undetected(t, fmt.Sprintf("%s, number %d of -seed=%d", kind.name, n, from), damaged)
			done[kind.name]++
			n++
		}
		copy(data, whole)
	}
	if _, err := Inspect(bytes.NewReader(data)); err != nil {
		t.Errorf("as it was: %v", err)
	}
	t.Logf("%d bytes, -seed=%d: %v", len(data), from, done)
}

// kinds are the kinds of damage. Each changes data in place, and returns what a
// reader then reads.
var kinds = []struct {
	name   string
	damage func(rng *rand.Rand, data []byte) []byte
}{
	{"bit", func(rng *rand.Rand, data []byte) []byte {
		data[rng.IntN(len(data))] ^= 1 << rng.IntN(8)
		return data
	}},
	{"cut", func(rng *rand.Rand, data []byte) []byte { return data[:rng.IntN(len(data))] }},
	{"bytes", func(rng *rand.Rand, data []byte) []byte {
		for range 1 + rng.IntN(8) {
			data[rng.IntN(len(data))] = byte(rng.Uint32())
		}
		return data
	}},
	{"zeroed sector", func(rng *rand.Rand, data []byte) []byte { clear(sector(rng, data)); return data }},
	{"sector of elsewhere", func(rng *rand.Rand, data []byte) []byte {
		copy(sector(rng, data), sector(rng, data))
		return data
	}},
	{"zeroed end", func(rng *rand.Rand, data []byte) []byte { clear(data[rng.IntN(len(data)):]); return data }},
}

// sector returns a part of 512 or 4,096 bytes, the units in which disks and systems
// write.
func sector(rng *rand.Rand, data []byte) []byte {
	size := []int{512, page}[rng.IntN(2)]
	at := rng.IntN(len(data)/size) * size
	return data[at : at+size]
}
