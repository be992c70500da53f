package query

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"rollcall/internal/report"
	"rollcall/internal/roster"
)

// StatusRequest asks about the service itself. It has no fields.
type StatusRequest struct{}

// StatusAnswer says how the service itself is. It is also answered before the
// service has caught up: then replaying is among the reasons.
type StatusAnswer struct {
	Head
	Version string `json:"version"`
	// CaughtUp says that all there was at the start has been read, and that the
	// stream is in sight; Lag is how many messages of it have no fate yet, nil
	// while that cannot be known.
	CaughtUp bool    `json:"caught_up"`
	Lag      *uint64 `json:"lag,omitzero"`
	// AcceptLoss is, while losses keep the roster from being complete, the place
	// up to which they are to be accepted (ROLLCALL_ACCEPT_LOSS) to accept all.
	AcceptLoss uint64 `json:"accept_loss,omitzero"`
	// Machines are those that reports show; Silent, those of them that were not
	// heard for long.
	Machines int `json:"machines"`
	Silent   int `json:"silent"`
	// Limited counts the machines of which events were refused for want of room
	// since they last said who is on.
	Limited int `json:"limited,omitzero"`
	// Users are those who are on somewhere; OnSeveral, on more than one machine.
	Users     int `json:"users"`
	OnSeveral int `json:"on_several"`
	Sessions  int `json:"sessions"`
	// Fates add up to the place.
	Fates Fates `json:"fates"`
	// Snapshot is the last one that was saved or loaded; nil: none yet.
	Snapshot *Snapshot `json:"snapshot,omitzero"`
	// Instances are the processes that answer on these subjects, this one first;
	// nil: only this one.
	Instances []Instance `json:"instances,omitzero"`
	// Failing are the checks of /readyz that don't hold.
	Failing []Check `json:"failing,omitzero"`
}

// Check is a check of /readyz that doesn't hold.
type Check struct {
	Name  string `json:"name"`
	State string `json:"state"`
}

// Fates counts the messages since the first, by what became of them.
type Fates struct {
	Applied      uint64 `json:"applied"`
	Superseded   uint64 `json:"superseded"`
	DeadLettered uint64 `json:"dead_lettered"`
	Lost         uint64 `json:"lost"`
}

// Snapshot is the roster on disk.
type Snapshot struct {
	Place   uint64    `json:"place"`
	Written time.Time `json:"written"`
	Size    int64     `json:"size"` // bytes
	// StateDigest is the same for rosters that are the same: SHA-256 in
	// hexadecimal.
	StateDigest string `json:"state_digest"`
}

// replaying is the reason for being incomplete that is no loss: not caught up.
const replaying = "replaying"

func (*StatusRequest) check() error { return nil }

// status answers how the service is.
func (s *Service) status(context.Context, *StatusRequest) ([]byte, error) {
	st := s.Roster.Status()
	a := StatusAnswer{
		Head: s.head(&st), Version: s.Version, CaughtUp: s.CaughtUp(),
		Users: st.Users, OnSeveral: st.Several, Sessions: st.Sessions, Limited: st.Limited,
		Fates: Fates{
			Applied: st.Fates[roster.Applied], Superseded: st.Fates[roster.Superseded],
			DeadLettered: st.Fates[roster.DeadLettered], Lost: st.Fates[roster.Lost],
		},
	}
	if !st.Complete() {
		a.AcceptLoss = st.Losses.Last()
	}
	if !a.CaughtUp {
		a.Complete, a.Reasons = false, slices.Insert(a.Reasons, 0, replaying)
	}
	s.standing(&a)
	if s.Snapshot != nil {
		a.Snapshot = s.Snapshot()
	}
	if s.Checks != nil {
		a.Failing = s.Checks()
	}
	if others := s.others.known(); len(others) > 0 {
		a.Instances = append([]Instance{s.self()}, others...)
	}
	for v := range s.Roster.Machines("") {
		a.Machines++
		if s.Silent(v.Heard(), a.When) {
			a.Silent++
		}
	}
	b, err := json.Marshal(&a)
	if err != nil {
		return nil, fmt.Errorf("encoding the answer: %w", err)
	}
	return b, nil
}

// standing says how far the reader is, in what can be known of that.
func (s *Service) standing(a *StatusAnswer) {
	if slices.Contains(a.Reasons, report.Stale) {
		a.CaughtUp = false
		return
	}
	if s.Lag != nil {
		lag := s.Lag()
		a.Lag = &lag
	}
}
