package natsconn

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	rollcallv1 "rollcall/proto/rollcall/v1"
)

// republishing returns what is wrong with where any stream publishes its
// messages again. The server does that itself, whatever their publisher may do:
// an event would come out as a report or a change, ask a question, or be a
// request to JetStream, such as to delete a stream. Where another stream feeds
// events that way, whoever may publish to it speaks for machines; an operator
// may want that, but for machines of this stream's own events it is never right.
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
	return []error{fmt.Errorf("stream %s: republish to %q reaches %s, where its messages would pass for those of rollcall or of an administrator: republish elsewhere (nats stream edit %s), or set ROLLCALL_SUBJECT to another base",
		c.Name, c.RePublish.Destination, strings.Join(taken, " and "), c.Name)}
}

// feeds returns the risk of a stream that publishes its messages again as events.
func (s Streams) feeds(c jetstream.StreamConfig) []Risk {
	if c.RePublish == nil || len(overlapping(destination(c.RePublish.Destination), s.Subjects.AllEvents())) == 0 {
		return nil
	}
	return []Risk{{
		"republish", "stream gets the messages of another (republish): whoever may publish there speaks for the machines that it names",
		[]any{"from", c.Name, "to", c.RePublish.Destination},
	}}
}

// In the destination of a transform a token may stand for one of the source's,
// $1 or {{wildcard(1)}}, or be cut into several: {{split(1,-)}}.
var (
	oneToken   = regexp.MustCompile(`(?i)^(\$[0-9]+|\{\{\s*(wildcard|partition|random|left|right)\s*\([^.]*\)\s*\}\})$`)
	manyTokens = regexp.MustCompile(`\{\{.*`)
)

// destination returns the pattern of all subjects that a transform can make.
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
