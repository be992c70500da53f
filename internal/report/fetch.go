package report

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	rollcallv1 "rollcall/proto/rollcall/v1"
)

// QueryError is an error that the service answered with.
type QueryError struct {
	Code        int // CodeBadRequest, …
	Description string
}

// Error returns what the service said.
func (e *QueryError) Error() string { return "rollcall answers: " + e.Description }

// answerTimeout is how long one answer may take.
const answerTimeout = 10 * time.Second

// A busy service is asked so many times in all, the second time after the pause
// and each later one after twice the one before.
const (
	tries = 4
	pause = 100 * time.Millisecond
)

// Fetch asks a rollcall service for its report and yields the answers, page
// after page, beginning as the request says; a request without values is for
// all. Join makes one report of them. The last thing it yields may be an error:
// a *QueryError, the context's, or one that says why nobody answered.
func Fetch(ctx context.Context, nc *nats.Conn, subjects rollcallv1.Subjects, request Request) iter.Seq2[Report, error] {
	return func(yield func(Report, error) bool) {
		for {
			answer, err := ask(ctx, nc, subjects.Query("report"), request)
			if err == nil && answer.Cursor != "" && answer.Cursor == request.Cursor {
				err = errors.New("reading report: its cursor doesn't move on")
			}
			if !yield(answer, err) || err != nil || answer.Cursor == "" {
				return
			}
			request.Cursor = answer.Cursor
		}
	}
}

// ask asks one question, again if the service is busy.
func ask(ctx context.Context, nc *nats.Conn, subject string, request Request) (Report, error) {
	data, err := json.Marshal(request)
	if err != nil {
		return Report{}, fmt.Errorf("asking for report: %w", err)
	}
	wait := pause
	for try := 1; ; try++ {
		answer, err := askOnce(ctx, nc, subject, data)
		refusal, ok := errors.AsType[*QueryError](err)
		if !ok || refusal.Code != CodeBusy || try == tries {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return Report{}, ctx.Err()
		case <-time.After(wait):
			wait *= 2
		}
	}
}

func askOnce(ctx context.Context, nc *nats.Conn, subject string, data []byte) (Report, error) {
	one, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	message, err := nc.RequestWithContext(one, subject, data)
	switch {
	case ctx.Err() != nil:
		return Report{}, ctx.Err()
	case errors.Is(err, nats.ErrNoResponders):
		return Report{}, fmt.Errorf("no rollcall answers on %s: is `rollcall serve` running on this NATS server?", subject)
	case errors.Is(err, context.DeadlineExceeded):
		return Report{}, fmt.Errorf("no answer on %s within %v: is rollcall overloaded, or may this connection not publish there?", subject, answerTimeout)
	case err != nil:
		return Report{}, fmt.Errorf("asking for report on %s: %w", subject, err)
	}
	if description := message.Header.Get(micro.ErrorHeader); description != "" {
		code, _ := strconv.Atoi(message.Header.Get(micro.ErrorCodeHeader))
		return Report{}, &QueryError{code, description}
	}
	return Decode(message.Data)
}
