package natsconn

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	rollcallv1 "rollcall/proto/rollcall/v1"
)

// validate lists everything that makes the streams unusable: wrong settings of our
// streams, and any stream of the account that would capture our messages or answer
// our requests. version is that of the server.
func validate(all []*jetstream.StreamInfo, roles []role, subjects rollcallv1.Subjects, version string) error {
	events := eventsAmong(all, roles)
	//guard:set lackingSources(...) []error(nil) "a source that may speak, but is none of the stream, is refused" TestSpeakers
	refusals := lackingSources(events, roles)
	for _, info := range all {
		for _, r := range roles {
			if r.config.Name == info.Config.Name {
				refusals = append(refusals, r.refusals(info.Config, version)...)
			}
		}
		refusals = append(refusals, subjectConflicts(info.Config, roles, subjects, events)...)
		refusals = append(refusals, republishing(info.Config, roles, subjects)...)
	}
	if len(refusals) == 0 {
		return nil
	}
	return configurationError{errors.Join(refusals...)}
}

// eventsAmong returns the configuration of the stream of events, or nil if it is missing.
func eventsAmong(all []*jetstream.StreamInfo, roles []role) *jetstream.StreamConfig {
	for _, info := range all {
		for _, r := range roles {
			if r.events && r.config.Name == info.Config.Name {
				return &info.Config
			}
		}
	}
	return nil
}

// refusals returns what is wrong with an existing stream of ours.
func (r role) refusals(c jetstream.StreamConfig, version string) []error {
	var list []error
	add := func(setting string, value any, why string) {
		list = append(list, fmt.Errorf("stream %s: %s is %v: %s: change it (nats stream edit %s), recreate the stream, or set %s to another stream",
			c.Name, setting, value, why, c.Name, r.variable))
	}
	//guard:false "reading deletes nothing" TestRefusedStreams
	if c.Retention != jetstream.LimitsPolicy {
		add("retention", strings.ToLower(c.Retention.String()), "it deletes messages that are still needed; want limits")
	}
	//guard:false "a publisher learns whether its event is stored" TestRefusedStreams
	if c.NoAck {
		add("no_ack", true, "publishers do not learn whether a message was stored; want false")
	}
	if r.events {
		refuseEvents(c, add)
		refuseSources(c, version, add)
	}
	if c.Sealed {
		add("sealed", true, "it accepts no more messages")
	}
	if t := c.SubjectTransform; t != nil {
		add("subject_transform", fmt.Sprintf("%q to %q", t.Source, t.Destination), "messages would lose their original subjects; want none")
	}
	switch {
	//guard:false "an origin that was recreated does not go on unseen" TestRefusedStreams
	case c.Mirror != nil && r.events:
		add("mirror", SourceName(c.Mirror), "when its origin is created anew, a mirror skips acknowledged events and nothing shows it; use a source instead (nats stream add --source)")
	case c.Mirror != nil:
		add("mirror", c.Mirror.Name, "a mirror accepts no messages; want none")
	case r.events && len(c.Sources) > 0: // another way to be fed
	default:
		//guard:false "every event is captured" TestRefusedStreams
		if lacking := missing(c.Subjects, r.config.Subjects); len(lacking) > 0 {
			add("subjects", quote(c.Subjects), "it doesn't capture "+strings.Join(lacking, " and "))
		}
	}
	return list
}

// consumerIdle is the inactivity threshold of the reader's consumers (set by
// internal/stream). The server refuses to create a consumer whose
// threshold exceeds the stream's limit.
const consumerIdle = time.Minute

// refuseEvents adds the settings that only the stream of events may not have: those
// that delete unread events, and those that let one machine publish as another.
func refuseEvents(c jetstream.StreamConfig, add func(setting string, value any, why string)) {
	//guard:false "no event evicts another" TestRefusedStreams
	if c.MaxMsgsPerSubject > 0 {
		add("max_msgs_per_subject", c.MaxMsgsPerSubject, "it deletes events that may not have been read; want -1")
	}
	//guard:false "no machine uses a schedule to publish for another" TestSchedulesForge
	if c.AllowMsgSchedules {
		add("allow_msg_schedules", true, "whoever may publish for one machine can have the server publish for any other; want false, which only a new stream can have")
	}
	//guard:false "no machine deletes the events of others" TestRollupEmpties
	if c.AllowRollup {
		add("allow_rollup_hdrs", true, "whoever may publish for one machine can delete the events of all; want false")
	}
	if idle := c.ConsumerLimits.InactiveThreshold; idle > 0 && idle < consumerIdle {
		add("consumer_limits.inactive_threshold", idle, fmt.Sprintf("rollcall cannot create a consumer to read it; want none, or at least %v", consumerIdle))
	}
}

// subjectConflicts returns what is wrong with the subjects of any stream, ours or not.
// events is the stream of events, nil if it is missing: its sources may capture events.
func subjectConflicts(c jetstream.StreamConfig, roles []role, subjects rollcallv1.Subjects, events *jetstream.StreamConfig) []error {
	var list []error
	for _, subject := range c.Subjects {
		answers := overlapping(subject, []string{subjects.AllQueries(), subjects.AllChanges()})
		//guard:false "a question gets our answer, not an ack" TestRefusedStreams
		if len(answers) > 0 {
			list = append(list, fmt.Errorf("stream %s: subject %q captures %s, which rollcall answers: remove the subject (nats stream edit %s), or change ROLLCALL_SUBJECT",
				c.Name, subject, strings.Join(answers, " and "), c.Name))
			continue
		}
		for _, r := range roles {
			//guard:false "each of our subjects has one stream" TestRefusedStreams
			if captured := overlapping(subject, r.config.Subjects); r.config.Name != c.Name && len(captured) > 0 && !(r.events && isSourceOf(events, c.Name)) {
				list = append(list, r.conflict(c.Name, subject, captured))
			}
		}
	}
	return list
}

// conflict returns the error for a stream that captures subjects of the role's
// stream.
func (r role) conflict(name, subject string, captured []string) error {
	if r.events {
		return fmt.Errorf("stream %s: subject %q captures %s: set %s=%s if its messages are the events to read, else remove the subject (nats stream edit %s)",
			name, subject, strings.Join(captured, " and "), r.variable, name, name)
	}
	return fmt.Errorf("stream %s: subject %q captures %s, which belongs to stream %s (%s): remove the subject (nats stream edit %s), or change ROLLCALL_SUBJECT",
		name, subject, strings.Join(captured, " and "), r.config.Name, r.variable, name)
}

func quote(subjects []string) string {
	quoted := slices.Clone(subjects)
	for i, s := range quoted {
		quoted[i] = fmt.Sprintf("%q", s)
	}
	return strings.Join(quoted, ", ")
}
