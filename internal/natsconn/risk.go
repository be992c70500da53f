package natsconn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	rollcallv1 "rollcall/proto/rollcall/v1"
)

// Risk is a setting of a stream that may lose messages, or let somebody publish or
// see more than they should. A server that acknowledges a message before it is on
// disk (without sync_interval: always) would be another, but clients cannot see that.
type Risk struct {
	// Reason is one of RiskReasons.
	Reason string
	text   string // the log message
	args   []any
}

const (
	oneReplica  = "one_replica"
	cannotServe = "cannot_serve"
)

// RiskReasons returns all reasons that a risk may have, sorted.
func RiskReasons() []string {
	return []string{
		"async_persistence", cannotServe, "counters", "discard_new", fewConsumers, "long_duplicate_window", "memory_storage", "message_ttl",
		oneReplica, "republish", "short_max_age", "small_max_msg_size", "sources_and_subjects",
	}
}

// String returns what is risky, with the settings: "stream is in memory: …".
func (r Risk) String() string {
	var b strings.Builder
	b.WriteString(strings.TrimPrefix(r.text, "stream "))
	if r.Refused() {
		fmt.Fprintf(&b, ": %v", r.args[1])
		return b.String()
	}
	for i := 0; i+1 < len(r.args); i += 2 {
		fmt.Fprintf(&b, ", %v %v", r.args[i], r.args[i+1])
	}
	return b.String()
}

// Refused reports whether Prepare would refuse the streams because of this risk. It
// is true after somebody has changed them while rollcall was running.
func (r Risk) Refused() bool { return r.Reason == cannotServe }

// Log logs the risk.
func (r Risk) Log(ctx context.Context, log *slog.Logger, level slog.Level, stream string) {
	if r.Refused() {
		//nolint:sloglint // r.text is one of few constants
		log.Log(ctx, level, r.text, r.args...) // the error names its stream
		return
	}
	//nolint:sloglint // as above
	log.Log(ctx, level, r.text, append([]any{"stream", stream}, r.args...)...)
}

// CurrentRisks asks the server for all streams. It returns the current risks of the stream
// of events, and what Prepare would now refuse in any stream. A missing stream of
// events has no risks.
func (s Streams) CurrentRisks(ctx context.Context, js jetstream.JetStream) ([]Risk, error) {
	all, err := list(ctx, js)
	if err != nil {
		return nil, explain(js, "listing the streams", "STREAM.LIST", err)
	}
	var risks []Risk
	if refused := validate(all, s.roles(), s.Subjects, js.Conn().ConnectedServerVersion()); refused != nil {
		for _, why := range split(refused) {
			risks = append(risks, Risk{cannotServe, "stream is no longer usable: rollcall would refuse to start with it", []any{"err", why}})
		}
	}
	for _, info := range all {
		if info.Config.Name == s.Events {
			risks = append(risks, s.Risks(info)...)
		}
		risks = append(risks, s.republishRisks(info.Config)...)
	}
	return risks, nil
}

// split returns the errors that validate has joined.
func split(err error) []error {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		return joined.Unwrap()
	}
	return []error{err}
}

// Risks returns the risks of the stream of events with this info.
func (s Streams) Risks(info *jetstream.StreamInfo) []Risk {
	list := append(role{events: true}.risks(info.Config, s.AllowedLateness), s.consumerRisks(info)...)
	return slices.DeleteFunc(list, func(r Risk) bool { return s.Embedded && r.Reason == oneReplica })
}

// warn logs the risks of one of our streams.
func (s Streams) warn(ctx context.Context, r role, info *jetstream.StreamInfo, log *slog.Logger) {
	for _, risk := range r.risks(info.Config, s.AllowedLateness) {
		s.log(ctx, risk, info, log)
	}
	if !r.events {
		return
	}
	r.warnSilenced(info.Config, log)
	for _, risk := range s.consumerRisks(info) {
		s.log(ctx, risk, info, log)
	}
}

func (s Streams) log(ctx context.Context, risk Risk, info *jetstream.StreamInfo, log *slog.Logger) {
	level := slog.LevelWarn
	if s.Embedded && risk.Reason == oneReplica {
		level = slog.LevelInfo
	}
	risk.Log(ctx, log, level, info.Config.Name)
}

// risks returns the settings with which a stream of ours is usable, but may lose
// messages.
func (r role) risks(c jetstream.StreamConfig, lateness time.Duration) []Risk {
	var list []Risk
	add := func(reason, text string, args ...any) { list = append(list, Risk{reason, text, args}) }
	if c.Discard == jetstream.DiscardNew {
		add("discard_new", "stream rejects new messages when full (discard new)")
	}
	if c.Storage == jetstream.MemoryStorage {
		add("memory_storage", "stream is in memory: it is lost when its server stops")
	}
	if c.PersistMode == jetstream.AsyncPersistMode {
		add("async_persistence", "stream acknowledges messages before they are stored (persist_mode async)")
	}
	if !r.events {
		return list
	}
	return append(list, eventsRisks(c, lateness)...)
}

// eventsRisks returns the risks that only the stream of events can have.
func eventsRisks(c jetstream.StreamConfig, lateness time.Duration) []Risk {
	var list []Risk
	add := func(reason, text string, args ...any) { list = append(list, Risk{reason, text, args}) }
	if c.Replicas <= 1 {
		add(oneReplica, "stream has one replica: it is lost with its server's disk")
	}
	if c.Duplicates > duplicateWindow {
		add("long_duplicate_window", "stream drops an event, yet acknowledges it, if any machine used its Nats-Msg-Id within the duplicate window",
			"duplicate_window", c.Duplicates)
	}
	//guard:false "a stream that may lose events is reported" TestWarnings
	if c.MaxAge > 0 && c.MaxAge < lateness {
		add("short_max_age", "stream deletes events that would still count (max_age below the allowed lateness)",
			"max_age", c.MaxAge, "allowed_lateness", lateness)
	}
	if size := c.MaxMsgSize; size > 0 && size < rollcallv1.MaxPayload {
		add("small_max_msg_size", "stream rejects events that rollcall would accept (max_msg_size)",
			"max_msg_size", size, "largest_event", rollcallv1.MaxPayload)
	}
	if c.AllowMsgTTL {
		add("message_ttl", "stream lets publishers set when their events are deleted (allow_msg_ttl): an event not read by then is lost")
	}
	if c.AllowMsgCounter {
		add("counters", "stream accepts only counters (allow_msg_counter): the server rejects every event")
	}
	//guard:false "events that may be stored twice are reported" TestRisks
	if len(c.Sources) > 0 && len(c.Subjects) > 0 {
		add("sources_and_subjects", "stream has sources and subjects of its own: if a site shares its account with the hub, the site's events are stored twice; remove the subjects, or keep the accounts apart",
			"sources", strings.Join(sourceNames(c), " "), "subjects", strings.Join(c.Subjects, " "))
	}
	if t := c.RePublish; t != nil {
		add("republish", "stream republishes every event (republish): whoever may subscribe to that subject sees who logs in where", "to", t.Destination)
	}
	return list
}
