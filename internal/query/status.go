package query

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"

	"rollcall/internal/api"
	"rollcall/internal/history"
	"rollcall/internal/roster"
)

// replaying is the reason for incompleteness while the service has not caught up.
const replaying = "replaying"

// statusRequest asks about the service itself.
type statusRequest struct{ api.StatusRequest }

func (*statusRequest) check() error { return nil }

// status answers with the state of the service.
func (s *Service) status(context.Context, *statusRequest) ([]byte, error) {
	st := s.Roster.Status()
	a := api.StatusAnswer{
		Head: s.head(&st), Version: s.Version, CaughtUp: s.CaughtUp(),
		Users: st.Users, OnSeveral: st.Several, Sessions: st.Sessions, Limited: st.Limited, Missing: st.Missing,
		Fates: api.Fates{
			Applied: st.Fates[roster.Applied], Superseded: st.Fates[roster.Superseded],
			DeadLettered: st.Fates[roster.DeadLettered], Lost: st.Fates[roster.Lost],
		},
		Limits: limitsOf(s.Roster.Settings()),
	}
	if !st.Complete() {
		a.AcceptLoss = st.Losses.Last()
	}
	if !a.CaughtUp {
		a.Complete, a.Reasons = false, slices.Insert(a.Reasons, 0, replaying)
	}
	s.setLag(&a)
	if s.Sources != nil {
		a.Sources = s.Sources()
	}
	if s.Snapshot != nil {
		a.Snapshot = s.Snapshot()
	}
	if s.History != nil {
		a.History = historyStatus(s.History.Status())
	}
	if s.Checks != nil {
		a.Failing = s.Checks()
	}
	if others := s.others.known(); len(others) > 0 {
		a.Instances = append([]api.Instance{s.self()}, others...)
	}
	for v := range s.Roster.Machines("") {
		a.Machines++
		if s.Silent(v.Heard(), v.Every(), a.When) {
			a.Silent++
		}
	}
	b, err := json.Marshal(&a)
	if err != nil {
		return nil, fmt.Errorf("encoding the answer: %w", err)
	}
	return b, nil
}

func limitsOf(s roster.Settings) api.Limits {
	return api.Limits{
		MaxSkew: s.MaxSkew.String(), AllowedLateness: s.AllowedLateness.String(),
		MaxMachines: s.MaxMachines, MaxSessions: s.MaxSessions, MaxSessionsPerMachine: s.MaxSessionsPerMachine,
	}
}

func historyStatus(h history.Status) *api.HistoryStatus {
	a := &api.HistoryStatus{Place: h.Place, Behind: h.Behind, Sessions: h.Stays, Size: h.Bytes, KeptFrom: timeOf(h.Kept)}
	if h.Failing != nil {
		a.Failing = h.Failing.Error()
	}
	return a
}

// setLag sets Lag, or clears CaughtUp if the state of the stream is unknown.
func (s *Service) setLag(a *api.StatusAnswer) {
	if slices.Contains(a.Reasons, api.Stale) {
		a.CaughtUp = false
		return
	}
	if s.Lag != nil {
		lag := s.Lag()
		a.Lag = &lag
	}
}
