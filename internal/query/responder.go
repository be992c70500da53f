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

// workerCount is how many answers about now, and how many about the past, are built at
// a time. At most maxWaiting of each are queued; further ones are refused. The history
// has a connection for each of these workers, so none waits for another.
const (
	workerCount = 2
	maxWaiting  = 64
)

// endpoint answers the questions of one subject.
type endpoint struct {
	name string
	// read decodes and checks a request. Its errors name the invalid field, and are
	// for the client.
	read func(data []byte) (asked, error)
	// early: see answeredEarly.
	early bool
}

// request is a pointer to the type of a request. check validates the values of its
// fields; its errors name the field and are for the client.
type request[Q any] interface {
	*Q
	check() error
}

// asked is a question that was decoded.
type asked struct {
	answer func(context.Context) ([]byte, error)
	// past says that the history answers it.
	past bool
}

// newEndpoint returns the endpoint of a type of request. answer returns the JSON of
// the answer; an error that is not a *refusal is sent as an internal error.
func newEndpoint[Q any, P request[Q]](name string, answer func(context.Context, P) ([]byte, error)) endpoint {
	read := func(data []byte) (asked, error) {
		q := P(new(Q))
		err := decode(data, q)
		if err == nil {
			err = q.check()
		}
		about, ok := any(q).(interface{ aboutPast() bool })
		return asked{
			answer: func(ctx context.Context) ([]byte, error) { return answer(ctx, q) },
			past:   ok && about.aboutPast(),
		}, err
	}
	return endpoint{name: name, read: read}
}

// answeredEarly returns an endpoint that also answers before the service has
// caught up.
func (e endpoint) answeredEarly() endpoint {
	e.early = true
	return e
}

// refusal is an error with a code other than CodeInternal. The description is sent
// in a header: it must not contain control characters.
type refusal struct {
	code        int
	description string
}

func (r *refusal) Error() string { return r.description }

// job is a question that is queued.
type job struct {
	asked
	reply string
}

// accept checks a request and queues it. It runs on the subscription's one
// goroutine. The micro services API counts refusals here as errors. It updates that
// count without a lock when the handler returns, so workers must not change it.
func (s *Service) accept(e *endpoint, request micro.Request) {
	if request.Reply() == "" {
		return
	}
	q, err := e.read(request.Data())
	line, passive := s.waiting, s.fenced(func() {})
	//guard:false "questions about the past starve no others" TestPastStarvesNobody
	if q.past {
		line = s.waitingPast
	}
	switch {
	case err != nil:
		s.refuse(request, rollcallv1.CodeBadRequest, err.Error())
	//guard:drop e.early "status answers before it has caught up" TestStatusBeforeCaughtUp
	//guard:false "a partial roster is never an answer" TestNotCaughtUp
	case !e.early && !s.CaughtUp():
		s.refuse(request, rollcallv1.CodeUnavailable, "not caught up: rollcall is still reading the events from before its start: ask again later")
	case passive != nil:
		s.refuse(request, rollcallv1.CodeUnavailable, passive.Error())
	case q.past && s.History == nil:
		s.refuse(request, rollcallv1.CodeUnavailable, "this rollcall keeps no history: ROLLCALL_HISTORY is 0")
	default:
		s.unanswered.Add(1)
		select {
		case line <- job{q, request.Reply()}:
			s.past.began(q.past)
		//guard:drop "a flood of questions doesn't fill the memory" TestFloodIsRefused
		default:
			s.unanswered.Add(-1)
			s.past.refused(q.past)
			s.refuse(request, rollcallv1.CodeBusy, fmt.Sprintf("busy: %d questions are waiting: ask again later", cap(line)))
		}
	}
}

func (s *Service) refuse(request micro.Request, code int, description string) {
	if err := request.Error(strconv.Itoa(code), description, nil); err != nil {
		s.Log.Debug("query reply failed", "err", err)
	}
}

// work answers the questions of a queue until the context is done and the queue
// is empty.
func (s *Service) work(ctx context.Context, line <-chan job) {
	for {
		select {
		case j := <-line:
			s.reply(ctx, j)
			continue
		default:
		}
		select {
		case j := <-line:
			s.reply(ctx, j)
		case <-ctx.Done():
			return
		}
	}
}

// reply builds the answer to one question and sends it.
func (s *Service) reply(ctx context.Context, j job) {
	defer s.unanswered.Add(-1)
	message := &nats.Msg{Subject: j.reply}
	var err error
	message.Data, err = j.answer(ctx)
	s.past.ended(j.past, err)
	if most := s.Conn.MaxPayload(); err == nil && int64(len(message.Data)) > most {
		err = fmt.Errorf("an answer of %d bytes does not fit in a message of %d", len(message.Data), most)
	}
	if err != nil {
		code := rollcallv1.CodeInternal
		if refused, ok := errors.AsType[*refusal](err); ok {
			code = refused.code
		}
		message.Data = nil
		message.Header = refusalHeader(code, err)
	}
	send := func() {
		if err := s.Conn.PublishMsg(message); err != nil {
			s.Log.Debug("query reply failed", "err", err)
		}
	}
	//guard:false "no answer of a process that is not the active one any more" TestFence
	if err := s.fenced(send); err != nil {
		message.Data = nil
		message.Header = refusalHeader(rollcallv1.CodeUnavailable, err)
		send()
	}
}

// fenced calls send, or returns why this process may not answer.
func (s *Service) fenced(send func()) error {
	if s.Fence != nil {
		return s.Fence(send)
	}
	send()
	return nil
}

// refusalHeader is the header of an answer that is an error.
func refusalHeader(code int, err error) nats.Header {
	return nats.Header{micro.ErrorHeader: {err.Error()}, micro.ErrorCodeHeader: {strconv.Itoa(code)}}
}
