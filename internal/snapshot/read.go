package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"

	"rollcall/internal/roster"
)

// Read reads a snapshot to its end, verifies all of it, and returns its roster,
// which continues with the settings now. It is safe for untrusted input: memory
// grows only with what was read. An error says where and what is wrong. It wraps
// [ErrNewer] if only a newer program can read the file, and any error of r.
func Read(r io.Reader, now roster.Settings) (*roster.Roster, Info, error) {
	b, err := open(r)
	if err != nil {
		return nil, Info{}, err
	}
	was := b.info.Status
	restored, err := roster.Restore(b, roster.Encoded{Version: b.info.Format, Settings: b.info.Settings, Position: was.Position}, now)
	// An error of the file explains an error of its roster, so it is returned
	// first.
	if b.err != nil && !errors.Is(b.err, io.EOF) {
		return nil, Info{}, b.err
	}
	if err != nil {
		return nil, Info{}, fmt.Errorf("reading snapshot: %w", err)
	}
	//guard:false "header and body must agree" TestHostile
	if st := restored.Status(); st.Fates != was.Fates || st.Receipt != was.Receipt || st.Losses != was.Losses {
		return nil, Info{}, errors.New("reading snapshot: header and body differ in fates, receipt or losses")
	}
	b.info.Status = restored.Status()
	return restored, b.info, nil
}

// Inspect reads a snapshot to its end and verifies all of it, except that its body
// is a roster. It needs a few MiB of memory, whatever the file's size. Its errors
// are those of Read. With an error, Info has at most the format and the header, as
// far as they are valid.
func Inspect(r io.Reader) (Info, error) {
	b, err := open(r)
	if err != nil {
		return b.info, err
	}
	_, err = io.Copy(io.Discard, b)
	return b.info, err
}

// ReadHeader reads and verifies a snapshot's header only.
func ReadHeader(r io.Reader) (Header, error) {
	b, err := open(r)
	return b.info.Header, err
}

// bodyReader reads the canonical encoding out of a snapshot. It returns io.EOF
// only after it has verified the trailer and that nothing follows; only then is
// info complete.
type bodyReader struct {
	in              *sectionReader
	zstd            *zstd.Decoder
	info            Info
	digest          hash.Hash
	encoded, pieces uint64
	piece           []byte
	rest            []byte // the part of piece not yet read
	err             error
}

// open reads up to the body. Even with an error, info has the parts that are valid.
func open(r io.Reader) (*bodyReader, error) {
	b := &bodyReader{in: newSectionReader(r), digest: sha256.New()}
	if err := b.header(); err != nil {
		return b, fmt.Errorf("reading snapshot: %w", err)
	}
	var err error
	if b.zstd, err = decompressor(); err != nil {
		return b, fmt.Errorf("reading snapshot: creating decompressor: %w", err)
	}
	return b, nil
}

// decompressor returns the shared decompressor: creating one costs more than
// reading a small snapshot. DecodeAllCapLimit limits all frames of a piece together;
// the other options limit each frame.
var decompressor = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeAllCapLimit(true),
		zstd.WithDecoderMaxMemory(maxPiece), zstd.WithDecoderMaxWindow(maxPiece))
})

// header reads the preamble and the header.
func (b *bodyReader) header() (err error) {
	if b.info.Format, err = b.in.preamble(); err != nil {
		return fmt.Errorf("preamble: %w", err)
	}
	k, payload, err := b.in.section()
	if err == nil && k != kindHeader {
		err = fmt.Errorf("section of kind %q: before the header", byte(k))
	}
	if err != nil {
		return fmt.Errorf("section 1, from byte %d: %w", preambleSize, err)
	}
	if b.info.Header, err = decodeHeader(payload); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	return nil
}

func (b *bodyReader) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		if b.err == nil {
			b.err = b.next()
		}
		if b.err != nil {
			return 0, b.err
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// next reads the next section. It returns io.EOF after a valid trailer.
func (b *bodyReader) next() error {
	from := b.in.n
	k, payload, err := b.in.section()
	if err == nil {
		switch k {
		case kindBody:
			err = b.decompress(payload)
		case kindTrailer:
			err = b.verifyTrailer(payload)
		default:
			err = fmt.Errorf("section of kind %q: repeated", byte(k))
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("reading snapshot: section %d, from byte %d: %w", b.pieces+2, from, err)
	}
	if err == nil {
		b.pieces++
	}
	return err
}

// decompress decompresses the payload of a body section into b.rest.
func (b *bodyReader) decompress(payload []byte) error {
	if len(payload) < pieceHead {
		return io.ErrUnexpectedEOF
	}
	length, compressed := int(binary.LittleEndian.Uint32(payload)), payload[pieceHead:]
	//guard:drop maxExpansion "a small file cannot fill the memory" TestHostile
	if length == 0 || length > min(maxPiece, maxExpansion*len(compressed)) {
		return fmt.Errorf("piece of %d bytes, compressed to %d: length out of range", length, len(compressed))
	}
	if cap(b.piece) < length {
		b.piece = make([]byte, 0, length)
	}
	piece, err := b.zstd.DecodeAll(compressed, b.piece[:0:length])
	if err != nil {
		return fmt.Errorf("decompressing: %w", err)
	}
	if len(piece) != length {
		return fmt.Errorf("decompressed %d bytes, want %d", len(piece), length)
	}
	b.digest.Write(piece)
	b.encoded += uint64(length)
	b.rest = piece
	return nil
}

// verifyTrailer verifies the trailer, and that nothing follows. It returns io.EOF
// if all is well.
func (b *bodyReader) verifyTrailer(payload []byte) error {
	want := trailer{
		digest:  roster.Hash(b.digest.Sum(nil)),
		encoded: b.encoded,
		pieces:  b.pieces,
		size:    uint64(b.in.n),
		sum:     roster.Hash(b.in.sum.Sum(nil)),
	}
	//guard:false "a missing or foreign section is detected" TestTrailerOfAnotherFile
	if !bytes.Equal(payload, want.encode()) {
		return errors.New("trailer: digests or sizes differ")
	}
	if err := b.in.expectEOF(); err != nil {
		return err
	}
	b.info.StateDigest, b.info.Encoded, b.info.Size = want.digest, int64(want.encoded), int64(want.size)
	return io.EOF
}
