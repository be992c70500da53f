package natsconn

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// The roles of the streams, as metrics name them.
const (
	RoleEvents      = "events"
	RoleReports     = "reports"
	RoleDeadLetters = "deadletters"
)

// StreamRoles returns the roles of the three streams, in order.
func StreamRoles() []string { return []string{RoleEvents, RoleReports, RoleDeadLetters} }

// Missing returns our missing streams by role. It asks for names, which needs the permission
// for STREAM.NAMES: a list of streams lacks those whose leader does not answer.
func (s Streams) Missing(ctx context.Context, js jetstream.JetStream) (map[string]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	names := map[string]string{s.Events: RoleEvents, s.Reports: RoleReports, s.DeadLetters: RoleDeadLetters}
	missing := map[string]bool{RoleEvents: true, RoleReports: true, RoleDeadLetters: true}
	lister := js.StreamNames(ctx, jetstream.WithStreamListSubject(s.Subjects.Base()+".>"))
	for name := range lister.Name() {
		delete(missing, names[name])
	}
	if err := orDenial(ctx, lister.Err()); err != nil {
		return nil, fmt.Errorf("requesting the names of the streams: %w", err)
	}
	return missing, nil
}

// Full returns the limit because of which a stream refuses new messages, or "" if
// it accepts them. A stream that discards old messages never refuses any. By bytes,
// a stream is full when another message of mean size does not fit.
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

// probeLifetime is how long the server keeps the consumer of a probe whose process has
// died.
const probeLifetime = 10 * time.Second

// ProbeDisk makes the server write something small next to a stream's files: the
// state of a consumer, which is deleted at once. It returns an error only if the
// server reports that it cannot write, because its disk is full or broken. Any
// other failure of the probe (a limit of consumers, a permission, no answer) says
// nothing about the disk and is ignored.
//
// No other request tests the disk without harm. A server answers all other requests
// about a stream that it cannot write to, and publishers get no answer. A message as a
// probe would break the stream if the disk is full: after one failed write to a
// stream, nats-server accepts no more messages for it until it is restarted.
func ProbeDisk(ctx context.Context, js jetstream.JetStream, stream string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	name := "rollcall-probe-" + nuid.Next()
	_, err := js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{
		Name: name, Description: "rollcall: tests whether the disk is writable",
		DeliverPolicy: jetstream.DeliverNewPolicy, AckPolicy: jetstream.AckNonePolicy, InactiveThreshold: probeLifetime,
	})
	if codeOf(err) == errConsumerStore {
		return fmt.Errorf("the server cannot write to the disk of stream %s: %w", stream, err)
	}
	if err == nil {
		_ = js.DeleteConsumer(ctx, stream, name) // the server does so itself after probeLifetime
	}
	return nil
}
