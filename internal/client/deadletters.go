package client

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"rollcall/internal/natsconn"
	rollcallv1 "rollcall/proto/rollcall/v1"
	"rollcall/proto/rollcall/v1/rollcallpb"
)

// DeadLetter is a message that was refused, and why.
type DeadLetter struct {
	Place   uint64 `json:"place"`
	Receipt string `json:"receipt"` // of the original, RFC 3339
	Reason  string `json:"reason"`
	Detail  string `json:"detail"`
	// Machine is the machine named by the original's subject, else by its payload,
	// as far as that can be decoded.
	Machine string `json:"machine,omitzero"`
	// Subject, Stream, Sequence and Size are the original's.
	Subject  string `json:"subject"`
	Stream   string `json:"stream"`
	Sequence uint64 `json:"sequence"`
	Size     uint64 `json:"size"` // of the payload, in bytes
}

// LettersStream is a stream of dead letters.
type LettersStream struct {
	Domain natsconn.Domain
	Name   string
}

// letterTimeout is how long reading one letter may take.
const letterTimeout = 10 * time.Second

// DeadLetters reads a stream of dead letters after a sequence, 0 for all of it, to its end,
// and passes each letter to handle, in the order in which they were stored. It returns the
// sequence of the last one that was read, also with an error. It requests them one by one. A
// consumer would be faster, but a login that may create one can make the server
// publish the stream's messages on any subject; this needs permission for requests
// only.
func DeadLetters(ctx context.Context, conn *nats.Conn, subjects rollcallv1.Subjects, stream LettersStream, after uint64, handle func(DeadLetter)) (last uint64, err error) {
	for {
		request := fmt.Appendf(nil, `{"seq":%d,"next_by_subj":%q}`, after+1, subjects.AllDeadLetters()[0])
		m, sequence, err := oneLetter(ctx, conn, stream, request)
		if err != nil || m == nil {
			return after, err
		}
		handle(readLetter(m, subjects))
		after = sequence
	}
}

// DeadLetterRange returns the sequences of the first and of the last letter that a stream of
// dead letters has; 0 and 0 if it has none.
func DeadLetterRange(ctx context.Context, conn *nats.Conn, subjects rollcallv1.Subjects, stream LettersStream) (first, last uint64, err error) {
	all := subjects.AllDeadLetters()[0]
	if _, first, err = oneLetter(ctx, conn, stream, fmt.Appendf(nil, `{"seq":1,"next_by_subj":%q}`, all)); err == nil {
		_, last, err = oneLetter(ctx, conn, stream, fmt.Appendf(nil, `{"last_by_subj":%q}`, all))
	}
	return first, last, err
}

// oneLetter requests a message of the stream; nil: there is none. The server's headers hold
// the subject and sequence under which it is stored.
func oneLetter(ctx context.Context, conn *nats.Conn, stream LettersStream, request []byte) (*nats.Msg, uint64, error) {
	asking, cancel := context.WithTimeout(ctx, letterTimeout)
	defer cancel()
	m, err := conn.RequestWithContext(asking, stream.Domain.API()+"DIRECT.GET."+stream.Name, request)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, 0, fmt.Errorf("no stream %s%s that allows direct gets: start \"rollcall serve\", which creates it, or set ROLLCALL_DEADLETTERS_STREAM to its name", stream.Name, stream.Domain.In())
	case err != nil:
		return nil, 0, fmt.Errorf("reading stream %s: %w", stream.Name, cmp.Or(context.Cause(ctx), err))
	}
	switch status := m.Header.Get("Status"); status {
	case "":
	case "404":
		return nil, 0, nil
	default:
		return nil, 0, fmt.Errorf("reading stream %s: status %s %s", stream.Name, status, m.Header.Get("Description"))
	}
	sequence, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return nil, 0, fmt.Errorf("reading stream %s: the sequence of a message: %w", stream.Name, err)
	}
	return m, sequence, nil
}

// readLetter decodes a letter. Missing fields are left empty: others may publish to
// the stream too.
func readLetter(m *nats.Msg, subjects rollcallv1.Subjects) DeadLetter {
	h := m.Header
	number := func(text string) uint64 {
		n, _ := strconv.ParseUint(text, 10, 64)
		return n
	}
	rest := strings.TrimPrefix(h.Get(jetstream.SubjectHeader), strings.TrimSuffix(subjects.AllDeadLetters()[0], ">"))
	place, _, _ := strings.Cut(rest, ".")
	l := DeadLetter{
		Place:    number(place),
		Receipt:  h.Get(rollcallv1.HeaderReceipt),
		Reason:   h.Get(rollcallv1.HeaderReason),
		Detail:   h.Get(rollcallv1.HeaderDetail),
		Subject:  h.Get(rollcallv1.HeaderSubject),
		Stream:   h.Get(rollcallv1.HeaderStream),
		Sequence: number(h.Get(rollcallv1.HeaderSequence)),
		Size:     number(h.Get(rollcallv1.HeaderSize)),
	}
	if machine, err := subjects.MachineOf(l.Subject); err == nil && machine != "" {
		l.Machine = machine
	} else {
		l.Machine = machineOf(m.Data)
	}
	return l
}

// machineOf returns the machine that a payload names, if it can be decoded although
// the message was refused.
func machineOf(payload []byte) string {
	if !bytes.HasPrefix(bytes.TrimSpace(payload), []byte("{")) {
		var event rollcallpb.Event
		if proto.Unmarshal(payload, &event) != nil {
			return ""
		}
		return event.GetMachine()
	}
	var event struct {
		Machine string `json:"machine"`
	}
	if json.Unmarshal(payload, &event, jsontext.AllowDuplicateNames(true)) != nil {
		return ""
	}
	return event.Machine
}
