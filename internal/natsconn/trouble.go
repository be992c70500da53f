package natsconn

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// The streams by what they are for, as metrics call them.
const (
	RoleEvents      = "events"
	RoleReports     = "reports"
	RoleDeadLetters = "deadletters"
)

// StreamRoles are what the three streams are for, in order.
func StreamRoles() []string { return []string{RoleEvents, RoleReports, RoleDeadLetters} }

// Missing returns the streams of ours that are not there, by what they are for.
// It asks for the list of streams, which every login may that Prepare works for.
func (s Streams) Missing(ctx context.Context, js jetstream.JetStream) (map[string]bool, error) {
	all, err := list(ctx, js, jetstream.WithStreamListSubject(s.Subjects.Base()+".>"))
	if err != nil {
		return nil, fmt.Errorf("listing the streams: %w", err)
	}
	names := map[string]string{s.Events: RoleEvents, s.Reports: RoleReports, s.DeadLetters: RoleDeadLetters}
	missing := map[string]bool{RoleEvents: true, RoleReports: true, RoleDeadLetters: true}
	for _, info := range all {
		delete(missing, names[info.Config.Name])
	}
	return missing, nil
}

// Full tells by which limit a stream refuses whatever comes: "" by none. A
// stream that discards old messages never does. By bytes it is full when another
// message of the mean size doesn't fit.
func Full(info *jetstream.StreamInfo) string {
	c, st := info.Config, info.State
	if c.Discard != jetstream.DiscardNew || st.Msgs == 0 {
		return ""
	}
	switch mean := st.Bytes / st.Msgs; {
	case c.MaxMsgs > 0 && st.Msgs >= uint64(c.MaxMsgs):
		return fmt.Sprintf("max_msgs %d", c.MaxMsgs)
	case c.MaxBytes > 0 && st.Bytes+mean > uint64(c.MaxBytes):
		return fmt.Sprintf("max_bytes %d", c.MaxBytes)
	}
	return ""
}

// errConsumerStore is the server's answer when it cannot write the files of a
// consumer.
const errConsumerStore = 10012

// probeLife is when the server removes the consumer of a probe whose process
// has died.
const probeLife = 10 * time.Second

// ProbeDisk asks the server to write something small beside a stream of files:
// the state of a consumer, which is deleted at once. The error is the server's
// that it cannot, as its disk is full or broken. Whatever else keeps the probe
// from its end (a limit of consumers, a permission, no answer) says nothing of
// the disk.
//
// That is all that can be asked without harm: a server answers all other
// questions about a stream that it cannot write, and publishers get no answer.
// A message as a probe would break the stream for good, where the disk is full:
// nats-server takes nothing more for a stream of which one write has failed,
// until it is started anew.
func ProbeDisk(ctx context.Context, js jetstream.JetStream, stream string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	name := "rollcall-probe-" + nuid.Next()
	_, err := js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{
		Name: name, Description: "rollcall: whether the disk takes anything",
		DeliverPolicy: jetstream.DeliverNewPolicy, AckPolicy: jetstream.AckNonePolicy, InactiveThreshold: probeLife,
	})
	if codeOf(err) == errConsumerStore {
		return fmt.Errorf("the server cannot write beside stream %s: %w", stream, err)
	}
	if err == nil {
		_ = js.DeleteConsumer(ctx, stream, name) // the server does so itself after probeLife
	}
	return nil
}
