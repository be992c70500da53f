package broker

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// Risk is something about a stream by which it may lose messages. Whether its
// server has a message on the disk when it acknowledges it (sync_interval:
// always) would be another, but only a server's own administrator can see that.
type Risk struct {
	// Reason is one of RiskReasons.
	Reason string
	text   string // what a log says
	args   []any
}

const oneReplica = "one_replica"

// RiskReasons are all reasons that a risk may have, in order.
func RiskReasons() []string {
	return []string{
		"async_persistence", "discard_new", "long_duplicate_window", "memory_storage", oneReplica, "short_max_age",
	}
}

// String returns what is risky, with the settings: "stream is in memory: …".
func (r Risk) String() string {
	var b strings.Builder
	b.WriteString(strings.TrimPrefix(r.text, "stream "))
	for i := 0; i+1 < len(r.args); i += 2 {
		fmt.Fprintf(&b, ", %v %v", r.args[i], r.args[i+1])
	}
	return b.String()
}

// Risks returns the risks of the stream of events as it stands.
func (s Streams) Risks(info *jetstream.StreamInfo) []Risk {
	list := role{events: true}.risks(info.Config, s.AllowedLateness)
	return slices.DeleteFunc(list, func(r Risk) bool { return s.Embedded && r.Reason == oneReplica })
}

// warn tells of the risks of any of the streams.
func (s Streams) warn(ctx context.Context, r role, info *jetstream.StreamInfo, log *slog.Logger) {
	for _, risk := range r.risks(info.Config, s.AllowedLateness) {
		level := slog.LevelWarn
		if s.Embedded && risk.Reason == oneReplica {
			level = slog.LevelInfo
		}
		log.Log(ctx, level, risk.text, append([]any{"stream", info.Config.Name}, risk.args...)...)
	}
}
