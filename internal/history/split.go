package history

import (
	"strings"

	"rollcall/internal/roster"
)

// splitter makes batches of what a fold said.
type splitter struct {
	settings roster.Settings
	fed      uint64 // the place up to which there are batches
	again    bool   // see batch
}

// split splits a batch that was folded at its losses. It keeps no string of it.
func (s *splitter) split(b *roster.Batch, st *roster.Status) []*batch {
	var list []*batch
	add := func(lost string, through uint64) *batch {
		now := &batch{settings: s.settings, end: b.End, lost: lost, lostTo: through, again: s.again}
		list = append(list, now)
		return now
	}
	var now *batch
	for i := range b.Messages {
		m := &b.Messages[i]
		switch {
		case m.Place <= s.fed:
			continue
		case m.Place > s.fed+1:
			now = add(b.Missing.String(), m.Place-1)
		case now == nil:
			now = add("", 0)
		}
		s.fed = m.Place
		now.end = at(b.End, m.Place, m.Receipt)
		if now.first == 0 {
			now.first = m.Receipt
		}
		now.receipt = max(now.receipt, m.Receipt)
		switch {
		case m.Marker:
		case m.Refusal == nil:
			now.events = append(now.events, Accepted{m.Place, clone(&m.Event)})
		case m.Refusal.Reason == roster.Limit && st.Losses[roster.LossLimit] >= m.Place:
			now = add(roster.LossLimit.String(), m.Place)
			now.end = at(b.End, m.Place, m.Receipt)
		case m.Refusal.Reason == roster.Limit:
			now.limited = append(now.limited, Accepted{m.Place, clone(&m.Event)})
		}
	}
	switch {
	case b.Unread:
		now = add(roster.Recreated.String(), b.End.Place)
		now.unread = true
	case b.End.Place > s.fed:
		now = add(b.Missing.String(), b.End.Place)
	}
	if now != nil {
		now.end = b.End
	}
	s.fed = max(s.fed, b.End.Place)
	return list
}

// at returns the position of a message before the end of its batch.
func at(end roster.Position, place uint64, receipt roster.Time) roster.Position {
	end.Place = place
	end.Proof.Sequence, end.Proof.Receipt, end.Proof.Hash = end.Sequence(), receipt, roster.Hash{}
	return end
}

// clone copies the strings of an event, which may point into a buffer.
func clone(e *roster.Event) roster.Event {
	c := *e
	c.Machine = strings.Clone(e.Machine)
	cloneSession(&c.Session)
	if e.Sessions != nil {
		c.Sessions = make([]roster.Session, len(e.Sessions))
		copy(c.Sessions, e.Sessions)
		for i := range c.Sessions {
			cloneSession(&c.Sessions[i])
		}
	}
	return c
}

func cloneSession(s *roster.Session) {
	s.User, s.ID = strings.Clone(s.User), strings.Clone(s.ID)
	s.Terminal, s.Remote, s.Service = strings.Clone(s.Terminal), strings.Clone(s.Remote), strings.Clone(s.Service)
}
