package stream

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"rollcall/internal/roster"
)

// hash is the SHA-256 of a message: its subject, its headers sorted by key, and its
// payload, each preceded by its length. It must be the same for a message that was
// delivered and one that was requested. The subject of a requested message comes in
// JSON, with U+FFFD for each byte that is not UTF-8, so hash replaces those, too.
func (m *Message) hash() (sum roster.Hash) {
	h := sha256.New()
	write := func(text string) {
		var size [8]byte
		binary.LittleEndian.PutUint64(size[:], uint64(len(text)))
		//guard:drop "no two messages have the same hash" TestHashOfManyHeaders
		h.Write(size[:])
		io.WriteString(h, text) //nolint:errcheck // a hash never fails
	}
	//guard:set string(...) m.Subject "no message keeps the service from starting" TestProofOfHostileMessages
	write(string([]rune(m.Subject)))
	keys := make([]string, 0, len(m.Header))
	for key := range m.Header {
		keys = append(keys, key)
	}
	//guard:drop "a position verifies at the next start" TestHashOfManyHeaders
	slices.Sort(keys)
	for _, key := range keys {
		write(key)
		for _, value := range m.Header[key] {
			write(value)
		}
	}
	write(string(m.Data))
	h.Sum(sum[:0])
	return sum
}

// fillProof makes a message the proof of a position.
func (m *Message) fillProof(p *roster.Proof) {
	p.Sequence, p.Receipt, p.Hash = m.Sequence, m.Receipt, m.hash()
}

// checkProof looks up whether the stream has the message of a proof under its sequence.
// The answer is gone if the stream has removed the message since.
func (r *Reader) checkProof(ctx context.Context, p roster.Proof, st state) (proof, error) {
	switch {
	//guard:drop p.Stream "a position is valid in its own stream only" TestAnotherName
	case p.Stream != r.stream || p.Created != st.created || p.Sequence > st.last:
		return refuted, nil
	case p.Sequence == 0 || p.Sequence < st.first:
		return gone, nil
	}
	m, err := r.getConfirmed(ctx, p.Sequence)
	switch {
	case errors.Is(err, errNoMessage):
		return gone, nil
	case err != nil:
		return gone, err
	//guard:drop m.hash "another payload is another message" TestProofCoversPayload
	//guard:drop m.Receipt "the same payload at another time is another message" TestSamePayloads
	case m.Receipt != p.Receipt || m.hash() != p.Hash:
		return refuted, nil
	}
	return proven, nil
}

// getConfirmed requests a message, and retries once if it is not there: a deposed
// leader that never had it may have answered.
func (r *Reader) getConfirmed(ctx context.Context, seq uint64) (Message, error) {
	m, err := r.source.get(ctx, seq)
	if errors.Is(err, errNoMessage) {
		m, err = r.source.get(ctx, seq)
	}
	return m, err
}
