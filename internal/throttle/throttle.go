// Package throttle keeps a log short: a complaint that is repeated is logged a few
// times a minute, with how many were left out in between. So callers need not limit
// what they log: it is done once, where the logger is created.
//
// Complaints are records of level WARN and above, and those of level INFO that
// have a cause or an error, or a kind of their own ([WithKind]). All others pass
// unchanged.
//
// Two complaints are of the same kind if they have the same level, message, values
// of the attributes cause, kind, reason and stream, and kind set by [WithKind]. These
// attributes must have few values.
package throttle

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// burst records of one kind are logged in a window. At most maxKinds kinds are
// remembered; all others count as one kind.
const (
	burst    = 4
	window   = time.Minute
	maxKinds = 1000
)

// LeftOut is the attribute with how many records of a kind were left out since the
// last one logged.
const LeftOut = "left_out"

// Last is the attribute with the original time of a record that is logged late.
const Last = "last"

// kindKeys are the attributes that distinguish kinds.
var kindKeys = []string{"cause", "kind", "reason", "stream"}

type kindKey struct{}

// WithKind returns a context that makes records logged with it complaints of this
// kind. It is for records with the same message and of many kinds, such as the
// output of another program.
func WithKind(ctx context.Context, kind string) context.Context {
	return context.WithValue(ctx, kindKey{}, kind)
}

// Handler is a slog.Handler that passes complaints on a few times a minute.
//
// The last one left out is logged when the minute is over, even if no other follows:
// it may be the one that matters. It gets the time at which it is logged, and its
// original time in the attribute [Last].
type Handler struct {
	next     slog.Handler
	kind     string // from the attributes set by WithAttrs
	hasError bool   // one of these is a cause or an error
	grouped  bool   // attributes are in a group, and do not count
	tallies  *tallies
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
		with.addAttr(a)
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

// addAttr updates kind and hasError from an attribute.
func (h *Handler) addAttr(a slog.Attr) {
	if h.grouped {
		return
	}
	//guard:set kindKeys kindKeys[:0] "one complaint does not hide another" TestKinds
	if slices.Contains(kindKeys, a.Key) {
		h.kind += "\x00" + a.Key + "=" + a.Value.Resolve().String()
	}
	h.hasError = h.hasError || a.Key == "err" || a.Key == "cause"
}

// Handle implements [slog.Handler].
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	kind, complaint := h.classify(ctx, r)
	if !complaint {
		return h.next.Handle(ctx, r)
	}
	return h.tallies.handle(kind, entry{h.next, context.WithoutCancel(ctx), r})
}

// classify returns the kind of a record, and whether it is a complaint at all.
func (h *Handler) classify(ctx context.Context, r slog.Record) (kind string, complaint bool) {
	if r.Level < slog.LevelInfo {
		return "", false
	}
	with := *h
	r.Attrs(func(a slog.Attr) bool {
		with.addAttr(a)
		return true
	})
	own, _ := ctx.Value(kindKey{}).(string)
	if r.Level < slog.LevelWarn && !with.hasError && own == "" {
		return "", false
	}
	return strings.Join([]string{r.Level.String(), r.Message, own, with.kind}, "\x00"), true
}

// Flush logs at once the last record left out of each kind. Call it before the
// process ends.
func (h *Handler) Flush() {
	h.tallies.mu.Lock()
	defer h.tallies.mu.Unlock()
	for _, t := range h.tallies.kinds {
		t.timer.Stop()
		_ = t.logLast()
	}
}
