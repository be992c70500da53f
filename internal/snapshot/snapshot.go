// Package snapshot saves the roster to disk and loads it: the file format, and
// the folder that holds the newest three snapshots.
//
// # The format
//
// A snapshot is one file: a preamble, sections, the end. All numbers are
// unsigned and little endian. Every CRC is CRC-32C (Castagnoli), every digest
// SHA-256.
//
//	preamble   16 bytes, with this layout in every version of the format
//	    0   8  "rollcall"
//	    8   4  version of the format: 5, which is also that of the encoding
//	   12   4  CRC of the 12 bytes before
//	section*   the header, 1 or more of the body, the trailer
//	    0   1  kind: 'H' header, 'B' body, 'T' trailer
//	    1   4  n, the length of the payload
//	    5   n  payload
//	  5+n   4  CRC of the 5+n bytes before
//
// The payload of the header is one JSON object of at most 64 KiB. Times are
// nanoseconds since 1970-01-01T00:00:00Z, except written, which is RFC 3339;
// durations are nanoseconds. A reader ignores unknown keys.
//
//	written      when, by the writer's clock
//	version      the version of the program that wrote it
//	compression  "zstd"
//	settings     the roster's: max_skew, allowed_lateness, max_machines,
//	             max_sessions, max_sessions_per_machine
//	position     place, base, and proof: stream, created, sequence, receipt,
//	             hash (in hexadecimal)
//	fates        by name, how many places have it; they add up to place
//	receipt      the newest receipt read
//	losses       by name, the place of the last loss of that kind, if any
//	machines, users, users_on_several_machines, sessions, unsettled
//	             totals
//
// The body is the canonical encoding of the roster (see [roster.Encoding]),
// cut into pieces of 1 to 1,048,576 bytes. The payload of a body section is
//
//	0   4  the length of its piece
//	4      the piece, compressed: a Zstandard frame (RFC 8878), independent of
//	       the other sections
//
// A piece is at most 256 times as long as its compressed form. If it would be
// longer, the writer appends a skippable frame to the compressed form. So a small
// file cannot fill the reader's memory.
//
// The payload of the trailer has 88 bytes, and nothing follows its section:
//
//	 0  32  state_digest: the digest of the canonical encoding
//	32   8  the length of the canonical encoding
//	40   8  the number of body sections
//	48   8  the length of the file
//	56  32  the digest of all bytes of the file before the trailer's section
//
// So every bit of the file is covered by a checksum: any change, truncation or
// addition is detected, and mostly the error says where. The version says all that
// a program must know to read the file correctly: a change of the canonical
// encoding, or a new setting that affects the fold, makes a new version. Earlier versions
// differ in the encoding and in the losses there are, and can still be read.
package snapshot

import (
	"errors"
	"time"

	"rollcall/internal/roster"
)

// Format is the version of the file format that Write writes, and the newest
// that Read reads.
const Format = roster.EncodingVersion

// ErrNewer is the error for a file in a newer format than Format. The file is not
// damaged, but only a newer program can read it.
var ErrNewer = errors.New("newer format")

// Header is the content of a snapshot's header.
type Header struct {
	// Written is when it was written, by the writer's clock. It is only for
	// information.
	Written time.Time
	// Version is that of the program that wrote it.
	Version string
	// Settings are the roster's settings.
	Settings roster.Settings
	// Status is the roster's status at the cut. After ReadHeader and Inspect, which
	// don't restore the roster, it has only the fields that the header has.
	Status roster.Status
}

// Info describes a snapshot that was written, or that was read to its end and
// verified.
type Info struct {
	// Format is the version of the file's format.
	Format uint32
	Header
	// StateDigest is the SHA-256 of the canonical encoding: the same for two
	// rosters that read the same messages with the same settings.
	StateDigest roster.Hash
	// Encoded is the length of the canonical encoding, and Size that of the
	// file, in bytes.
	Encoded, Size int64
	// Path is the file's path, if a Store wrote or read it.
	Path string
}
