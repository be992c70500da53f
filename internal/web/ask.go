package web

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"rollcall/internal/api"
	"rollcall/internal/client"
)

// answerTime is how long a page waits for the answers that it cannot do without,
// detailTime for those that it can.
const (
	answerTime = 8 * time.Second
	detailTime = 400 * time.Millisecond
)

// errNotConnected says that there is no connection to NATS at all.
var errNotConnected = errors.New("the page is not connected to NATS")

// errLost says that there was one.
var errLost = errors.New("the connection to NATS is lost; reconnecting")

// pages asks a question, and yields the answers page by page. The last value may be an
// error.
func pages[A any, P api.Answer[A]](ctx context.Context, p *Page, endpoint string, request any) iter.Seq2[A, error] {
	return func(yield func(A, error) bool) {
		var none A
		link := p.link.Load()
		if link == nil {
			yield(none, errNotConnected)
			return
		}
		// The client would keep the question until it has reconnected.
		//guard:false "without NATS a page fails at once" TestNATSLost
		if !link.conn.IsConnected() {
			yield(none, errLost)
			return
		}
		start, subject := time.Now(), p.Subjects.Query(endpoint)
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		defer context.AfterFunc(link.ctx, func() { cancel(context.Cause(link.ctx)) })()
		for data, err := range client.Pages(ctx, link.conn, subject, request) {
			//guard:false "a service that is too slow is named" TestNATSLost
			if errors.Is(err, context.DeadlineExceeded) {
				err = fmt.Errorf("no answer on %s within %v: is rollcall overloaded, or may it not answer?", subject, time.Since(start).Round(100*time.Millisecond))
			}
			if err != nil {
				yield(none, err)
				return
			}
			a, err := api.Decode[A, P](data)
			if !yield(a, err) || err != nil {
				return
			}
		}
	}
}

// one asks a question and returns the first page of the answer.
func one[A any, P api.Answer[A]](ctx context.Context, p *Page, endpoint string, request any) (A, error) {
	for a, err := range pages[A, P](ctx, p, endpoint, request) {
		return a, err
	}
	var none A
	return none, fmt.Errorf("asking %s: no answer", endpoint)
}

// isRefusal reports whether the service refused a question for a reason, such as
// [rollcallv1.CodeNotFound]: it does not know the machine or the user.
func isRefusal(err error, code int) bool {
	refusal, ok := errors.AsType[*client.Refusal](err)
	return ok && refusal.Code == code
}

// together runs functions side by side, and returns the first error.
func together(all ...func() error) error {
	errs := make([]error, len(all))
	var wait sync.WaitGroup
	for i, one := range all {
		wait.Go(func() { errs[i] = one() })
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// turns lets only a few at a time do what needs much memory: it has a value for each.
type turns chan struct{}

// take waits for a turn, which done ends. It fails if the context is done before.
func (t turns) take(ctx context.Context, what string) (done func(), err error) {
	select {
	case t <- struct{}{}:
		return func() { <-t }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("too many %s are being read: try again in a few seconds", what)
	}
}
