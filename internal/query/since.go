package query

import (
	"context"
	"time"

	"rollcall/internal/api"
	"rollcall/internal/history"
)

// sinceWithin is how long an answer about now may take to read from the history when
// sessions began; allSinceWithin, if it reads all of them.
const (
	sinceWithin    = 50 * time.Millisecond
	allSinceWithin = time.Second
)

// inexact is the since_exact of a session whose beginning the history doesn't tell.
var inexact = new(false)

// opened is when sessions began, by machine, user and ID.
type opened map[[3]string]time.Time

func (o opened) add(list []history.MachineStay) {
	for i := range list {
		s := &list[i]
		o[[3]string{s.Machine, s.Session.User, s.Session.ID}] = s.Session.Since.Time()
	}
}

// set sets when a session began, or that it is inexact.
func (o opened) set(machine string, s *api.Session) {
	since, ok := o[[3]string{machine, s.User, s.ID}]
	if !ok {
		s.SinceExact = inexact
		return
	}
	s.Since = since
}

// sinceOn sets when sessions on a machine began, if the history has all of the machine's
// events up to a place.
func (s *Service) sinceOn(ctx context.Context, machine string, place uint64, sessions []api.Session) {
	since := opened{}
	s.readNow(ctx, sinceWithin, func(v *history.View) error {
		//guard:false "the roster's since is used until the history has the event" TestSinceExact
		if v.Place() < place {
			return nil
		}
		list, err := v.OpenOn(machine)
		since.add(list)
		return err
	})
	for i := range sessions {
		since.set(machine, &sessions[i])
	}
}

// sinceOf sets when a user's sessions began, each if the history has all events of its
// machine up to a place.
func (s *Service) sinceOf(ctx context.Context, user string, places []uint64, stays []api.Stay) {
	since, reached := opened{}, uint64(0)
	s.readNow(ctx, sinceWithin, func(v *history.View) error {
		reached = v.Place()
		list, err := v.OpenOf(user)
		since.add(list)
		return err
	})
	for i := range stays {
		stay := &stays[i]
		if places[i] > reached {
			stay.SinceExact = inexact
			continue
		}
		since.set(stay.Machine, &stay.Session)
	}
}

// readNow reads the history for an answer about now, which does without if that fails.
func (s *Service) readNow(ctx context.Context, within time.Duration, show func(*history.View) error) bool {
	if s.History == nil {
		return false
	}
	err := s.History.Now(ctx, within, show)
	if err != nil {
		s.Log.Debug("history not read in time", "err", err)
	}
	return err == nil
}
