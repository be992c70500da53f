package snapshot

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"

	"rollcall/internal/roster"
)

// Write writes a snapshot of the encoding to w, piece by piece, and sets the
// header's Status to the encoding's. Read is its inverse. The caller closes the
// encoding.
func Write(w io.Writer, enc *roster.Encoding, h Header) (Info, error) {
	h.Status, h.Written = enc.Status(), h.Written.UTC()
	out := newSectionWriter(w)
	info, err := write(out, enc, h)
	if err != nil {
		return Info{}, fmt.Errorf("writing snapshot: byte %d: %w", out.n, err)
	}
	return info, nil
}

func write(out *sectionWriter, enc *roster.Encoding, h Header) (Info, error) {
	header, err := h.encode()
	if err != nil {
		return Info{}, fmt.Errorf("header: %w", err)
	}
	if err := out.preamble(); err != nil {
		return Info{}, err
	}
	if err := out.section(kindHeader, header); err != nil {
		return Info{}, err
	}
	body, err := newBodyWriter(out)
	if err != nil {
		return Info{}, err
	}
	if _, err := enc.WriteTo(body); err != nil {
		return Info{}, err
	}
	if err := body.flush(); err != nil {
		return Info{}, err
	}
	t := body.trailer()
	if err := out.section(kindTrailer, t.encode()); err != nil {
		return Info{}, err
	}
	return Info{Format: Format, Header: h, StateDigest: t.digest, Encoded: int64(t.encoded), Size: int64(t.size)}, nil
}

// trailer is the content of the last section.
type trailer struct {
	digest                roster.Hash
	encoded, pieces, size uint64
	sum                   roster.Hash
}

func (t *trailer) encode() []byte {
	b := append([]byte(nil), t.digest[:]...)
	for _, n := range []uint64{t.encoded, t.pieces, t.size} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return append(b, t.sum[:]...)
}

// bodyWriter cuts the encoding into pieces, and writes each as a section.
type bodyWriter struct {
	out             *sectionWriter
	zstd            *zstd.Encoder
	digest          hash.Hash
	encoded, pieces uint64
	piece, payload  []byte
}

func newBodyWriter(out *sectionWriter) (*bodyWriter, error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(maxPiece), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, fmt.Errorf("creating compressor: %w", err)
	}
	return &bodyWriter{out: out, zstd: z, digest: sha256.New()}, nil
}

func (b *bodyWriter) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		n := min(maxPiece-len(b.piece), len(p)-written)
		b.piece = append(b.piece, p[written:written+n]...)
		written += n
		if len(b.piece) == maxPiece {
			if err := b.flush(); err != nil {
				return written, err
			}
		}
	}
	return written, nil
}

// flush writes the current piece.
func (b *bodyWriter) flush() error {
	if len(b.piece) == 0 {
		return nil
	}
	b.digest.Write(b.piece)
	b.encoded += uint64(len(b.piece))
	b.pieces++
	b.payload = binary.LittleEndian.AppendUint32(b.payload[:0], uint32(len(b.piece)))
	b.payload = b.zstd.EncodeAll(b.piece, b.payload)
	b.payload = padToExpansion(b.payload, pieceHead+len(b.piece)/maxExpansion+1)
	b.piece = b.piece[:0]
	return b.out.section(kindBody, b.payload)
}

// padToExpansion appends a skippable frame (RFC 8878, section 3.1.2) to a payload
// that is shorter than least, so that its piece doesn't expand by more than
// maxExpansion.
func padToExpansion(payload []byte, least int) []byte {
	if len(payload) >= least {
		return payload
	}
	zeros := make([]byte, least-len(payload))
	payload = binary.LittleEndian.AppendUint32(payload, 0x184D2A50)
	payload = binary.LittleEndian.AppendUint32(payload, uint32(len(zeros)))
	return append(payload, zeros...)
}

// trailer returns the trailer for what was written so far.
func (b *bodyWriter) trailer() trailer {
	return trailer{
		digest:  roster.Hash(b.digest.Sum(nil)),
		encoded: b.encoded,
		pieces:  b.pieces,
		size:    uint64(b.out.n) + sectionHead + trailerSize + crcSize,
		sum:     roster.Hash(b.out.sum.Sum(nil)),
	}
}
