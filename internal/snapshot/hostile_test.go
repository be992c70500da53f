package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"rollcall/internal/roster"
)

// TestHostile reads invalid files with valid checksums.
func TestHostile(t *testing.T) {
	header := func(change func(string) string) []byte {
		b, err := goldenHeader.encode()
		if err != nil {
			t.Fatal(err)
		}
		return []byte(change(string(b)))
	}
	good := header(func(s string) string { return s })
	replace := func(old, new string) []byte {
		return header(func(s string) string { return strings.Replace(s, old, new, 1) })
	}
	empty := encoding(roster.New(goldenSettings))
	type sections []section
	for _, test := range []struct {
		name     string
		sections sections
		want     string // "": accepted
	}{
		{"good", sections{{kindHeader, good}, {kindBody, piece(empty)}}, ""},
		{"in pieces", sections{{kindHeader, good}, {kindBody, piece(empty[:1])}, {kindBody, piece(empty[1:])}}, ""},
		{"unknown key", sections{{kindHeader, replace(`{"written"`, `{"more":[1],"written"`)}, {kindBody, piece(empty)}}, ""},
		{"no header", sections{{kindBody, piece(empty)}}, "section 1, from byte 16: section of kind 'B': before the header"},
		{"no body", sections{{kindHeader, good}}, "restoring roster: head: unexpected EOF"},
		{"two headers", sections{{kindHeader, good}, {kindHeader, good}, {kindBody, piece(empty)}}, "section of kind 'H': repeated"},
		{"unknown kind", sections{{kindHeader, good}, {'X', nil}}, "section of kind 'X': unknown"},
		{"long header", sections{{kindHeader, make([]byte, maxHeader+1)}}, "65537 bytes, at most 65536"},
		{"not JSON", sections{{kindHeader, []byte("{")}}, "header: "},
		{"twice in JSON", sections{{kindHeader, replace(`{"written"`, `{"users":1,"written"`)}}, "duplicate object member name \"users\""},
		{"compression", sections{{kindHeader, replace(`"zstd"`, `"lzma"`)}}, `compression "lzma": unknown`},
		{"fate", sections{{kindHeader, replace(`"applied"`, `"lied"`)}}, `fate "lied": unknown`},
		{"loss", sections{{kindHeader, replace(`"losses":{`, `"losses":{"weight":1`)}}, `loss "weight": unknown`},
		{"settings", sections{{kindHeader, replace(`"max_skew":3`, `"max_skew":-3`)}}, "settings: negative value"},
		{"speakers", sections{{kindHeader, replace(`"max_skew":3`, `"sources":"fra/E","max_skew":3`)}}, `settings: sources: "fra/E" has no "="`},
		{"place", sections{{kindHeader, replace(`"place":0`, `"place":1`)}, {kindBody, piece(empty)}}, "encoded at place 0, want 1"},
		{"fates", sections{{kindHeader, replace(`"applied":0`, `"applied":1`)}, {kindBody, piece(empty)}}, "header and body differ"},
		{"losses", sections{{kindHeader, replace(`"losses":{`, `"losses":{"gap":1`)}, {kindBody, piece(empty)}}, "header and body differ"},
		{"piece without length", sections{{kindHeader, good}, {kindBody, []byte{1, 0, 0}}}, "section 2, from byte"},
		{"empty piece", sections{{kindHeader, good}, {kindBody, piece(nil)}}, "piece of 0 bytes"},
		{"piece too long", sections{{kindHeader, good}, {kindBody, piece(make([]byte, maxPiece+1))}}, "piece of 1048577 bytes"},
		{"piece not zstd", sections{{kindHeader, good}, {kindBody, []byte("\x09\x00\x00\x00something")}}, "decompressing: "},
		{"piece shorter", sections{{kindHeader, good}, {kindBody, relength(piece(empty), len(empty)+1)}}, "decompressed"},
		{"piece longer", sections{{kindHeader, good}, {kindBody, relength(piece(empty), len(empty)-1)}}, "decompressing: "},
		{"two frames", sections{{kindHeader, good}, {kindBody, append(piece(empty), piece(empty)[pieceHead:]...)}}, "decompressing: "},
		{"bomb", sections{{kindHeader, good}, {kindBody, bomb()}}, "piece of 1048576 bytes, compressed to"},
		{"no roster", sections{{kindHeader, good}, {kindBody, piece([]byte("no roster"))}}, "restoring roster"},
		{"more than a roster", sections{{kindHeader, good}, {kindBody, piece(append(bytes.Clone(empty), 0))}}, "end: bytes after it"},
		{"after the roster", sections{{kindHeader, good}, {kindBody, piece(empty)}, {kindBody, piece(empty)}}, "end: bytes after it"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := Read(bytes.NewReader(seal(test.sections)), goldenSettings)
			if test.want == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
			} else if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want …%s…", err, test.want)
			}
		})
	}
}

// section is a section of a file to be sealed.
type section struct {
	kind    kind
	payload []byte
}

// seal returns a file of sections, with valid checksums and a valid trailer.
func seal(sections []section) []byte {
	b := appendPreamble(nil, Format)
	digest := sha256.New()
	var t trailer
	for _, s := range sections {
		b = appendSection(b, s.kind, s.payload)
		if s.kind == kindBody && len(s.payload) >= pieceHead {
			raw, _ := generous.DecodeAll(s.payload[pieceHead:], decompressed)
			digest.Write(raw)
			t.encoded += uint64(len(raw))
			t.pieces++
		}
	}
	t.digest = roster.Hash(digest.Sum(nil))
	t.sum, t.size = sha256.Sum256(b), uint64(len(b)+sectionHead+trailerSize+crcSize)
	return appendSection(b, kindTrailer, t.encode())
}

// piece returns the payload of a body section.
func piece(raw []byte) []byte {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithZeroFrames(true))
	if err != nil {
		panic(err)
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(raw)))
	return padToExpansion(z.EncodeAll(raw, b), pieceHead+len(raw)/maxExpansion+1)
}

func relength(piece []byte, length int) []byte {
	binary.LittleEndian.PutUint32(piece, uint32(length))
	return piece
}

// bomb returns a piece that the writer would have padded.
func bomb() []byte {
	full := piece(make([]byte, maxPiece))
	return full[:bytes.Index(full, []byte{0x50, 0x2A, 0x4D, 0x18})]
}

// TestHighlyCompressiblePiece writes data that compresses by more than maxExpansion.
func TestHighlyCompressiblePiece(t *testing.T) {
	for _, length := range []int{1, 255, 256, 257, maxPiece - 1, maxPiece, maxPiece + 1, 3 * maxPiece} {
		header, err := goldenHeader.encode()
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		w := newSectionWriter(&out)
		b, err := newBodyWriter(w)
		if err != nil {
			t.Fatal(err)
		}
		err = errors.Join(w.preamble(), w.section(kindHeader, header))
		_, wrote := b.Write(make([]byte, length))
		if err := errors.Join(err, wrote, b.flush()); err != nil {
			t.Fatal(err)
		}
		end := b.trailer()
		if err := w.section(kindTrailer, end.encode()); err != nil {
			t.Fatal(err)
		}
		if info, err := Inspect(&out); err != nil || info.Encoded != int64(length) {
			t.Errorf("%d bytes: read %d, %v", length, info.Encoded, err)
		}
	}
}
