// Package throttle keeps a log short: whatever is complained of again and again
// is said a few times a minute, with how many were left out in between. So who
// complains need not count: it is done once, where the log is made.
//
// Complaints are records of level WARN and above, and those of level INFO that
// have a cause or an error, or a kind of their own ([Of]). All others pass
// untouched.
//
// Two complaints are of one kind when level, message and the values of the
// attributes cause, kind, reason and stream are the same, and the kind given by
// Of if there is one. These attributes must have few values.
package throttle

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Of one kind burst records are passed in a window. At most maxKinds are
// remembered; what comes beyond is all of one kind.
const (
	burst    = 4
	window   = time.Minute
	maxKinds = 1000
)

// LeftOut is the attribute that says how many of a kind were left out since the
// one that was said before.
const LeftOut = "left_out"

// Last is the attribute that says when it was, of what is said later than it
// was logged.
const Last = "last"

// giving are the attributes that tell kinds apart.
var giving = []string{"cause", "kind", "reason", "stream"}

type kindKey struct{}

// Of returns a context with which what is logged is a complaint of a kind of its
// own: for those whose message is the same and that are of many kinds, such as
// what another program says.
func Of(ctx context.Context, kind string) context.Context {
	return context.WithValue(ctx, kindKey{}, kind)
}

// Handler is a slog.Handler that passes complaints on a few times a minute.
//
// The last one that was left out is said when the minute is over, even if no
// other comes: it may be the one that counts. It has the time at which it is
// said, and in the attribute [Last] when it was.
type Handler struct {
	next    slog.Handler
	kind    string // of the attributes that it has
	trouble bool   // one of these is a cause or an error
	grouped bool   // attributes are in a group, and tell no kinds apart
	tallies *tallies
}

// New returns a handler that passes records on to the next.
func New(next slog.Handler) *Handler {
	return &Handler{next: next, tallies: &tallies{kinds: make(map[string]*tally)}}
}

// Enabled implements [slog.Handler].
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// WithAttrs implements [slog.Handler].
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.next = h.next.WithAttrs(attrs)
	for _, a := range attrs {
		with.take(a)
	}
	return &with
}

// WithGroup implements [slog.Handler].
func (h *Handler) WithGroup(name string) slog.Handler {
	with := *h
	with.next = h.next.WithGroup(name)
	with.grouped = with.grouped || name != ""
	return &with
}

// take notes what an attribute says of the kind.
func (h *Handler) take(a slog.Attr) {
	if h.grouped {
		return
	}
	//guard:set giving giving[:0] "one trouble does not hide another" TestKinds
	if slices.Contains(giving, a.Key) {
		h.kind += "\x00" + a.Key + "=" + a.Value.Resolve().String()
	}
	h.trouble = h.trouble || a.Key == "err" || a.Key == "cause"
}

// Handle implements [slog.Handler].
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	kind, complaint := h.judge(ctx, r)
	if !complaint {
		return h.next.Handle(ctx, r)
	}
	return h.tallies.handle(kind, saying{h.next, context.WithoutCancel(ctx), r})
}

// judge returns the kind of a record, and whether it is a complaint at all.
func (h *Handler) judge(ctx context.Context, r slog.Record) (kind string, complaint bool) {
	if r.Level < slog.LevelInfo {
		return "", false
	}
	of := *h
	r.Attrs(func(a slog.Attr) bool {
		of.take(a)
		return true
	})
	own, _ := ctx.Value(kindKey{}).(string)
	if r.Level < slog.LevelWarn && !of.trouble && own == "" {
		return "", false
	}
	return strings.Join([]string{r.Level.String(), r.Message, own, of.kind}, "\x00"), true
}

// Flush says at once what was left out last of each kind: before the process
// ends.
func (h *Handler) Flush() {
	h.tallies.mu.Lock()
	defer h.tallies.mu.Unlock()
	for _, t := range h.tallies.kinds {
		t.timer.Stop()
		_ = t.sayLast()
	}
}
