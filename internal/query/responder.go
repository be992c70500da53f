package query

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	rollcallv1 "rollcall/proto/rollcall/v1"
)

// So many answers are made at a time, and so many questions wait; those beyond
// are refused.
const (
	answering  = 2
	maxWaiting = 64
)

// endpoint answers the questions of one subject.
type endpoint struct {
	name string
	// read judges a request and returns what makes its answer. Its errors name
	// the field that is wrong, and are for the client.
	read func(data []byte) (func() ([]byte, error), error)
	// early: see answeredEarly.
	early bool
}

// request is a pointer to the type of a request or an answer. check says what is
// wrong with one whose JSON is right; its errors name the field, and those of a
// request are for the client.
type request[Q any] interface {
	*Q
	check() error
}

// newEndpoint returns the endpoint of a type of request. answer makes the JSON
// of the answer; an error that is no *refusal is told as one of ours.
func newEndpoint[Q any, P request[Q]](name string, answer func(P) ([]byte, error)) endpoint {
	read := func(data []byte) (func() ([]byte, error), error) {
		q := P(new(Q))
		err := decode(data, q)
		if err == nil {
			err = q.check()
		}
		return func() ([]byte, error) { return answer(q) }, err
	}
	return endpoint{name: name, read: read}
}

// answeredEarly returns an endpoint that answers also before the service has
// caught up.
func (e endpoint) answeredEarly() endpoint {
	e.early = true
	return e
}

// refusal is an error with a code other than that of our own errors. The
// description goes into a header: it must not have control characters.
type refusal struct {
	code        int
	description string
}

func (r *refusal) Error() string { return r.description }

// job is a question that waits for its answer.
type job struct {
	answer func() ([]byte, error)
	reply  string
}

// accept judges a request and puts it in line. It runs on the subscription's
// one goroutine, and what is refused here is counted as an error by the API;
// that count is written without a lock when the handler returns, so workers
// can't raise it.
func (s *Service) accept(e *endpoint, request micro.Request) {
	if request.Reply() == "" {
		return
	}
	answer, err := e.read(request.Data())
	switch {
	case err != nil:
		s.refuse(request, rollcallv1.CodeBadRequest, err.Error())
	case !e.early && !s.CaughtUp():
		s.refuse(request, rollcallv1.CodeUnavailable, "not caught up: rollcall is still reading the events before its start: ask again later")
	default:
		select {
		case s.waiting <- job{answer, request.Reply()}:
		default:
			s.refuse(request, rollcallv1.CodeBusy, fmt.Sprintf("busy: %d questions are waiting: ask again later", maxWaiting))
		}
	}
}

func (s *Service) refuse(request micro.Request, code int, description string) {
	if err := request.Error(strconv.Itoa(code), description, nil); err != nil {
		s.Log.Debug("question not answered", "err", err)
	}
}

// work makes answers until the context is done and nobody waits.
func (s *Service) work(ctx context.Context) {
	for {
		select {
		case j := <-s.waiting:
			s.reply(j)
			continue
		default:
		}
		select {
		case j := <-s.waiting:
			s.reply(j)
		case <-ctx.Done():
			return
		}
	}
}

// reply makes the answer to one question and sends it.
func (s *Service) reply(j job) {
	message := &nats.Msg{Subject: j.reply}
	var err error
	message.Data, err = j.answer()
	if most := s.Conn.MaxPayload(); err == nil && int64(len(message.Data)) > most {
		err = fmt.Errorf("an answer of %d bytes does not fit a message of %d", len(message.Data), most)
	}
	if err != nil {
		code := rollcallv1.CodeInternal
		if refused, ok := errors.AsType[*refusal](err); ok {
			code = refused.code
		}
		message.Data = nil
		message.Header = nats.Header{
			micro.ErrorHeader:     {err.Error()},
			micro.ErrorCodeHeader: {strconv.Itoa(code)},
		}
	}
	if err := s.Conn.PublishMsg(message); err != nil {
		s.Log.Debug("question not answered", "err", err)
	}
}
