package query

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"rollcall/internal/api"
	"rollcall/internal/history"
	"rollcall/internal/roster"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// countsRequest asks how many were on, from time to time.
type countsRequest struct {
	api.CountsRequest
	from, to roster.Time // if they are given
	step     time.Duration
}

func (*countsRequest) aboutPast() bool { return true }

// What is asked about if the request does not say.
const (
	usualStep = 5 * time.Minute
	usualTime = 24 * time.Hour
)

func (q *countsRequest) check() (err error) {
	if q.From != "" {
		if q.from, err = parseTime("from", q.From); err != nil {
			return err
		}
	}
	if q.To != "" {
		if q.to, err = parseTime("to", q.To); err != nil {
			return err
		}
	}
	//guard:false "counts of a time that ends before it begins are refused" TestCounts
	if q.From != "" && q.To != "" && q.from > q.to {
		return fmt.Errorf("from: %s is after to, %s", q.from, q.to)
	}
	if q.step = usualStep; q.Step != "" {
		q.step, err = time.ParseDuration(q.Step)
	}
	//guard:drop "q.step < time.Second" "a step that is too short is refused" TestCounts
	if err != nil || q.step < time.Second {
		return errors.New("step: want a number with a unit, such as 30s or 1h30m, at least 1s")
	}
	return nil
}

// span returns what is asked about up to now, and whether it reaches further.
func (q *countsRequest) span(now roster.Time) (span history.CountSpan, future bool) {
	span = history.CountSpan{From: q.from, To: q.to, Step: roster.Time(q.step)}
	if q.To == "" {
		span.To = max(now, q.from) // from may lie ahead
	}
	//guard:false "counts end now" TestCounts
	if span.To > now {
		span.To, future = now, true
	}
	if q.From == "" {
		span.From = max(roster.MinDate, span.To.Add(-usualTime))
	}
	return span, future
}

// maxCounts is how many moments an answer may have.
const maxCounts = 2000

// counts answers how many were on, from time to time.
func (s *Service) counts(ctx context.Context, q *countsRequest) (answer []byte, err error) {
	span, future := q.span(roster.TimeOf(s.now()))
	if err := s.checkLen(&span); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, pastTimeout)
	defer cancel()
	fed := s.History.Fed()
	about := &about{from: min(span.From, span.To), to: span.To, fleet: true}
	err = s.History.Counts(ctx, &span, func(v *history.View, list []history.Count) error {
		head, past, err := s.headOfPast(v, about, fed)
		if err != nil {
			return err
		}
		past.At, past.Future = span.To.Time(), future
		a := api.CountsAnswer{Head: head, Past: past, Counts: make([]api.Count, len(list))}
		for i, c := range list {
			a.Counts[i] = api.Count{Time: c.At.Time(), Users: c.Users, Machines: c.Machines, Sessions: c.Sessions}
		}
		answer, err = json.Marshal(&a)
		return err
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, &refusal{rollcallv1.CodeBusy, fmt.Sprintf("busy: counting takes longer than %v: ask again, and it goes on where it ended", pastTimeout)}
	}
	return answer, s.refusalOf(err)
}

// checkLen refuses a span with more moments than fit in an answer: half of a message is
// left for the rest.
func (s *Service) checkLen(span *history.CountSpan) error {
	const size = len(`{"time":"2006-01-02T15:04:05.999999999Z","users":2147483647,"machines":2147483647,"sessions":2147483647},`)
	most := min(maxCounts, s.Conn.MaxPayload()/2/int64(size))
	//guard:false "an answer has no more counts than fit in it" TestCounts
	if n := span.Len(); n > most {
		return &refusal{rollcallv1.CodeBadRequest, fmt.Sprintf("step: %s from %s to %s makes %d moments, at most %d can be asked about: want a larger step, or a shorter time",
			time.Duration(span.Step), span.From, span.To, n, most)}
	}
	return nil
}
