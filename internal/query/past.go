package query

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/api"
	"rollcall/internal/past"
	"rollcall/internal/roster"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// parseTime parses the time in a request's field.
func parseTime(key, value string) (roster.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, value)
	if year := t.UTC().Year(); err != nil || year < 1970 || year > 2261 {
		return 0, fmt.Errorf("%s: want a time in RFC 3339 from 1970 to 2261, such as 2006-01-02T15:04:05Z", key)
	}
	return roster.TimeOf(t), nil
}

// Reasons why an answer about the past is incomplete, besides the losses.
const (
	notRetained = "not_retained"
	unplaced    = "unplaced"
)

// askPast asks a question about the past, or continues the one of a cursor.
func (s *Service) askPast(ctx context.Context, q past.Question, cursor string) (*past.Answer, error) {
	var a *past.Answer
	var err error
	if cursor == "" {
		a, err = s.Past.Ask(ctx, q)
	} else {
		a, err = s.Past.Continue(ctx, cursor)
	}
	switch {
	case errors.Is(err, past.ErrUnknownMachine):
		return nil, unknownMachine(q.Machine)
	case err != nil:
		return nil, refusalOf(err)
	case a.Question() != q:
		return nil, &refusal{rollcallv1.CodeBadRequest, "cursor: belongs to another question: omit it to ask again"}
	}
	return a, nil
}

// refusalOf returns the client's error for a question about the past that has no
// answer.
func refusalOf(err error) error {
	_, bad := errors.AsType[*past.FieldError](err)
	switch {
	case bad:
		return &refusal{rollcallv1.CodeBadRequest, err.Error()}
	case errors.Is(err, past.ErrTooLarge):
		return &refusal{rollcallv1.CodeBadRequest, "request: " + err.Error()}
	case errors.Is(err, past.ErrGone):
		return &refusal{rollcallv1.CodeNotFound, "cursor: " + err.Error()}
	case errors.Is(err, past.ErrBusy):
		return &refusal{rollcallv1.CodeBusy, err.Error()}
	case errors.Is(err, jetstream.ErrMaximumConsumersLimit):
		return &refusal{rollcallv1.CodeUnavailable, "the past can't be read: the stream of events, or its account, allows too few consumers (max_consumers): raise the limit, or recreate the stream with a greater one"}
	case errors.Is(err, past.ErrClosed), errors.Is(err, context.Canceled):
		return &refusal{rollcallv1.CodeUnavailable, "rollcall is shutting down: ask again later"}
	}
	return &refusal{rollcallv1.CodeUnavailable, fmt.Sprintf("the past can't be read now: %v: ask again later", err)}
}

// headOfPast returns the head of an answer about the past. Its sequence and place
// are 0 until the answer is done.
func (s *Service) headOfPast(a *past.Answer) (api.Head, *api.Past) {
	st := s.Roster.Status()
	h := s.head(&st)
	h.Sequence, h.Place = 0, a.Place
	if a.Done {
		h.Sequence = a.Last
	}
	p := &api.Past{Done: a.Done, First: a.First, Read: a.Read, Last: a.Last, Unplaced: a.Unplaced}
	if q := a.Question(); !q.Stays {
		p.At = q.To.Time()
	}
	if a.Incomplete {
		p.CompleteFrom = a.From.Time()
		h.Reasons = append(h.Reasons, notRetained)
	}
	if a.Unplaced > 0 {
		h.Reasons = append(h.Reasons, unplaced)
	}
	h.Complete = len(h.Reasons) == 0
	return h, p
}

// pastCursorAfter returns an after function for encodeList. Each row of the answer
// is an item, except for a machine with nobody on it.
func pastCursorAfter(a *past.Answer, items int) func(n int) string {
	return func(n int) string {
		if n == items {
			n = a.Rows()
		}
		return a.Take(n)
	}
}

// timeOf converts a time; 0, which means not known, becomes the zero time.
func timeOf(t roster.Time) time.Time {
	if t == 0 {
		return time.Time{}
	}
	return t.Time()
}
