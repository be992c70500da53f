package agent

import (
	"context"
	"time"

	"rollcall/internal/agent/logind"
	"rollcall/internal/roster"
	"rollcall/internal/wire"
)

// Status is the state of an agent.
type Status struct {
	Machine string `json:"machine"`
	Origin  string `json:"origin"`
	// Number is that of the last event; Stored, that up to which the server has all;
	// Waiting, how many it does not have yet; Dropped, how many were lost since the
	// start, for want of space or by damage.
	Number  uint64 `json:"number"`
	Stored  uint64 `json:"stored"`
	Waiting uint64 `json:"waiting"`
	Dropped uint64 `json:"dropped"`
	// Bytes is the size of the spool.
	Bytes int64 `json:"bytes"`
	// ClassUnknown counts sessions that were gone before anybody could say whether they
	// were a person's: they count as one's.
	ClassUnknown int `json:"class_unknown"`
	// Server is the address of the server; empty: it is not connected.
	Server string `json:"server,omitzero"`
	// Sources says that logind and the journal are read.
	Sources bool `json:"sources"`
	// Problem is why events are not made or not written, such as a full disk; empty: none.
	Problem string `json:"problem,omitzero"`
}

// Status returns the state of the agent.
func (a *Agent) Status() Status {
	st, base := a.Spool.Stats(), a.Spool.Base()
	s := Status{
		Machine: a.Machine, Origin: a.Spool.Origin(), Number: a.Spool.Next() - 1 - base, Stored: max(st.Acked, base) - base, Waiting: st.Waiting,
		Dropped: st.Dropped, Bytes: st.Bytes, ClassUnknown: int(a.sessions.unknown.Load()), Sources: a.reading.Load(),
	}
	if problem := a.problem.Load(); problem != nil {
		s.Problem = *problem
	}
	if nc := a.conn.Load(); nc != nil && nc.IsConnected() {
		s.Server = nc.ConnectedAddr()
	}
	return s
}

// Publish connects and publishes what is in the spool, until the context is done.
func (a *Agent) Publish(ctx context.Context, connect Connect) error {
	p := &publisher{connect: connect, connected: a.conn.Store, subject: a.Subjects.EventsOf(a.Machine), spool: a.Spool, log: a.Log}
	err := p.run(ctx)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// Once returns the events that an agent would publish at its start, in JSON, a line each.
func Once(ctx context.Context, machine string) ([]byte, error) {
	logins, err := logind.Dial(ctx)
	if err != nil {
		return nil, err
	}
	defer logins.Close()
	all, err := logins.List(ctx)
	if err != nil {
		return nil, err
	}
	var d dates
	var s sessions
	var out []byte
	for _, e := range []struct {
		at time.Time
		roster.Event
	}{
		{systemClock{}.booted(), roster.Event{Type: roster.Boot}},
		{time.Now(), roster.Event{Type: roster.Present, Sessions: s.list(all)}},
	} {
		e.Machine = machine
		e.Date, _ = d.next(e.at)
		out = append(wire.AppendJSON(out, &e.Event), '\n')
	}
	return out, nil
}
