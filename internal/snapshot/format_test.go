package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
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

// TestEarlierFormats reads files of earlier programs: they have the same users on. Format 1
// doesn't have the first receipt after losses. None has the date of a machine's last login
// or logout, so another one follows.
func TestEarlierFormats(t *testing.T) {
	for format := uint32(1); format < Format; format++ {
		data, err := os.ReadFile(filepath.Join("testdata", fmt.Sprintf("format-%d.rollcall", format)))
		if err != nil {
			t.Fatal(err)
		}
		got, info, err := Read(bytes.NewReader(data), goldenSettings)
		if err != nil {
			t.Fatal(err)
		}
		want := goldenBefore3()
		if format >= 3 {
			want = goldenBefore5()
		}
		if st := want.Status(); info.Format != format || info.Status.Losses != st.Losses || info.Status.Fates != st.Fates || info.Status.Complete() {
			t.Errorf("format %d: info %+v, want the losses and fates of %+v", format, info, st)
		}
		if format == 1 {
			for _, r := range []*roster.Roster{got, want} {
				r.Accept(want.Status().Position.Place)
			}
		}
		for _, r := range []*roster.Roster{got, want} {
			logoutEverywhere(r)
		}
		if !bytes.Equal(encoding(got), encoding(want)) || got.Status() != want.Status() {
			t.Errorf("format %d: another roster: %+v, want %+v", format, got.Status(), want.Status())
		}
	}
}

// logoutEverywhere folds a logout on each machine, dated as its newest event.
func logoutEverywhere(r *roster.Roster) {
	var messages []roster.Message
	for v := range r.Machines("") {
		m := goldenEvent(20, roster.Logout, v.Name(), roster.Session{ID: "none"})
		m.Event.Date = v.Newest()
		messages = append(messages, m)
	}
	goldenFold(r, messages, nil)
}

// TestGolden reads the file that the first program with this format wrote. It must
// never be replaced: -update creates it only if it is missing.
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
	if !bytes.Equal(encoding(got), encoding(want)) || !reflect.DeepEqual(got.Status(), want.Status()) {
		t.Errorf("another roster: %+v, want %+v", got.Status(), want.Status())
	}
	wantHeader := goldenHeader
	wantHeader.Status = want.Status()
	if !reflect.DeepEqual(info.Header, wantHeader) {
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

// TestSpeakers: who may speak for whom stands in the snapshot with the other settings.
func TestSpeakers(t *testing.T) {
	settings := goldenSettings
	settings.Sources = "fra/E=*.fra b,local=hub"
	r, info, err := Read(bytes.NewReader(file(t, roster.New(settings))), settings)
	if err != nil || info.Settings != settings || r.Settings() != settings {
		t.Errorf("%+v, %v", info.Settings, err)
	}
}

// TestDamage flips every bit of a file, truncates it at every byte, and appends to
// it: Read and Inspect detect all of it.
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

// generous also decompresses pieces that are too long, but stops at the size of the
// shared buffer decompressed.
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

// TestTrailerOfAnotherFile joins valid sections, with one missing, repeated, or from
// another file. Only the trailer can detect that.
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

func TestOtherFormatVersions(t *testing.T) {
	data := file(t, golden())
	for _, test := range []struct {
		format uint32
		newer  bool
		says   string
	}{{0, false, "format 0: unknown"}, {Format + 1, true, fmt.Sprint("newer format: ", Format+1)}, {1 << 31, true, "newer format: 2147483648"}} {
		other := append(appendPreamble(nil, test.format), "who knows what"...)
		_, _, err := Read(bytes.NewReader(other), goldenSettings)
		if err == nil || errors.Is(err, ErrNewer) != test.newer || !strings.Contains(err.Error(), test.says) {
			t.Errorf("format %d: %v, want …%s…", test.format, err, test.says)
		}
	}
	// A damaged version is not taken for a newer format.
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

// limited is a disk with space for n bytes.
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

// TestInspectNeedsLittleMemory inspects a file whose lengths claim a gigabyte.
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

// fleet returns a roster of machines with sessions as in a real fleet; each user has
// about 20.
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
