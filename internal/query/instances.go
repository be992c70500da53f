package query

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/micro"

	rollcallv1 "rollcall/proto/rollcall/v1"
)

// InstancesRequest asks every process that answers on these subjects who it is.
type InstancesRequest struct {
	// Instance is who asks, where that is a service itself: one that doesn't know
	// it yet asks back.
	Instance string `json:"instance,omitzero"`
}

// Instance is one process that answers. Two on the same subjects answer by turns,
// each from its own roster.
type Instance struct {
	// ID is another one after each start.
	ID       string    `json:"instance"`
	Version  string    `json:"version"`
	Started  time.Time `json:"started"`
	Stream   string    `json:"stream"`
	Sequence uint64    `json:"sequence"`
	Place    uint64    `json:"place"`
	// Settings is a digest of the settings that decide. Two with the same one
	// decide alike.
	Settings string `json:"settings"`
}

// maxInstance bounds the parts of an answer, which anybody may have given.
const maxInstance = 256

func (r *InstancesRequest) check() error {
	if len(r.Instance) > maxInstance {
		return fmt.Errorf("instance has more than %d bytes", maxInstance)
	}
	return nil
}

func (i *Instance) check() error {
	if i.ID == "" {
		return errors.New("no instance")
	}
	for _, part := range []string{i.ID, i.Version, i.Stream, i.Settings} {
		if len(part) > maxInstance {
			return fmt.Errorf("a part has more than %d bytes", maxInstance)
		}
	}
	return nil
}

// self is this process.
func (s *Service) self() Instance {
	position := s.Roster.Status().Position
	return Instance{
		ID: s.Instance, Version: s.Version, Started: s.started, Stream: s.Stream,
		Sequence: position.Sequence(), Place: position.Place, Settings: s.Settings,
	}
}

// listenToAll adds the one endpoint without a queue group: each process answers.
func (s *Service) listenToAll(service micro.Service) error {
	const name = "instances"
	err := service.AddEndpoint(name, micro.HandlerFunc(s.tellInstance),
		micro.WithEndpointSubject(s.Subjects.Query(name)), micro.WithEndpointQueueGroupDisabled())
	if err != nil {
		return fmt.Errorf("adding endpoint %s: %w", name, err)
	}
	return nil
}

// tellInstance answers at once, not from the line of questions: a process that
// is busy answers too.
func (s *Service) tellInstance(request micro.Request) {
	if request.Reply() == "" {
		return
	}
	var asked InstancesRequest
	err := decode(request.Data(), &asked)
	if err == nil {
		err = asked.check()
	}
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
		s.Log.Debug("question not answered", "err", err)
	}
	s.others.askedBy(asked.Instance)
}
