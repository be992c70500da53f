package query

import (
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/micro"

	"rollcall/internal/api"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// instancesRequest asks every process on these subjects who it is.
type instancesRequest struct{ api.InstancesRequest }

func (r *instancesRequest) check() error {
	if len(r.Instance) > api.MaxInstance {
		return fmt.Errorf("instance has more than %d bytes", api.MaxInstance)
	}
	return nil
}

func readInstancesRequest(data []byte) (r instancesRequest, err error) {
	if err := decode(data, &r); err != nil {
		return r, err
	}
	return r, r.check()
}

// self describes this process.
func (s *Service) self() api.Instance {
	position := s.Roster.Status().Position
	i := api.Instance{
		ID: s.Instance, Version: s.Version, Started: s.started, Stream: s.Stream,
		Sequence: position.Sequence(), Place: position.Place, Offset: position.Base, Settings: s.Settings,
		Active: true, CaughtUp: s.CaughtUp(),
	}
	if s.Role != nil {
		s.Role(&i)
	}
	return i
}

// listenToAll adds the only endpoint without a queue group: every process
// answers.
func (s *Service) listenToAll(service micro.Service) error {
	const name = "instances"
	err := service.AddEndpoint(name, micro.HandlerFunc(s.answerInstances),
		micro.WithEndpointSubject(s.Subjects.Query(name)), micro.WithEndpointQueueGroupDisabled())
	if err != nil {
		return fmt.Errorf("adding endpoint %s: %w", name, err)
	}
	return nil
}

// answerInstances answers at once, without queueing, so that a busy process answers
// too.
func (s *Service) answerInstances(request micro.Request) {
	if request.Reply() == "" {
		return
	}
	asked, err := readInstancesRequest(request.Data())
	if err != nil {
		s.refuse(request, rollcallv1.CodeBadRequest, err.Error())
		return
	}
	self := s.self()
	answer, err := json.Marshal(&self)
	if err == nil {
		err = request.Respond(answer)
	}
	if err != nil {
		s.Log.Debug("query reply failed", "err", err)
	}
	s.others.askedBy(asked.Instance)
}
