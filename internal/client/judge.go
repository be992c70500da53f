package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/internal/api"
	"rollcall/internal/roster"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// Judge knows, as far as the service tells, which events it would refuse as future, late
// or limit. It knows what the service has read so far: events that it has not read yet may
// change the answer.
type Judge struct {
	status         api.StatusAnswer
	skew, lateness time.Duration
	ahead          time.Duration // of the service's clock, relative to ours
	known          bool          // the service knows the machine
	newest         time.Time     // the machine's newest date; zero: late and limit are not judged
	machine        string        // "": only future is judged
	sessions       []api.Session
}

// judgeTimeout is how long asking for a judge may take.
const judgeTimeout = 3 * time.Second

// AskJudge asks the service for its limits, and for what it knows of a machine; "" for
// none.
func AskJudge(ctx context.Context, nc *nats.Conn, subjects rollcallv1.Subjects, machine string) (*Judge, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, judgeTimeout, fmt.Errorf("no answer on %s within %v", subjects.Query("status"), judgeTimeout))
	defer cancel()
	begin := time.Now()
	answer, err := One(ctx, nc, subjects.Query("status"), api.StatusRequest{})
	if err != nil {
		return nil, err
	}
	j := &Judge{machine: machine}
	if j.status, err = api.Decode[api.StatusAnswer](answer); err != nil {
		return nil, fmt.Errorf("reading the answer of %s: %w", subjects.Query("status"), err)
	}
	// The service looked at its clock between the request and the answer.
	j.ahead = j.status.When.Sub(begin.Add(time.Since(begin) / 2))
	j.skew, err = time.ParseDuration(j.status.Limits.MaxSkew)
	if err == nil {
		j.lateness, err = time.ParseDuration(j.status.Limits.AllowedLateness)
	}
	if err != nil {
		return nil, errors.New("the service does not tell its limits: it is older than this program")
	}
	if machine != "" {
		err = j.askMachine(ctx, nc, subjects.Query("machine"))
	}
	return j, err
}

// askMachine asks for the machine's newest date and its open sessions.
func (j *Judge) askMachine(ctx context.Context, nc *nats.Conn, subject string) error {
	for page, err := range Pages(ctx, nc, subject, api.MachineRequest{Machine: j.machine}) {
		if refusal, ok := errors.AsType[*Refusal](err); ok && refusal.Code == rollcallv1.CodeNotFound {
			return nil
		}
		if err != nil {
			return err
		}
		a, err := api.Decode[api.MachineAnswer](page)
		if err != nil {
			return fmt.Errorf("reading the answer of %s: %w", subject, err)
		}
		j.known, j.newest = true, a.Newest
		j.sessions = append(j.sessions, a.Sessions...)
	}
	return nil
}

// Refusal returns why the service would refuse the event, or nil if it would not, as far
// as is known.
func (j *Judge) Refusal(e *roster.Event) *roster.Refusal {
	now, date := time.Now().Add(j.ahead), e.Date.Time()
	//guard:false "publish refuses what is dated ahead" TestJudge
	if date.After(now.Add(j.skew)) {
		return &roster.Refusal{
			Reason:  roster.Future,
			Problem: fmt.Sprintf("date %s is more than %v after the clock of the service, %s", e.Date, j.skew, now.UTC().Format(time.RFC3339)),
			Remedy:  "correct the date, or the clock of this machine",
		}
	}
	if e.Machine != j.machine {
		return nil
	}
	//guard:false "publish refuses what is late" TestJudge
	if j.known && date.Before(j.newest.Add(-j.lateness)) {
		return &roster.Refusal{
			Reason:  roster.Late,
			Problem: fmt.Sprintf("date %s is more than %v before the machine's newest event of %s", e.Date, j.lateness, j.newest.Format(time.RFC3339Nano)),
			Remedy:  "correct the date, or raise ROLLCALL_ALLOWED_LATENESS of the service",
		}
	}
	if what, most, variable := j.full(e); what != "" {
		return &roster.Refusal{
			Reason:  roster.Limit,
			Problem: fmt.Sprintf("the roster is full: %d %s", most, what),
			Remedy:  "raise " + variable + " of the service",
		}
	}
	return nil
}

// full returns the limit that the event would exceed; "" for none.
func (j *Judge) full(e *roster.Event) (what string, most int, variable string) {
	l := &j.status.Limits
	switch opens := e.Type == roster.Login && !j.isOpen(&e.Session); {
	case !j.known && reached(j.status.Machines, l.MaxMachines):
		return "machines", l.MaxMachines, "ROLLCALL_MAX_MACHINES"
	case opens && reached(len(j.sessions), l.MaxSessionsPerMachine):
		return "sessions on this machine", l.MaxSessionsPerMachine, "ROLLCALL_MAX_SESSIONS_PER_MACHINE"
	case opens && reached(j.status.Sessions, l.MaxSessions):
		return "sessions", l.MaxSessions, "ROLLCALL_MAX_SESSIONS"
	}
	return "", 0, ""
}

func reached(have, limit int) bool { return limit > 0 && have >= limit }

// isOpen reports whether a session is open on the machine. One with an id is that of
// whichever user has it.
func (j *Judge) isOpen(s *roster.Session) bool {
	for i := range j.sessions {
		if open := &j.sessions[i]; open.ID == s.ID && (s.ID != "" || open.User == s.User) {
			return true
		}
	}
	return false
}
