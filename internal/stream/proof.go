package stream

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/roster"
)

// ErrAnotherStream says that a position does not verify: the stream of that
// name is not the one that was read.
var ErrAnotherStream = errors.New("the stream is not the one that was read")

// hash is the SHA-256 of a message: its subject, its headers in order of key,
// and its payload, each after its length.
func hash(subject string, header nats.Header, data []byte) (sum roster.Hash) {
	h := sha256.New()
	write := func(text string) {
		var size [8]byte
		binary.LittleEndian.PutUint64(size[:], uint64(len(text)))
		h.Write(size[:])
		io.WriteString(h, text) //nolint:errcheck // a hash takes everything
	}
	write(subject)
	keys := make([]string, 0, len(header))
	for key := range header {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		write(key)
		for _, value := range header[key] {
			write(value)
		}
	}
	write(string(data))
	h.Sum(sum[:0])
	return sum
}

// begin waits for the stream, verifies the position, and completes the proof
// of one that has read nothing yet.
func (r *Reader) begin(ctx context.Context, at *roster.Position) (*jetstream.StreamInfo, error) {
	info, err := r.await(ctx)
	if err != nil {
		return nil, err
	}
	created := roster.TimeOf(info.Created)
	if at.Place == 0 {
		at.Proof = roster.Proof{Stream: r.stream, Created: created}
		return info, nil
	}
	if at.Proof.Stream != r.stream || at.Proof.Created != created {
		return nil, fmt.Errorf("position %d is in stream %s created %s; %s was created %s: %w",
			at.Place, at.Proof.Stream, at.Proof.Created, r.stream, created, ErrAnotherStream)
	}
	return info, r.verify(ctx, at.Proof, info)
}

// await asks for the stream until it answers.
func (r *Reader) await(ctx context.Context) (*jetstream.StreamInfo, error) {
	for first := true; ; first = false {
		info, err := r.info(ctx)
		if err == nil {
			return info, nil
		}
		if first {
			r.log.Warn("waiting for the stream", "stream", r.stream, "err", err)
		}
		if !sleep(ctx, time.Second) {
			return nil, ctx.Err()
		}
	}
}

// verify compares the last message read with what the stream has under its
// sequence.
func (r *Reader) verify(ctx context.Context, p roster.Proof, info *jetstream.StreamInfo) error {
	if p.Sequence == 0 || p.Sequence < info.State.FirstSeq {
		return nil // nothing was read, or it has left the stream since
	}
	msg, err := r.get(ctx, p.Sequence)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound) && p.Sequence <= info.State.LastSeq:
		return nil // deleted since
	case err != nil && !errors.Is(err, jetstream.ErrMsgNotFound):
		return fmt.Errorf("verifying position: %w", err)
	case err != nil || roster.TimeOf(msg.Time) != p.Receipt || msg.hash() != p.Hash:
		return fmt.Errorf("message %d of stream %s is not the one that was read: %w", p.Sequence, r.stream, ErrAnotherStream)
	}
	return nil
}

// stored is a message as the stream's leader returns it.
type stored struct {
	Subject string    `json:"subject"`
	Header  []byte    `json:"hdrs"`
	Data    []byte    `json:"data"`
	Time    time.Time `json:"time"`
}

func (m *stored) hash() roster.Hash {
	header, err := nats.DecodeHeadersMsg(m.Header)
	if len(m.Header) > 0 && err != nil {
		return roster.Hash{} // of no message that was ever delivered
	}
	return hash(m.Subject, header, m.Data)
}

// get asks the stream's leader for a message. The library would ask any
// replica, which may be behind, and whose answer has more headers than the
// message.
func (r *Reader) get(ctx context.Context, seq uint64) (*stored, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	reply, err := r.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+r.stream, fmt.Appendf(nil, `{"seq":%d}`, seq))
	if err != nil {
		return nil, fmt.Errorf("getting message %d: %w", seq, err)
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message *stored             `json:"message"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return nil, fmt.Errorf("getting message %d: reading the answer: %w", seq, err)
	}
	switch {
	case answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, jetstream.ErrMsgNotFound
	case answer.Error != nil:
		return nil, fmt.Errorf("getting message %d: %w", seq, answer.Error)
	case answer.Message == nil:
		return nil, fmt.Errorf("getting message %d: an empty answer", seq)
	}
	return answer.Message, nil
}

// explain says why the sequences from want up to (not including) got are
// missing, when a fresh consumer began with got or had met the same gap before.
func (r *reading) explain(want, got uint64, fresh bool) (why roster.Loss, known bool) {
	if !fresh {
		return 0, false
	}
	info, err := r.info(context.Background(), jetstream.WithDeletedDetails(true))
	switch {
	case err != nil:
		return 0, false
	case want < info.State.FirstSeq && r.at.Place == 0:
		return roster.BaselineLost, true
	case want < info.State.FirstSeq:
		return roster.Truncated, true
	case allDeleted(info.State.Deleted, want, got):
		return roster.Deleted, true
	}
	return roster.Gap, r.gap == want
}

// allDeleted reports whether every sequence of [from, to) is among the deleted
// ones, which are in order.
func allDeleted(deleted []uint64, from, to uint64) bool {
	i, found := slices.BinarySearch(deleted, from)
	n := to - from
	return found && uint64(len(deleted)-i) >= n && deleted[uint64(i)+n-1] == to-1
}
