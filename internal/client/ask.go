// Package client asks a rollcall service questions: it pages through the answers,
// retries while the service is busy, and explains why nobody answers. Answers are
// returned as the JSON received, for the caller to decode.
package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	rollcallv1 "rollcall/proto/rollcall/v1"
)

// Refusal is an error that the service answered with.
type Refusal struct {
	Code        int // rollcallv1.CodeBadRequest, …
	Description string
}

// Error returns the service's description.
func (r *Refusal) Error() string { return "rollcall answers: " + r.Description }

// timeout is how long one answer may take.
const timeout = 10 * time.Second

// A busy service is asked maxAttempts times in all. The first retry comes after
// firstPause, and the pause doubles with each retry.
const (
	maxAttempts = 4
	firstPause  = 100 * time.Millisecond
)

// paged is a request with a cursor.
type paged struct {
	Request jsontext.Value `json:",embed"`
	Cursor  string         `json:"cursor,omitzero"`
}

// Pages asks a question on its subject and yields the answers, page by page,
// beginning with the first. The request must encode as a JSON object without a
// cursor; it is encoded again for each page. The last value that Pages yields may be
// an error: a *Refusal, the cause of the context's end, or one that says why nobody answered.
func Pages(ctx context.Context, nc *nats.Conn, subject string, request any) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		cursor := ""
		for {
			question, err := json.Marshal(request)
			if err != nil {
				yield(nil, fmt.Errorf("asking on %s: %w", subject, err))
				return
			}
			answer, next, err := page(ctx, nc, subject, paged{question, cursor})
			//guard:false "a client of a faulty service ends" TestStrangeAnswers
			if err == nil && next != "" && next == cursor {
				err = fmt.Errorf("reading the answer of %s: its cursor doesn't advance", subject)
			}
			if !yield(answer, err) || err != nil || next == "" {
				return
			}
			cursor = next
		}
	}
}

// page requests one page. It also returns the cursor of the next page.
func page(ctx context.Context, nc *nats.Conn, subject string, request paged) (answer []byte, next string, err error) {
	answer, err = One(ctx, nc, subject, request)
	if err != nil {
		return nil, "", err
	}
	var read struct {
		Cursor string `json:"cursor"`
	}
	if err := json.Unmarshal(answer, &read); err != nil {
		return nil, "", fmt.Errorf("reading the answer of %s: %w", subject, err)
	}
	return answer, read.Cursor, nil
}

// One asks a question that has one answer, and retries while the service is busy.
// See Pages for the errors.
func One(ctx context.Context, nc *nats.Conn, subject string, request any) ([]byte, error) {
	data, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("asking on %s: %w", subject, err)
	}
	wait := firstPause
	for try := 1; ; try++ {
		answer, err := once(ctx, nc, subject, data)
		refusal, ok := errors.AsType[*Refusal](err)
		//guard:true "a busy service is retried" TestRefusals
		if !ok || refusal.Code != rollcallv1.CodeBusy || try == maxAttempts {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(wait):
			wait *= 2
		}
	}
}

func once(ctx context.Context, nc *nats.Conn, subject string, data []byte) ([]byte, error) {
	one, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	message, err := nc.RequestWithContext(one, subject, data)
	if err != nil && errors.Is(nc.LastError(), nats.ErrPermissionViolation) {
		// Its handler, which ends ctx, is called a moment later.
		select {
		case <-ctx.Done():
		case <-one.Done():
		case <-time.After(time.Second):
		}
	}
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, nats.ErrNoResponders):
		return nil, fmt.Errorf("no rollcall answers on %s: is `rollcall serve` running on this NATS server?", subject)
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("no answer on %s within %v: is rollcall overloaded, or may it not answer?", subject, timeout)
	case err != nil:
		return nil, fmt.Errorf("asking on %s: %w", subject, err)
	}
	if description := message.Header.Get(micro.ErrorHeader); description != "" {
		code, _ := strconv.Atoi(message.Header.Get(micro.ErrorCodeHeader))
		return nil, &Refusal{code, description}
	}
	return message.Data, nil
}
