package snapshot

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"

	"rollcall/internal/roster"
)

const (
	// fuzzed bounds the length of an input: long enough for every part of the
	// formats, and quick.
	fuzzed = 1 << 12
	// variants is how many inputs one execution reads. The fuzzer's own work for an
	// execution, checking the coverage counters of the whole binary, takes ten times
	// as long as reading an input.
	variants = 64
)

// vary yields an input and changed versions of it, determined by the seed.
func vary(data []byte, seed uint64) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if len(data) > fuzzed || !yield(data) {
			return
		}
		rng := rand.New(rand.NewPCG(seed, 0))
		var b []byte
		for range variants - 1 {
			b = append(b[:0], data...)
			for range 1 + rng.IntN(3) {
				b = change(rng, b)
			}
			if !yield(b) {
				return
			}
		}
	}
}

// change changes a few bytes, removes some, or inserts some copied from elsewhere.
func change(rng *rand.Rand, b []byte) []byte {
	if len(b) == 0 {
		return append(b, byte(rng.Uint32()))
	}
	at, other := rng.IntN(len(b)), rng.IntN(len(b))
	n := min(1+rng.IntN(16), len(b)-max(at, other))
	switch rng.IntN(6) {
	case 0:
		b[at] ^= 1 << rng.IntN(8)
	case 1:
		b[at] = byte(rng.Uint32())
	case 2:
		b[at] += byte(rng.IntN(9)) - 4
	case 3:
		copy(b[at:], b[other:other+n])
	case 4:
		return slices.Delete(b, at, at+n)
	case 5:
		return slices.Insert(b, at, bytes.Clone(b[other:other+n])...)
	}
	return b
}

// FuzzRead reads any bytes as a file, and again with the checksums corrected, so
// that the fuzzer gets past them. Nothing panics, and a roster that was read is
// equal after it is written and read again.
func FuzzRead(f *testing.F) {
	for _, r := range []*roster.Roster{roster.New(goldenSettings), golden()} {
		data := file(f, r)
		f.Add(data, uint64(1))
		f.Add(data[:len(data)/2], uint64(2))
		f.Add(around(encoding(r)), uint64(3))
	}
	header, err := goldenHeader.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seal([]section{{kindHeader, header}, {kindBody, bomb()}}), uint64(4))
	f.Add(seal([]section{{kindHeader, header}, {kindHeader, header}, {'X', nil}}), uint64(5))
	f.Add(appendPreamble(nil, Format+1), uint64(6))

	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		for data := range vary(data, seed) {
			again(t, data)
			again(t, reseal(data))
		}
	})
}

// FuzzBody reads any bytes as the encoding of a roster, without a file around it,
// and checks the same as FuzzRead.
func FuzzBody(f *testing.F) {
	for _, r := range []*roster.Roster{roster.New(goldenSettings), golden()} {
		f.Add(encoding(r), uint64(1))
		f.Add(encoding(r)[:10], uint64(2))
	}
	f.Fuzz(func(t *testing.T, encoded []byte, seed uint64) {
		for encoded := range vary(encoded, seed) {
			bodyAgain(t, encoded)
		}
	})
}

// bodyAgain is again for an encoding without a file.
func bodyAgain(t *testing.T, encoded []byte) {
	restore := func(encoded []byte) (*roster.Roster, error) {
		place, _ := binary.Uvarint(encoded)
		return roster.Restore(bodies.of(encoded), encodedBy(goldenSettings, position(place)), goldenSettings)
	}
	r, err := restore(encoded)
	if err != nil {
		return
	}
	want := encoding(r)
	if r, err = restore(want); err != nil {
		t.Fatalf("encoded again: %v", err)
	}
	if got := encoding(r); !bytes.Equal(got, want) {
		t.Errorf("encoded again: %x, want %x", got, want)
	}
}

// bufferedAgain is a buffer shared by many readers. A new one for each would cost
// more than reading a small input.
type bufferedAgain struct {
	bytes bytes.Reader
	buf   *bufio.Reader
}

func (b *bufferedAgain) of(data []byte) *bufio.Reader {
	b.bytes.Reset(data)
	if b.buf == nil {
		b.buf = bufio.NewReaderSize(nil, 1<<16)
	}
	b.buf.Reset(&b.bytes)
	return b.buf
}

var files, bodies bufferedAgain

// again reads a file and, if it is accepted, writes its roster and reads that.
func again(t *testing.T, data []byte) {
	r, info, err := Read(files.of(data), goldenSettings)
	if err != nil {
		return
	}
	if info.Size != int64(len(data)) {
		t.Errorf("size %d, read %d", info.Size, len(data))
	}
	want := encoding(r)
	r, info, err = Read(files.of(around(want)), goldenSettings)
	if err != nil {
		t.Fatalf("written again: %v", err)
	}
	if got := encoding(r); !bytes.Equal(got, want) || info.StateDigest != sha256.Sum256(want) {
		t.Errorf("written again: %x, want %x", got, want)
	}
}

// reseal splits a file into sections, as far as possible, and corrects their
// checksums and the trailer.
func reseal(data []byte) []byte {
	var sections []section
	data = data[min(len(data), preambleSize):]
	for len(data) >= sectionHead && kind(data[0]) != kindTrailer {
		n := min(uint64(binary.LittleEndian.Uint32(data[1:])), uint64(len(data)-sectionHead))
		end := sectionHead + int(n)
		sections = append(sections, section{kind(data[0]), data[sectionHead:end]})
		data = data[min(len(data), end+crcSize):]
	}
	return seal(sections)
}

// around returns a file for an encoding, with a matching header.
func around(encoded []byte) []byte {
	h := goldenHeader
	place, _ := binary.Uvarint(encoded)
	h.Status.Position = position(place)
	if r, err := roster.Restore(bytes.NewReader(encoded), encodedBy(goldenSettings, h.Status.Position), goldenSettings); err == nil {
		h.Status = r.Status()
	}
	header, err := h.encode()
	if err != nil {
		panic(err)
	}
	sections := []section{{kindHeader, header}}
	for piece := range slices.Chunk(encoded, maxPiece) {
		sections = append(sections, section{kindBody, stored(piece)})
	}
	return seal(sections)
}

// stored returns a piece that is cheap to build: a frame of raw blocks (RFC 8878,
// section 3.1.1).
func stored(raw []byte) []byte {
	const maxBlock = 128 << 10
	n := uint32(len(raw))
	b := binary.LittleEndian.AppendUint32(nil, n)
	b = append(b, 0x28, 0xB5, 0x2F, 0xFD, 0xA0)
	b = binary.LittleEndian.AppendUint32(b, n)
	for i := 0; i == 0 || i < len(raw); i += maxBlock {
		block := raw[i:min(len(raw), i+maxBlock)]
		head := uint32(len(block)) << 3
		if i+maxBlock >= len(raw) {
			head |= 1 // the last
		}
		b = append(b, byte(head), byte(head>>8), byte(head>>16))
		b = append(b, block...)
	}
	return b
}
