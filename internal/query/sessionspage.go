package query

import (
	"bytes"

	"github.com/go-json-experiment/json"

	"rollcall/internal/api"
	"rollcall/internal/report"
)

// sessionsPage collects as many sessions as fit in a message, machine by machine.
type sessionsPage struct {
	room     int // in bytes
	limit    int // how many sessions it may have
	sessions int
	machines []byte // in JSON, with commas between
	last     string // the last machine added
	full     bool
	next     cursor // if it is full
}

// newSessionsPage returns an empty page of an answer that has no machines yet.
func newSessionsPage(maxPayload int64, q *sessionsRequest, a *api.SessionsAnswer) (*sessionsPage, error) {
	head, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	room, err := report.PageCapacity(maxPayload, len(head)+len(`"cursor":"",`)+maxCursor)
	return &sessionsPage{room: room, limit: q.limit()}, err
}

// stopAfter ends the page after a machine.
func (p *sessionsPage) stopAfter(machine string) { p.full, p.next = true, cursor{first: machine} }

// add adds a machine with those of its sessions that fit, or leaves it to the next page.
// It returns false once the page is full.
func (p *sessionsPage) add(m *api.MachineSessions) (going bool, err error) {
	b, n, err := appendSessions(m, p.room, p.limit-p.sessions)
	if err != nil {
		return false, err
	}
	whole := n == len(m.Sessions)
	//guard:drop p.room "sessions fit in a message" TestManySessionsInPages
	if p.last != "" && (len(b) > p.room || !whole && p.sessions+n < p.limit || p.sessions == p.limit) {
		p.stopAfter(p.last)
		return false, nil
	}
	p.machines = append(p.machines, b...)
	p.room -= len(b)
	p.sessions += n
	p.last = m.Name
	if !whole {
		last := &m.Sessions[n-1]
		p.full, p.next = true, cursor{m.Name, last.User, last.ID}
	}
	return whole, nil
}

// appendSessions returns a machine in JSON, followed by a comma, with as many of its
// sessions as fit in room bytes, but at least one and at most so many; and how many.
func appendSessions(m *api.MachineSessions, room, most int) (b []byte, n int, err error) {
	empty := *m
	empty.Sessions = []api.Session{}
	if b, err = json.Marshal(&empty); err != nil {
		return nil, 0, err
	}
	b = bytes.TrimSuffix(b, []byte(endOfList))
	//guard:set min(...) len(m.Sessions) "an answer has no more sessions than asked for" TestSessions$
	for ; n < min(most, len(m.Sessions)); n++ {
		session, err := json.Marshal(&m.Sessions[n])
		if err != nil {
			return nil, 0, err
		}
		if n > 0 && len(b)+len(session)+len(endOfList)+len(",,") > room {
			break
		}
		if n > 0 {
			b = append(b, ',')
		}
		b = append(b, session...)
	}
	return append(b, endOfList+","...), n, nil
}

// encode returns the answer with the machines of the page.
func (p *sessionsPage) encode(a *api.SessionsAnswer) ([]byte, error) {
	b, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	b = append(bytes.TrimSuffix(b, []byte(endOfList)), bytes.TrimSuffix(p.machines, []byte(","))...)
	return append(b, endOfList...), nil
}
