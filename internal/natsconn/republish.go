package natsconn

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	rollcallv1 "rollcall/proto/rollcall/v1"
)

// republishing returns an error if a stream republishes its messages where they
// would pass for those of rollcall or of an administrator. The server republishes
// regardless of the publisher's own permissions: an event would arrive as a report
// or a change, ask a question, or be a request to JetStream, such as to delete a
// stream.
//
// Republishing another stream as events is not refused, as an operator may want it,
// but it is a risk: whoever may publish to that stream can forge events.
func republishing(c jetstream.StreamConfig, roles []role, subjects rollcallv1.Subjects) []error {
	if c.RePublish == nil {
		return nil
	}
	ours := []string{subjects.AllQueries(), subjects.AllChanges(), "$JS.>"}
	for _, r := range roles {
		if !r.events {
			ours = append(ours, r.config.Subjects...)
		}
	}
	taken := overlapping(destination(c.RePublish.Destination), ours)
	//guard:true "no event passes for a report" TestRefusedStreams
	if len(taken) == 0 {
		return nil
	}
	return []error{fmt.Errorf("stream %s: republish to %q reaches %s, where its messages would pass for those of rollcall or of an administrator: republish elsewhere (nats stream edit %s), or change ROLLCALL_SUBJECT",
		c.Name, c.RePublish.Destination, strings.Join(taken, " and "), c.Name)}
}

// republishRisks returns a risk if the stream republishes its messages as events.
func (s Streams) republishRisks(c jetstream.StreamConfig) []Risk {
	if c.RePublish == nil || len(overlapping(destination(c.RePublish.Destination), s.Subjects.AllEvents())) == 0 {
		return nil
	}
	return []Risk{{
		"republish", "stream receives the messages of another stream (republish): whoever may publish to that one can forge events",
		[]any{"from", c.Name, "to", c.RePublish.Destination},
	}}
}

// In the destination of a transform, a token may be a placeholder for one token of
// the source ($1 or {{wildcard(1)}}), or expand to several ({{split(1,-)}}).
var (
	oneToken   = regexp.MustCompile(`(?i)^(\$[0-9]+|\{\{\s*(wildcard|partition|random|left|right)\s*\([^.]*\)\s*\}\})$`)
	manyTokens = regexp.MustCompile(`\{\{.*`)
)

// destination returns a pattern that matches all subjects that a transform can
// produce.
func destination(template string) string {
	tokens := strings.Split(template, ".")
	for i, token := range tokens {
		switch {
		case oneToken.MatchString(token):
			tokens[i] = "*"
		case manyTokens.MatchString(token):
			return strings.Join(append(tokens[:i], ">"), ".")
		}
	}
	return strings.Join(tokens, ".")
}
