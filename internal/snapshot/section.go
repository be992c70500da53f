package snapshot

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
)

// The layout; see the package comment.
const (
	magic        = "rollcall"
	preambleSize = len(magic) + 4 + crcSize
	sectionHead  = 5 // kind and length
	crcSize      = 4
	trailerSize  = 88
	pieceHead    = 4 // the length of a piece
	maxPiece     = 1 << 20
	maxExpansion = 256
	maxHeader    = 64 << 10
	// maxBody is more than any compressed piece needs: incompressible data grows by
	// a frame header, and 3 bytes per block of 128 KiB.
	maxBody = pieceHead + maxPiece + 1024
)

// kind is the kind of a section.
type kind byte

const (
	kindHeader  kind = 'H'
	kindBody    kind = 'B'
	kindTrailer kind = 'T'
)

// maxLength returns the greatest length of a section's payload; 0: no such kind.
func (k kind) maxLength() uint32 {
	switch k {
	case kindHeader:
		return maxHeader
	case kindBody:
		return maxBody
	case kindTrailer:
		return trailerSize
	}
	return 0
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func crcOf(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// appendPreamble appends the preamble of a file.
func appendPreamble(b []byte, format uint32) []byte {
	start := len(b)
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint32(b, format)
	return binary.LittleEndian.AppendUint32(b, crcOf(b[start:]))
}

// checkPreamble verifies the preamble of a file and returns its format; 0 if it is
// not the preamble of a snapshot.
func checkPreamble(b []byte) (format uint32, err error) {
	if string(b[:len(magic)]) != magic {
		return 0, errors.New("not a snapshot of rollcall")
	}
	at := len(b) - crcSize
	//guard:false "a damaged preamble is not taken for a newer format" TestOtherFormatVersions
	if binary.LittleEndian.Uint32(b[at:]) != crcOf(b[:at]) {
		return 0, errors.New("checksum differs")
	}
	switch format = binary.LittleEndian.Uint32(b[len(magic):]); {
	//guard:false "a newer format is not read" TestOtherFormatVersions
	case format > Format:
		err = fmt.Errorf("%w: %d, this program reads up to %d", ErrNewer, format, Format)
	case format == 0:
		err = fmt.Errorf("format %d: unknown", format)
	}
	return format, err
}

// appendSection appends a section.
func appendSection(b []byte, k kind, payload []byte) []byte {
	start := len(b)
	b = append(b, byte(k))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = append(b, payload...)
	return binary.LittleEndian.AppendUint32(b, crcOf(b[start:]))
}

// sectionWriter writes a file's preamble and sections.
type sectionWriter struct {
	w   io.Writer
	sum hash.Hash // of the bytes written
	n   int64     // bytes written
	buf []byte
}

func newSectionWriter(w io.Writer) *sectionWriter {
	return &sectionWriter{w: w, sum: sha256.New()}
}

func (s *sectionWriter) preamble() error {
	s.buf = appendPreamble(s.buf[:0], Format)
	return s.flush()
}

func (s *sectionWriter) section(k kind, payload []byte) error {
	s.buf = appendSection(s.buf[:0], k, payload)
	return s.flush()
}

func (s *sectionWriter) flush() error {
	n, err := s.w.Write(s.buf)
	s.sum.Write(s.buf[:n])
	s.n += int64(n)
	return err
}

// sectionReader reads a file's preamble and sections, from untrusted input. It
// keeps one section in memory, and allocates only for what was read.
type sectionReader struct {
	in  *bufio.Reader
	sum hash.Hash // of the bytes read, without the trailer
	n   int64     // bytes read, with the trailer
	buf bytes.Buffer
}

func newSectionReader(r io.Reader) *sectionReader {
	return &sectionReader{in: bufio.NewReaderSize(r, 1<<14), sum: sha256.New()}
}

// preamble returns the file's format, even with an error if it could be read.
func (s *sectionReader) preamble() (format uint32, err error) {
	if err := s.read(int64(preambleSize)); err != nil {
		return 0, err
	}
	format, err = checkPreamble(s.buf.Bytes())
	s.sum.Write(s.buf.Bytes())
	return format, err
}

// section returns the next section if its checksum is right. The payload is valid
// until the next call.
func (s *sectionReader) section() (kind, []byte, error) {
	s.buf.Reset()
	if err := s.read(sectionHead); err != nil {
		return 0, nil, err
	}
	head := s.buf.Bytes()
	k, length := kind(head[0]), binary.LittleEndian.Uint32(head[1:])
	if k.maxLength() == 0 {
		return 0, nil, fmt.Errorf("section of kind %q: unknown", byte(k))
	}
	//guard:false "memory grows only with what was read" TestHostile
	if length > k.maxLength() {
		return 0, nil, fmt.Errorf("section of kind %q: %d bytes, at most %d", byte(k), length, k.maxLength())
	}
	if err := s.read(int64(length) + crcSize); err != nil {
		return 0, nil, err
	}
	all := s.buf.Bytes()
	at := len(all) - crcSize
	//guard:false "a damaged section is detected" TestDamageOfTheHeader
	if binary.LittleEndian.Uint32(all[at:]) != crcOf(all[:at]) {
		return 0, nil, fmt.Errorf("section of kind %q: checksum differs", byte(k))
	}
	if k != kindTrailer {
		s.sum.Write(all)
	}
	return k, all[sectionHead:at], nil
}

// read appends n bytes to buf.
func (s *sectionReader) read(n int64) error {
	got, err := io.CopyN(&s.buf, s.in, n)
	s.n += got
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// expectEOF returns an error unless the file ends here.
func (s *sectionReader) expectEOF() error {
	switch _, err := s.in.ReadByte(); err {
	case io.EOF:
		return nil
	case nil:
		return errors.New("bytes after the end")
	default:
		return err
	}
}
