package report

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/nats-io/nuid"

	rollcallv1 "rollcall/proto/rollcall/v1"
)

// ServiceName is the service's name in the NATS micro services API.
const ServiceName = "rollcall"

// The codes of errors, in the header Nats-Service-Error-Code of an answer.
const (
	CodeBadRequest  = 400 // the request is wrong: the description names the field
	CodeBusy        = 429 // too many requests are waiting: ask again later
	CodeInternal    = 500 // no answer could be made
	CodeUnavailable = 503 // not caught up: ask again later
)

// ServiceConfig is what a Service needs.
type ServiceConfig struct {
	Source
	// Conn's handlers must be set before, as the micro services API wraps them.
	Conn     *nats.Conn
	Subjects rollcallv1.Subjects
	// Version is the program's. The API wants a semantic version; one that is
	// none is told as 0.0.0-dev.
	Version string
	Log     *slog.Logger
}

// Service answers questions for reports over the NATS micro services API.
type Service struct {
	ServiceConfig
	waiting chan job
	now     func() time.Time
}

// job is a question that waits for its answer.
type job struct {
	question
	reply string
}

// So many answers are made at a time, and so many questions wait; those beyond
// are refused.
const (
	answering  = 2
	maxWaiting = 64
)

// NewService returns a service that doesn't answer yet.
func NewService(c ServiceConfig) *Service {
	return &Service{ServiceConfig: c, waiting: make(chan job, maxWaiting), now: time.Now}
}

// Run answers until the context is done. The error is nil, or why the service
// could not be added to the connection.
func (s *Service) Run(ctx context.Context) error {
	service, err := s.add()
	if err != nil {
		return fmt.Errorf("adding service %s to NATS: %w", ServiceName, err)
	}
	var workers sync.WaitGroup
	for range answering {
		workers.Go(func() { s.work(ctx) })
	}
	defer workers.Wait()
	err = service.AddEndpoint("report", micro.HandlerFunc(s.accept), micro.WithEndpointSubject(s.Subjects.Query("report")))
	if err == nil {
		<-ctx.Done()
	}
	return errors.Join(err, stop(service))
}

// add adds the service, without endpoints, to the connection.
func (s *Service) add() (micro.Service, error) {
	config := micro.Config{
		Name:        ServiceName,
		Version:     strings.TrimPrefix(s.Version, "v"),
		Description: "Who is logged in where",
		Metadata:    map[string]string{"stream": s.Stream, "version": s.Version},
	}
	service, err := micro.AddService(s.Conn, config)
	if errors.Is(err, micro.ErrConfigValidation) {
		config.Version = "0.0.0-dev"
		service, err = micro.AddService(s.Conn, config)
	}
	return service, err
}

// stop ends a service. That its connection is closed already is no error.
func stop(service micro.Service) error {
	if err := service.Stop(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		return fmt.Errorf("stopping service %s: %w", ServiceName, err)
	}
	return nil
}

// accept judges a request and puts it in line. It runs on the subscription's
// one goroutine, and all refusals are told from here: the API's own count of
// errors is written without a lock when the handler returns.
func (s *Service) accept(request micro.Request) {
	if request.Reply() == "" {
		return
	}
	question, err := parseRequest(request.Data())
	switch {
	case err != nil:
		s.refuse(request, CodeBadRequest, err.Error())
	case !s.CaughtUp():
		s.refuse(request, CodeUnavailable, "not caught up: rollcall is still reading the events before its start: ask again later")
	default:
		select {
		case s.waiting <- job{question, request.Reply()}:
		default:
			s.refuse(request, CodeBusy, fmt.Sprintf("busy: %d requests are waiting: ask again later", maxWaiting))
		}
	}
}

func (s *Service) refuse(request micro.Request, code int, description string) {
	if err := request.Error(strconv.Itoa(code), description, nil); err != nil {
		s.Log.Debug("query not answered", "err", err)
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

// reply sends the answer to one question.
func (s *Service) reply(j job) {
	message := &nats.Msg{Subject: j.reply}
	var err error
	if message.Data, err = s.answer(j.question); err != nil {
		message.Header = nats.Header{
			micro.ErrorHeader:     {err.Error()},
			micro.ErrorCodeHeader: {strconv.Itoa(CodeInternal)},
		}
	}
	if err := s.Conn.PublishMsg(message); err != nil {
		s.Log.Debug("query not answered", "err", err)
	}
}

// answer makes the answer to a question.
func (s *Service) answer(q question) ([]byte, error) {
	// The position first: every event up to there is in what is read after.
	st := s.Roster.Status()
	head := Report{ID: nuid.Next(), When: s.now(), Stream: s.Stream}
	head.fill(&st)
	head.Cursor = strings.Repeat("x", maxCursor)
	room, err := roomFor(s.Conn.MaxPayload(), len(head.appendHead(nil)))
	if err != nil {
		return nil, err
	}
	rows, more := gather(s.Roster, q, room)
	machines, next := appendAnswer(nil, rows, more, room)
	head.Cursor = next
	return append(append(head.appendHead(nil), machines...), endOfReport...), nil
}
