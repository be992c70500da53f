package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"rollcall/internal/roster"
)

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		settings := goldenSettings
		settings.AllowedLateness = time.Hour
		r := roster.New(settings)
		for _, b := range history(t) {
			r.Fold(&b)
		}
		data := file(t, r)
		got, info, err := Read(iotest.OneByteReader(bytes.NewReader(data)), settings)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(encoding(got), encoding(r)) {
			t.Fatal("another encoding")
		}
		if got.Status() != r.Status() || info.Status != r.Status() {
			t.Fatalf("status %+v, header %+v, want %+v", got.Status(), info.Status, r.Status())
		}
		if info.StateDigest != digest(r) || info.Size != int64(len(data)) || info.Settings != settings {
			t.Fatalf("info %+v", info)
		}
	})
}

// TestFormat1 reads the file that the first program wrote: who is on is what it
// is today; of losses it does not tell what was read after them.
func TestFormat1(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "format-1.rollcall"))
	if err != nil {
		t.Fatal(err)
	}
	got, info, err := Read(bytes.NewReader(data), goldenSettings)
	if err != nil {
		t.Fatal(err)
	}
	want := golden()
	if st := want.Status(); info.Format != 1 || info.Status.Losses != st.Losses || info.Status.Fates != st.Fates || info.Status.Complete() {
		t.Errorf("info %+v, want the losses and fates of %+v", info, st)
	}
	for _, r := range []*roster.Roster{got, want} {
		r.Accept(want.Status().Position.Place)
	}
	if !bytes.Equal(encoding(got), encoding(want)) || got.Status() != want.Status() {
		t.Errorf("another roster: %+v, want %+v", got.Status(), want.Status())
	}
}

// TestGolden reads the file that the first program of this format wrote. It must
// never be made anew: -update makes it only where it is missing.
func TestGolden(t *testing.T) {
	path := filepath.Join("testdata", fmt.Sprintf("format-%d.rollcall", Format))
	headerPath := filepath.Join("testdata", fmt.Sprintf("format-%d.header.json", Format))
	if _, err := os.Stat(path); *update && errors.Is(err, os.ErrNotExist) {
		data := file(t, golden())
		n := binary.LittleEndian.Uint32(data[preambleSize+1:])
		header := data[preambleSize+sectionHead:][:n]
		if err := errors.Join(os.WriteFile(path, data, 0o644), os.WriteFile(headerPath, append(header, '\n'), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, info, err := Read(f, goldenSettings)
	if err != nil {
		t.Fatal(err)
	}
	want := golden()
	if !bytes.Equal(encoding(got), encoding(want)) || got.Status() != want.Status() {
		t.Errorf("another roster: %+v, want %+v", got.Status(), want.Status())
	}
	wantHeader := goldenHeader
	wantHeader.Status = want.Status()
	if info.Header != wantHeader {
		t.Errorf("header %+v, want %+v", info.Header, wantHeader)
	}
	text, err := os.ReadFile(headerPath)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := info.encode(); err != nil || string(b)+"\n" != string(text) {
		t.Errorf("header is written as %s, %v, want %s", b, err, text)
	}
}

// TestDamage changes every bit of a file, cuts it at every byte, and appends
// to it: Read and Inspect notice all of it.
func TestDamage(t *testing.T) {
	data := file(t, golden())
	refused := func(what string, at int, damaged []byte) {
		t.Helper()
		if _, _, err := Read(bytes.NewReader(damaged), goldenSettings); err == nil {
			t.Errorf("%s %d: Read accepts", what, at)
		}
		if _, err := Inspect(bytes.NewReader(damaged)); err == nil {
			t.Errorf("%s %d: Inspect accepts", what, at)
		}
	}
	for i := range len(data) * 8 {
		data[i/8] ^= 1 << (i % 8)
		refused("bit", i, data)
		data[i/8] ^= 1 << (i % 8)
	}
	for i := range data {
		refused("cut at byte", i, data[:i])
	}
	for i := range 256 {
		refused("appended", i, append(bytes.Clone(data), byte(i)))
	}
	refused("twice", 0, append(bytes.Clone(data), data...))
	if _, _, err := Read(bytes.NewReader(data), goldenSettings); err != nil {
		t.Errorf("as it was: %v", err)
	}
}

// TestHostile reads files whose checksums are right.
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
		{"two headers", sections{{kindHeader, good}, {kindHeader, good}, {kindBody, piece(empty)}}, "section of kind 'H': a second one"},
		{"unknown kind", sections{{kindHeader, good}, {'X', nil}}, "section of kind 'X': unknown"},
		{"long header", sections{{kindHeader, make([]byte, maxHeader+1)}}, "65537 bytes, at most 65536"},
		{"not JSON", sections{{kindHeader, []byte("{")}}, "header: "},
		{"twice in JSON", sections{{kindHeader, replace(`{"written"`, `{"users":1,"written"`)}}, "duplicate object member name \"users\""},
		{"compression", sections{{kindHeader, replace(`"zstd"`, `"lzma"`)}}, `compression "lzma": unknown`},
		{"fate", sections{{kindHeader, replace(`"applied"`, `"lied"`)}}, `fate "lied": unknown`},
		{"loss", sections{{kindHeader, replace(`"losses":{`, `"losses":{"weight":1`)}}, `loss "weight": unknown`},
		{"settings", sections{{kindHeader, replace(`"max_skew":3`, `"max_skew":-3`)}}, "settings: less than nothing"},
		{"place", sections{{kindHeader, replace(`"place":0`, `"place":1`)}, {kindBody, piece(empty)}}, "encoded at place 0, want 1"},
		{"fates", sections{{kindHeader, replace(`"applied":0`, `"applied":1`)}, {kindBody, piece(empty)}}, "header and body differ"},
		{"losses", sections{{kindHeader, replace(`"losses":{`, `"losses":{"gap":1`)}, {kindBody, piece(empty)}}, "header and body differ"},
		{"piece without length", sections{{kindHeader, good}, {kindBody, []byte{1, 0, 0}}}, "section 2, from byte"},
		{"empty piece", sections{{kindHeader, good}, {kindBody, piece(nil)}}, "a piece of 0 bytes"},
		{"piece too long", sections{{kindHeader, good}, {kindBody, piece(make([]byte, maxPiece+1))}}, "a piece of 1048577 bytes"},
		{"piece not zstd", sections{{kindHeader, good}, {kindBody, []byte("\x09\x00\x00\x00something")}}, "decompressing: "},
		{"piece shorter", sections{{kindHeader, good}, {kindBody, relength(piece(empty), len(empty)+1)}}, "decompressed"},
		{"piece longer", sections{{kindHeader, good}, {kindBody, relength(piece(empty), len(empty)-1)}}, "decompressing: "},
		{"two frames", sections{{kindHeader, good}, {kindBody, append(piece(empty), piece(empty)[pieceHead:]...)}}, "decompressing: "},
		{"bomb", sections{{kindHeader, good}, {kindBody, bomb()}}, "a piece of 1048576 bytes, compressed to"},
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

// section is a section of a file that is yet to be sealed.
type section struct {
	kind    kind
	payload []byte
}

// seal makes a file of sections: checksums and trailer are right, if nothing
// else is.
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
	return appendSection(b, kindTrailer, t.append(nil))
}

// generous reads pieces that are too long too, but no bomb: it stops where the
// space to decompress into, which all files share, ends.
var (
	decompressed = make([]byte, 0, 2*maxPiece)
	generous     = func() *zstd.Decoder {
		z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			panic(err)
		}
		return z
	}()
)

// piece is the payload of a body section.
func piece(raw []byte) []byte {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithZeroFrames(true))
	if err != nil {
		panic(err)
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(raw)))
	return fill(z.EncodeAll(raw, b), pieceHead+len(raw)/maxExpansion+1)
}

