// Package query answers questions about a roster over the NATS micro services
// API.
//
// All questions take the same path. A request is decoded strictly. It is refused
// at once if it is invalid, if the roster has not caught up, or if too many are
// queued; otherwise it is queued for the few workers that build answers. Workers
// and the roster's fold share locks, but hold them briefly: the lock of a machine
// for one event or one read, the lock of the users for one batch or a few hundred
// lookups. An answer that doesn't fit in one message has a cursor, with which the
// next question continues.
//
// Questions about the past are answered from the history on disk. They have their own
// queue and workers, so that questions about now never wait for a disk.
//
// The types of requests and answers are those of package api.
package query

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/api"
	"rollcall/internal/history"
	"rollcall/internal/report"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// Config is what a Service needs.
type Config struct {
	report.Source
	// Conn's handlers must already be set: the micro services API wraps them.
	Conn     *nats.Conn
	Subjects rollcallv1.Subjects
	// Version is the program's. The micro services API requires a semantic version;
	// any other is shown there as 0.0.0-dev.
	Version string
	// Lag returns how many messages of the stream have no fate yet; Snapshot, the
	// last snapshot that was saved or loaded, nil if none was. They must be safe
	// for use by several goroutines. If they are nil, answers omit lag and snapshot.
	Lag      func() uint64
	Snapshot func() *api.Snapshot
	// Sources returns what was read of the sources of the stream; nil: nothing.
	Sources func() []api.Source
	// Checks returns the checks of /readyz that fail; nil: none.
	Checks func() []api.Check
	// Instance identifies this process; Settings is a digest of the settings that
	// affect the fold. Both are for other processes that answer on the same subjects.
	Instance, Settings string
	// Registry gets the metrics; it may be nil.
	Registry prometheus.Registerer
	// Fence is set if one of several processes answers, the active one. It calls send if
	// this process is it, else it returns why this one may not answer. With a fence,
	// questions are answered only while Answer runs. It must be safe for use by several
	// goroutines.
	Fence func(send func()) error
	// Role sets what an instance says of its part among those that stand by for each
	// other; nil: this process stands alone. It must be safe for use by several goroutines.
	Role func(*api.Instance)
	// History answers questions about the past. If it is nil, they are refused.
	History *history.History
	// Now is the clock of answers; nil: time.Now.
	Now func() time.Time
	Log *slog.Logger
}

// Service answers questions.
type Service struct {
	Config
	waiting     chan job
	waitingPast chan job
	unanswered  atomic.Int64 // questions that wait, or are being answered
	now         func() time.Time
	started     time.Time
	others      *others
	past        *pastMetrics
	queryEvery  time.Duration
}

// New returns a service; Run makes it answer.
func New(c Config) *Service {
	s := &Service{
		Config: c, now: c.Now, started: time.Now().UTC(), others: newOthers(c.Registry), past: newPastMetrics(c.Registry),
		queryEvery: queryEvery, waiting: make(chan job, maxWaiting), waitingPast: make(chan job, maxWaiting),
	}
	if s.now == nil {
		s.now = time.Now
	}
	return s
}

// endpoints are the questions that the service answers.
func (s *Service) endpoints() []endpoint {
	return []endpoint{
		newEndpoint("report", s.report),
		newEndpoint("machine", s.machine),
		newEndpoint("user", s.user),
		newEndpoint("sessions", s.sessions),
		newEndpoint("find", s.find),
		newEndpoint("history", s.history),
		newEndpoint("counts", s.counts),
		newEndpoint("status", s.status).answeredEarly(),
	}
}

// Run answers until the context is done; with a fence, questions about who is there only,
// see Answer. The error is nil, or why the service could not be added to the connection.
func (s *Service) Run(ctx context.Context) error {
	service, err := s.add()
	if err != nil {
		return err
	}
	var workers sync.WaitGroup
	for range workerCount {
		workers.Go(func() { s.work(ctx, s.waiting) })
		workers.Go(func() { s.work(ctx, s.waitingPast) })
	}
	defer workers.Wait()
	if s.Fence == nil {
		err = s.listen(service)
	}
	if err == nil {
		err = s.listenToAll(service)
	}
	if err == nil {
		s.watchOthers(ctx)
	}
	return errors.Join(err, stop(service))
}

// Answer answers questions until the context is done, and then those that have arrived, for
// a second at most; what is left then is for the fence to refuse. Run must run meanwhile. The error is nil, or why the service could not be
// added to the connection.
func (s *Service) Answer(ctx context.Context) error {
	service, err := s.add()
	if err != nil {
		return err
	}
	if err = s.listen(service); err == nil {
		<-ctx.Done()
	}
	err = errors.Join(err, stop(service))
	s.awaitAnswered()
	return err
}

const (
	// answerWithin is how long questions that have arrived may take to be answered at the
	// end, idleFor, how long none must have been left.
	answerWithin = time.Second
	idleFor      = 50 * time.Millisecond
)

// awaitAnswered waits until the questions that have arrived are answered.
func (s *Service) awaitAnswered() {
	end := time.Now().Add(answerWithin)
	if s.Conn.FlushTimeout(answerWithin) != nil { // no question arrives after it
		return
	}
	for idle := time.Now(); time.Since(idle) < idleFor && time.Now().Before(end); time.Sleep(time.Millisecond) {
		if s.unanswered.Load() > 0 {
			idle = time.Now()
		}
	}
}

// add adds the service, without endpoints, to the connection.
func (s *Service) add() (micro.Service, error) {
	config := micro.Config{
		Name:        rollcallv1.ServiceName,
		Version:     strings.TrimPrefix(s.Version, "v"),
		Description: "Who is logged in where",
		Metadata:    map[string]string{"stream": s.Stream, "version": s.Version},
	}
	service, err := micro.AddService(s.Conn, config)
	if errors.Is(err, micro.ErrConfigValidation) {
		config.Version = "0.0.0-dev"
		service, err = micro.AddService(s.Conn, config)
	}
	if err != nil {
		return nil, fmt.Errorf("adding service %s to NATS: %w", rollcallv1.ServiceName, err)
	}
	return service, nil
}

// listen adds the endpoints.
func (s *Service) listen(service micro.Service) error {
	var options []micro.EndpointOpt
	//guard:false "a process that has stopped gets no share of the questions" ./internal/test/faults:TestStandbyStopped
	if s.Fence != nil {
		// A process that has stopped without ending would get its share of the questions of
		// a group, and answer none.
		options = append(options, micro.WithEndpointQueueGroupDisabled())
	}
	for _, e := range s.endpoints() {
		accept := micro.HandlerFunc(func(r micro.Request) { s.accept(&e, r) })
		err := service.AddEndpoint(e.name, accept, append(options, micro.WithEndpointSubject(s.Subjects.Query(e.name)))...)
		if err != nil {
			return fmt.Errorf("adding endpoint %s: %w", e.name, err)
		}
	}
	return nil
}

// stop stops a service. A connection that is already closed is no error.
func stop(service micro.Service) error {
	if err := service.Stop(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		return fmt.Errorf("stopping service %s: %w", rollcallv1.ServiceName, err)
	}
	return nil
}
