package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	rollcallv1 "rollcall/proto/rollcall/v1"
)

// letter is a dead letter: a message that was refused, and why.
type letter struct {
	Place   uint64 `json:"place"`
	Receipt string `json:"receipt"` // of the original, RFC 3339
	Reason  string `json:"reason"`
	Detail  string `json:"detail"`
	// Machine is the one that the original's subject names, else the one that
	// its payload does, as far as that can be read.
	Machine string `json:"machine,omitzero"`
	// Subject, Stream, Sequence and Size are the original's.
	Subject  string `json:"subject"`
	Stream   string `json:"stream"`
	Sequence uint64 `json:"sequence"`
	Size     uint64 `json:"size"` // of the payload, in bytes
}

// letterPatience is how long the next letter may take to come.
const letterPatience = 10 * time.Second

// letters reads the stream of dead letters as it stands, and gives each letter
// to take, in the order in which they were stored.
func letters(ctx context.Context, conn *nats.Conn, subjects rollcallv1.Subjects, take func(letter)) error {
	js, err := jetstream.New(conn)
	if err != nil {
		return fmt.Errorf("opening JetStream: %w", err)
	}
	all := subjects.AllDeadLetters()[0]
	name, err := js.StreamNameBySubject(ctx, all)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("no stream takes %s; \"rollcall serve\" makes it", all)
	}
	if err != nil {
		return fmt.Errorf("finding the stream of dead letters: %w", err)
	}
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return fmt.Errorf("opening stream %s: %w", name, err)
	}
	if stream.CachedInfo().State.Msgs == 0 {
		return nil
	}
	if err := readLetters(ctx, stream, subjects, take); err != nil {
		return fmt.Errorf("reading stream %s: %w", name, err)
	}
	return nil
}

func readLetters(ctx context.Context, stream jetstream.Stream, subjects rollcallv1.Subjects, take func(letter)) error {
	last := stream.CachedInfo().State.LastSeq
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return err
	}
	// Few at a time: each may have the largest payload there is.
	messages, err := consumer.Messages(jetstream.PullMaxMessages(50))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		wait, cancel := context.WithTimeout(ctx, letterPatience)
		m, err := messages.Next(jetstream.NextContext(wait))
		cancel()
		if err != nil {
			return cmp.Or(ctx.Err(), err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		take(readLetter(m, subjects))
		if meta.Sequence.Stream >= last || meta.NumPending == 0 {
			return nil
		}
	}
}

// readLetter reads a letter. What it lacks is left empty: anybody may write into
// the stream.
func readLetter(m jetstream.Msg, subjects rollcallv1.Subjects) letter {
	h := m.Headers()
	number := func(text string) uint64 {
		n, _ := strconv.ParseUint(text, 10, 64)
		return n
	}
	rest := strings.TrimPrefix(m.Subject(), strings.TrimSuffix(subjects.AllDeadLetters()[0], ">"))
	place, _, _ := strings.Cut(rest, ".")
	l := letter{
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
		l.Machine = machineOf(m.Data())
	}
	return l
}

// machineOf returns the machine that a payload names, if it can be read so far
// although it was refused.
func machineOf(payload []byte) string {
	if !bytes.HasPrefix(bytes.TrimSpace(payload), []byte("{")) {
		var event rollcallv1.Event
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

// latest keeps the letters with the greatest places, at most so many.
type latest struct {
	most  int
	kept  []letter
	count int // of all that were added
}

func (l *latest) add(one letter) {
	l.count++
	if l.kept = append(l.kept, one); len(l.kept) >= 2*l.most {
		l.kept = l.inOrder()
	}
}

// inOrder returns them in the order of their places.
func (l *latest) inOrder() []letter {
	slices.SortStableFunc(l.kept, func(a, b letter) int { return cmp.Compare(a.Place, b.Place) })
	return slices.Clone(l.kept[max(0, len(l.kept)-l.most):])
}
