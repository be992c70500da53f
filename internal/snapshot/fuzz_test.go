package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"testing"

	"rollcall/internal/roster"
)

// FuzzRead reads any bytes: as a file; as a file whose checksums are put right;
// and as the encoding in a file that is right. Nothing panics, and a roster that
// is read is the same when it is written and read again.
func FuzzRead(f *testing.F) {
	for _, r := range []*roster.Roster{roster.New(goldenSettings), golden()} {
		data := file(f, r)
		f.Add(data, encoding(r))
		f.Add(data[:len(data)/2], encoding(r)[:10])
	}
	header, err := goldenHeader.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seal([]section{{kindHeader, header}, {kindBody, bomb()}}), []byte{})
	f.Add(seal([]section{{kindHeader, header}, {kindHeader, header}, {'X', nil}}), []byte{})
	f.Add(appendPreamble(nil, Format+1), []byte{})

	f.Fuzz(func(t *testing.T, data, encoded []byte) {
		if len(data) > 1<<14 || len(encoded) > 1<<14 {
			return
		}
		again(t, data)
		again(t, reseal(data))
		again(t, around(encoded))
	})
}

// again reads a file and, if it is accepted, writes and reads its roster
// again.
func again(t *testing.T, data []byte) {
	r, info, err := Read(bytes.NewReader(data), goldenSettings)
	if err != nil {
		return
	}
	if info.Size != int64(len(data)) {
		t.Errorf("size %d, read %d", info.Size, len(data))
	}
	want := encoding(r)
	r, info, err = Read(bytes.NewReader(file(t, r)), goldenSettings)
	if err != nil {
		t.Fatalf("written again: %v", err)
	}
	if got := encoding(r); !bytes.Equal(got, want) || info.StateDigest != sha256.Sum256(want) {
		t.Errorf("written again: %x, want %x", got, want)
	}
}

// reseal cuts a file into its sections, as far as it has any, and puts their
// checksums and the trailer right.
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

// around makes a file around an encoding, the header of which says the same.
func around(encoded []byte) []byte {
	h := goldenHeader
	place, _ := binary.Uvarint(encoded)
	h.Status.Position = position(place)
	if r, err := roster.Restore(bytes.NewReader(encoded), goldenSettings, goldenSettings, h.Status.Position); err == nil {
		h.Status = r.Status()
	}
	header, err := h.encode()
	if err != nil {
		panic(err)
	}
	return seal([]section{{kindHeader, header}, {kindBody, stored(encoded)}})
}

// stored is a piece that costs nothing to make: a frame of one raw block (RFC
// 8878, section 3.1.1).
func stored(raw []byte) []byte {
	n := uint32(len(raw))
	b := binary.LittleEndian.AppendUint32(nil, n)
	b = append(b, 0x28, 0xB5, 0x2F, 0xFD, 0xA0)
	b = binary.LittleEndian.AppendUint32(b, n)
	head := n<<3 | 1
	return slices.Concat(b, []byte{byte(head), byte(head >> 8), byte(head >> 16)}, raw)
}
