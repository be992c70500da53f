package roster

import (
	"encoding/hex"
	"fmt"
)

// Fate is what became of one message; every place has exactly one.
type Fate uint8

// The fates.
const (
	Applied      Fate = iota // raised a register other than newest and heard
	Superseded               // accepted, and raised none
	DeadLettered             // refused
	Lost                     // the stream no longer had it
)

var fateNames = [...]string{Applied: "applied", Superseded: "superseded", DeadLettered: "dead_lettered", Lost: "lost"}

// AllFates returns all fates.
func AllFates() []Fate { return []Fate{Applied, Superseded, DeadLettered, Lost} }

// String returns the fate's name: "dead_lettered".
func (f Fate) String() string { return fateNames[f] }

// Fates counts messages by fate, since the first. Their sum is the position's
// place.
type Fates [4]uint64

func (f *Fates) add(fate Fate, n uint64) { f[fate] += n }

// Sum returns how many messages have a fate.
func (f Fates) Sum() uint64 { return f[Applied] + f[Superseded] + f[DeadLettered] + f[Lost] }

// Reason is why a message was refused.
type Reason string

// The reasons, a closed set, in the order in which they are checked: a message is
// refused for the first that applies.
const (
	Oversize     Reason = "oversize"
	Malformed    Reason = "malformed"
	MissingField Reason = "missing_field"
	UnknownType  Reason = "unknown_type"
	BadDate      Reason = "bad_date"
	BadName      Reason = "bad_name"
	Identity     Reason = "identity"
	Future       Reason = "future"
	Late         Reason = "late"
	Limit        Reason = "limit"
)

// Reasons returns all reasons, in their order.
func Reasons() []Reason {
	return []Reason{Oversize, Malformed, MissingField, UnknownType, BadDate, BadName, Identity, Future, Late, Limit}
}

// Refusal says why a message was refused.
type Refusal struct {
	Reason Reason
	// Problem is what is wrong, and where: `user: 300 bytes, at most 255`.
	Problem string
	// Remedy is what the publisher can do about it.
	Remedy string
}

// Error returns the three parts: "reason: problem: remedy".
func (r *Refusal) Error() string {
	return fmt.Sprintf("%s: %s: %s", r.Reason, r.Problem, r.Remedy)
}

// Position is the place up to which every message has its fate, with the proof
// that identifies the stream that was read.
type Position struct {
	Place uint64 `json:"place"`
	// Base is the offset that turns a sequence of this incarnation of the stream
	// into a place. It is negative if the stream's first sequence is greater than
	// the first place: a stream may begin anywhere.
	Base  int64 `json:"base"`
	Proof Proof `json:"proof"`
	// Judged is the receipt up to which messages were judged in an earlier
	// incarnation. Of those, a message that would be refused when it is read again
	// is superseded instead.
	Judged Time `json:"judged,omitzero"`
}

// Sequence returns the position's place as a sequence of the stream.
func (p Position) Sequence() uint64 { return p.Place - uint64(p.Base) }

// PlaceOf returns the place of a sequence of the stream.
func (p Position) PlaceOf(sequence uint64) uint64 { return sequence + uint64(p.Base) }

// On returns the position with its Base changed so that its place is at a sequence
// of the stream. Reading continues after that sequence.
func (p Position) On(sequence uint64) Position {
	p.Base = int64(p.Place - sequence)
	return p
}

// Proof identifies one incarnation of a stream by its name, its creation and
// the last message that was read from it. Sequence is 0 when none was.
type Proof struct {
	Stream   string `json:"stream"`
	Created  Time   `json:"created"`
	Sequence uint64 `json:"sequence"`
	Receipt  Time   `json:"receipt"`
	Hash     Hash   `json:"hash"`
}

// Hash is the SHA-256 of a message.
type Hash [32]byte

// MarshalText returns the hash in hexadecimal.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText is the inverse of MarshalText.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(h)) {
		return fmt.Errorf("hash: %d digits, want %d", len(text), hex.EncodedLen(len(h)))
	}
	if _, err := hex.Decode(h[:], text); err != nil {
		return fmt.Errorf("hash: %w", err)
	}
	return nil
}