func relength(piece []byte, length int) []byte {
	binary.LittleEndian.PutUint32(piece, uint32(length))
	return piece
}

// bomb is a piece that the writer would have filled up.
func bomb() []byte {
	full := piece(make([]byte, maxPiece))
	return full[:bytes.Index(full, []byte{0x50, 0x2A, 0x4D, 0x18})]
}

// TestTrailerOfAnotherFile joins sections that are each whole: one is missing,
// twice there, or of another file. Only the trailer tells.
func TestTrailerOfAnotherFile(t *testing.T) {
	header, err := goldenHeader.encode()
	if err != nil {
		t.Fatal(err)
	}
	raw := encoding(golden())
	a, b := piece(raw[:100]), piece(raw[100:])
	whole := seal([]section{{kindHeader, header}, {kindBody, a}, {kindBody, b}})
	trailer := whole[len(whole)-sectionHead-trailerSize-crcSize:]
	other := bytes.Replace(header, []byte(`"1.0.0"`), []byte(`"1.0.1"`), 1)
	for name, sections := range map[string][]section{
		"missing": {{kindHeader, header}, {kindBody, a}},
		"twice":   {{kindHeader, header}, {kindBody, a}, {kindBody, a}, {kindBody, b}},
		"swapped": {{kindHeader, header}, {kindBody, b}, {kindBody, a}},
		"header":  {{kindHeader, other}, {kindBody, a}, {kindBody, b}},
	} {
		joined := seal(sections)
		joined = append(joined[:len(joined)-len(trailer)], trailer...)
		if _, err := Inspect(bytes.NewReader(joined)); err == nil || !strings.Contains(err.Error(), "trailer: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Inspect(bytes.NewReader(whole)); err != nil {
		t.Errorf("as it was: %v", err)
	}
}

func TestFormatOfAnotherVersion(t *testing.T) {
	data := file(t, golden())
	for _, test := range []struct {
		format uint32
		newer  bool
		says   string
	}{{0, false, "format 0: unknown"}, {Format + 1, true, "newer format: 3"}, {1 << 31, true, "newer format: 2147483648"}} {
		other := append(appendPreamble(nil, test.format), "who knows what"...)
		_, _, err := Read(bytes.NewReader(other), goldenSettings)
		if err == nil || errors.Is(err, ErrNewer) != test.newer || !strings.Contains(err.Error(), test.says) {
			t.Errorf("format %d: %v, want …%s…", test.format, err, test.says)
		}
	}
	// One changed bit doesn't make a file of a newer format.
	data[len(magic)] ^= 1
	if _, err := Inspect(bytes.NewReader(data)); err == nil || errors.Is(err, ErrNewer) {
		t.Errorf("damaged version: %v", err)
	}
}

func TestErrorsOfTheReaderAndTheWriter(t *testing.T) {
	data, broken := file(t, golden()), errors.New("broken")
	for i := 0; i < len(data); i += 7 {
		r := io.MultiReader(bytes.NewReader(data[:i]), iotest.ErrReader(broken))
		if _, _, err := Read(r, goldenSettings); !errors.Is(err, broken) {
			t.Errorf("reading byte %d: %v", i, err)
		}
		enc := golden().Encode()
		if _, err := Write(&limited{n: i, err: broken}, enc, goldenHeader); !errors.Is(err, broken) {
			t.Errorf("writing byte %d: %v", i, err)
		}
		enc.Close()
	}
	if _, _, err := Read(io.MultiReader(bytes.NewReader(data), iotest.ErrReader(broken)), goldenSettings); !errors.Is(err, broken) {
		t.Errorf("after the end: %v", err)
	}
	enc := golden().Encode()
	defer enc.Close()
	h := goldenHeader
	h.Version = strings.Repeat("1", maxHeader)
	if _, err := Write(io.Discard, enc, h); err == nil || !strings.Contains(err.Error(), "header: ") {
		t.Errorf("long header: %v", err)
	}
}

// limited is a disk with room for n bytes.
type limited struct {
	n   int
	err error
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(l.n, len(p))
	l.n -= n
	if n < len(p) {
		return n, l.err
	}
	return n, nil
}

// TestInspectNeedsLittleMemory inspects a file of which a gigabyte would be
// read, were it believed.
func TestInspectNeedsLittleMemory(t *testing.T) {
	header, err := goldenHeader.encode()
	if err != nil {
		t.Fatal(err)
	}
	sections := []section{{kindHeader, header}}
	zeros := piece(make([]byte, maxPiece))
	for range 256 {
		sections = append(sections, section{kindBody, zeros})
	}
	data := seal(sections)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	info, err := Inspect(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; info.Encoded != 256*maxPiece || got > 16<<20 {
		t.Errorf("allocated %d bytes for an encoding of %d", got, info.Encoded)
	}
}

// TestWhatExpandsTooMuchIsFilledUp writes what compresses better than a reader
// believes.
func TestWhatExpandsTooMuchIsFilledUp(t *testing.T) {
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
		if err := w.section(kindTrailer, end.append(nil)); err != nil {
			t.Fatal(err)
		}
		if info, err := Inspect(&out); err != nil || info.Encoded != int64(length) {
			t.Errorf("%d bytes: read %d, %v", length, info.Encoded, err)
		}
	}
}

// fleet returns a roster of machines with sessions as a real fleet has them;
// each user has some 20.
func fleet(t testing.TB, machines, sessions int) *roster.Roster {
	r := roster.New(roster.DefaultSettings())
	rng := rand.New(rand.NewPCG(3, 4))
	batch := roster.Batch{Messages: make([]roster.Message, 0, 1000)}
	for i := range sessions {
		date := after(time.Duration(i)*20*time.Millisecond + time.Duration(rng.IntN(1000))*time.Microsecond)
		m := i % machines
		batch.Messages = append(batch.Messages, roster.Message{
			Place: uint64(i + 1), Receipt: date.Add(time.Duration(rng.IntN(2000)) * time.Millisecond),
			Event: roster.Event{
				Date: date, Type: roster.Login, Machine: fmt.Sprintf("web-%06d.fra.example.com", m),
				Session: roster.Session{User: fmt.Sprintf("user%05d", rng.IntN(max(1, sessions/20)))},
			},
		})
		if len(batch.Messages) == cap(batch.Messages) || i == sessions-1 {
			batch.End = position(uint64(i + 1))
			r.Fold(&batch)
			batch.Messages = batch.Messages[:0]
		}
	}
	if st := r.Status(); st.Machines != machines {
		t.Fatalf("%d machines, want %d", st.Machines, machines)
	}
	return r
}
