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
	p := parts{splitter: s, from: b}
	for i := range b.Messages {
		if m := &b.Messages[i]; m.Place > s.fed {
			p.add(m, st)
		}
	}
	switch {
	case b.Unread:
		p.begin(roster.Recreated.String(), b.End.Place)
		p.now.unread = true
	case b.End.Place > s.fed:
		p.begin(b.Missing.String(), b.End.Place)
	}
	if p.now != nil {
		p.now.end = b.End
	}
	s.fed = max(s.fed, b.End.Place)
	return p.list
}

// parts collects the batches into which one batch of the fold is split.
type parts struct {
	*splitter
	from *roster.Batch
	list []*batch
	now  *batch // the last one; nil: none yet
}

// begin begins a batch, after a loss of the places up to one, if lost is not empty.
func (p *parts) begin(lost string, through uint64) {
	p.now = &batch{settings: p.settings, end: p.from.End, lost: lost, lostTo: through, again: p.again}
	p.list = append(p.list, p.now)
}

// add adds a message.
func (p *parts) add(m *roster.Message, st *roster.Status) {
	switch {
	case m.Place > p.fed+1:
		p.begin(p.from.Missing.String(), m.Place-1)
	case p.now == nil:
		p.begin("", 0)
	}
	p.fed = m.Place
	now := p.now
	now.end = at(p.from.End, m.Place, m.Receipt)
	if now.first == 0 {
		now.first = m.Receipt
	}
	now.receipt = max(now.receipt, m.Receipt)
	p.addEvent(now, m, st)
	//guard:false "what a source has lost may be missing in the history" TestSourceLoss
	if why := lostBy(m); why != "" {
		p.begin(why, m.Place)
		p.now.end = now.end
	}
}

// lostBy returns the loss of its source that a message shows, or "". The history takes it as
// one of the stream: which machines are of which source, only the roster knows.
func lostBy(m *roster.Message) string {
	switch {
	case m.Recreated:
		return roster.SourceRecreated.String()
	case m.Missing > 0:
		return roster.SourceGap.String()
	}
	return ""
}

// addEvent adds what a message tells of a machine.
func (p *parts) addEvent(now *batch, m *roster.Message, st *roster.Status) {
	switch {
	case m.Marker:
	case m.Refusal == nil:
		now.events = append(now.events, Accepted{m.Place, clone(&m.Event)})
	case m.Refusal.Reason == roster.Limit && st.Losses[roster.LossLimit] >= m.Place:
		p.begin(roster.LossLimit.String(), m.Place)
		p.now.end = now.end
	//guard:false "a machine of which an event was refused because of a limit is incomplete" TestHistory
	case m.Refusal.Reason == roster.Limit:
		now.limited = append(now.limited, Accepted{m.Place, clone(&m.Event)})
	}
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
