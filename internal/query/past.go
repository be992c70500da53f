package query

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"rollcall/internal/api"
	"rollcall/internal/history"
	"rollcall/internal/roster"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// Reasons why an answer about the past is incomplete, besides those of its gaps.
const (
	notRetained = "not_retained"
	behind      = "behind"
)

// pastTimeout is how long an answer about the past may take.
const pastTimeout = 8 * time.Second

// parseTime parses the time in a request's field.
func parseTime(key, value string) (roster.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, value)
	//guard:drop `year < 1970` "a time out of range is refused" TestPastRefused
	if year := t.UTC().Year(); err != nil || year < 1970 || year > 2261 {
		return 0, fmt.Errorf("%s: want a time in RFC 3339 from 1970 to 2261, such as 2006-01-02T15:04:05Z", key)
	}
	return roster.TimeOf(t), nil
}

// moment is the moment that a question is about.
type moment struct {
	digest digest
	at     roster.Time // as requested
	// answered is the moment of the pages before; 0: this is the first.
	answered roster.Time
	after    cursor
}

// parse parses the moment and the cursor of a request with this digest.
func (m *moment) parse(at, cursor string, d digest) (err error) {
	m.digest = d
	if m.at, err = parseTime("at", at); err != nil || cursor == "" {
		return err
	}
	m.answered, m.after, err = d.parseMoment(cursor)
	if err == nil && m.answered > m.at {
		return errCursor
	}
	return err
}

// next returns the cursor that continues after an item of the answer.
func (m *moment) next(after cursor) string { return m.digest.momentCursor(m.answered, after) }

// resolve decides which moment is answered.
func (s *Service) resolve(m *moment) (at roster.Time, future bool) {
	if m.answered == 0 {
		m.answered = min(m.at, roster.TimeOf(s.now()))
	}
	//guard:false "a moment that lies ahead is answered as now" TestFuture
	if m.answered < m.at {
		// All events are dated by then.
		return m.answered.Add(s.Roster.Settings().MaxSkew), true
	}
	return m.answered, false
}

// about is what a question about the past is about, for its head.
type about struct {
	machines history.Filter // which machines
	from, to roster.Time
	// fleet says that it is also about machines that nobody has heard of.
	fleet bool
}

// view calls show with the history, and with the head of an answer from it.
func (s *Service) view(ctx context.Context, q *about, show func(*history.View, api.Head, *api.Past) error) error {
	ctx, cancel := context.WithTimeout(ctx, pastTimeout)
	defer cancel()
	fed := s.History.Fed()
	err := s.History.View(ctx, func(v *history.View) error {
		head, past, err := s.headOfPast(v, q, fed)
		if err != nil {
			return err
		}
		return show(v, head, past)
	})
	return s.refusalOf(err)
}

// refusalOf returns the client's error for a question about the past that has no
// answer.
func (s *Service) refusalOf(err error) error {
	var refused *refusal
	switch {
	case err == nil, errors.As(err, &refused):
		return err
	//guard:false "a client learns that it may ask again later" TestPastBusy
	case errors.Is(err, history.ErrBusy):
		return &refusal{rollcallv1.CodeBusy, err.Error()}
	//guard:false "a client learns that its question takes too long" TestPastBusy
	case errors.Is(err, context.DeadlineExceeded):
		return &refusal{rollcallv1.CodeBusy, fmt.Sprintf("busy: the answer takes longer than %v: ask about less, or again later", pastTimeout)}
	case errors.Is(err, context.Canceled):
		return &refusal{rollcallv1.CodeUnavailable, "rollcall is shutting down: ask again later"}
	}
	s.Log.Error("reading the history failed", "err", err)
	return &refusal{rollcallv1.CodeUnavailable, "the history can't be read now; the log of rollcall says why: ask again later"}
}

// headOfPast returns the head of an answer about the past.
func (s *Service) headOfPast(v *history.View, q *about, fed uint64) (api.Head, *api.Past, error) {
	h := api.Head{
		When: s.now().UTC(), Stream: s.Stream, Sequence: v.Position.Sequence(), Place: v.Place(), Reasons: []string{},
	}
	p := new(api.Past)
	gaps, err := v.GapsOn(&q.machines, q.from, q.to)
	if err != nil {
		return h, nil, err
	}
	p.MachinesIncomplete, p.Gaps = gaps.Machines, s.gapsOf(gaps.First)
	reason := ""
	if q.fleet {
		if reason, err = v.Hidden(s.Roster.Settings()); err != nil {
			return h, nil, err
		}
	}
	//guard:false "a question that reaches back too far says so" TestKeptFrom
	if q.from < v.Kept {
		p.KeptFrom = v.Kept.Time()
		h.Reasons = append(h.Reasons, notRetained)
	}
	h.Reasons = addReasons(h.Reasons, append(gaps.Reasons, reason)...)
	//guard:false "an answer from a history that is behind says so" TestBehind
	if v.Place() < fed {
		h.Reasons = append(h.Reasons, behind)
	}
	if s.unknownAt(q.to) {
		h.Reasons = append(h.Reasons, api.Stale)
	}
	h.Complete = len(h.Reasons) == 0
	return h, p, nil
}

// unknownAt reports whether events of a moment may not have been received, because the
// state of the stream is unknown.
func (s *Service) unknownAt(at roster.Time) bool {
	return s.Stale != nil && s.Stale() && (s.KnownUntil == nil || at >= roster.TimeOf(s.KnownUntil()))
}

// addReasons adds to the reasons those that are not empty and not among them.
func addReasons(reasons []string, more ...string) []string {
	for _, reason := range more {
		if reason != "" && !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
	}
	return reasons
}

// gapsOf returns the gaps for an answer: as many as take at most an eighth of a message.
func (s *Service) gapsOf(first []history.Gap) []api.Gap {
	var gaps []api.Gap
	room := int(s.Conn.MaxPayload() / 8)
	for i := range first {
		g := &first[i]
		const rest = len(`{"machine":,"from":"2006-01-02T15:04:05.999999999Z","until":"2006-01-02T15:04:05.999999999Z","reason":"baseline_lost"},`)
		if room -= mostQuoted(g.Machine) + rest; room < 0 {
			break
		}
		gap := api.Gap{Machine: g.Machine, From: g.From.Time(), Reason: g.Reason}
		if !g.Open() {
			gap.Until = g.Until.Time()
		}
		gaps = append(gaps, gap)
	}
	return gaps
}

// momentOf completes what an answer about a moment says of it.
func momentOf(p *api.Past, m *moment, future bool) *api.Past {
	p.At, p.Future = m.answered.Time(), future
	return p
}

// timeOf converts a time; 0, which means not known, becomes the zero time.
func timeOf(t roster.Time) time.Time {
	if t == 0 {
		return time.Time{}
	}
	return t.Time()
}

// mostQuoted returns the greatest length of a name in JSON: only quotes and
// backslashes have to be escaped in it.
func mostQuoted(name string) int { return 2*len(name) + len(`""`) }
