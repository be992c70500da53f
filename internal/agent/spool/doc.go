// Package spool is the durable queue between what an agent sees on its machine and what
// it publishes. Records are appended with an fsync, read in order, and removed once
// JetStream has stored them.
//
// # The folder
//
//	origin                the name of the counter, and whose it is
//	acked                 the numbers given and acked, and the newest state
//	<first number>.log    a segment: records with consecutive numbers; 20 digits
//
// One process at a time uses a folder; it holds a flock on it.
//
// All numbers in the files are unsigned and little endian. Each CRC is CRC-32C
// (Castagnoli). A file is a preamble and records:
//
//	preamble   16 bytes, with this layout in every version
//	    0   8  "rc-spool"
//	    8   4  version: 1
//	   12   4  CRC of the 12 bytes before
//	record*
//	    0   4  n, the length of what follows the CRC
//	    4   4  CRC of the length and of what follows this CRC
//	    8   8  number
//	   16   4  s, the length of the state
//	   20   s  state
//	 20+s      payload
//
// The files origin and acked have one record and are replaced by a rename, so a crash
// never damages them:
//
//	origin   the number is the last one before those of the origin, the state is a hash
//	         of the machine-id, the payload is the origin
//	acked    the number is the highest given, the state is that of its record, the
//	         payload is the number up to which all are acked or dropped, in 8 bytes
//
// # Numbers
//
// No number is given twice under one origin. Append fsyncs the records and then writes
// the highest number to acked, also with an fsync; only then does it return, and only
// then can a Reader see the records. So acked is a second witness of each number that
// may have been published, and is not lost together with a segment:
//
//   - Usually the next number is 1 + max(last record, given). A record beyond given was
//     being appended in a crash; it is whole, so it counts.
//   - If segments are damaged or lost, given still holds. The numbers from acked to given
//     that no segment has are lost: they are logged, counted in [Stats], and never given
//     again, so whoever counts them sees the loss. State is that of the record given, or
//     of a later one: what happened up to there is told once, or counted as lost, and
//     never told twice.
//   - A torn tail is what a crash leaves of records for which Append had not returned.
//     It is cut, and as it is beyond given, nothing is lost and its numbers are free.
//   - If acked or origin is damaged or lost, nothing proves which numbers were given. The
//     records are kept and the numbers go on after the last of them, but under a new
//     origin, whose records are counted from there: see Base. All of the records are
//     sent again, with the old origin inside.
//
// What this can't see: a folder restored from a backup, and a disk that loses what it
// reported as written, in acked and in a segment at once.
//
// # Damage
//
// A bad record ends its segment: reading goes on with the next one. A file with an
// unknown version is not damaged, and is never removed: Open refuses the folder.
package spool
