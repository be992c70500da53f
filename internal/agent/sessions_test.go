package agent

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"rollcall/internal/agent/journal"
	"rollcall/internal/agent/logind"
	"rollcall/internal/roster"
)

// recorded is what a machine said of itself, as recorded on systemd 252.
type recorded struct {
	sessions map[string]logind.Session
	units    map[uint32]string        // by process
	written  map[int][]journal.Record // by process
	accounts map[string]int
}

func (m *recorded) List(context.Context) ([]logind.Session, error) {
	return slices.Collect(maps.Values(m.sessions)), nil
}

func (m *recorded) Session(_ context.Context, id string) (logind.Session, error) {
	s, ok := m.sessions[id]
	if !ok {
		return s, logind.ErrGone
	}
	return s, nil
}

func (m *recorded) UnitOf(_ context.Context, pid uint32) string { return m.units[pid] }

func (m *recorded) OfLeader(_ context.Context, _ string, pid int, show func(journal.Record)) error {
	for _, r := range m.written[pid] {
		show(r)
	}
	return nil
}

func (m *recorded) UIDOf(_ context.Context, name string) (int, bool) {
	uid, ok := m.accounts[name]
	return uid, ok
}

func started(id, user string, leader int) journal.Record {
	return journal.Record{MessageID: sessionStarted, Session: id, User: user, Leader: leader, Message: fmt.Sprintf("New session %s of user %s.", id, user)}
}

func loggedOut(id, user string, leader int) journal.Record {
	return journal.Record{Session: id, User: user, Leader: leader, Message: fmt.Sprintf("Session %s logged out. Waiting for processes to exit.", id)}
}

func removed(id, user string, leader int) journal.Record {
	return journal.Record{MessageID: sessionRemoved, Session: id, User: user, Leader: leader, Message: fmt.Sprintf("Removed session %s.", id)}
}

// earlier returns a record as of an earlier boot.
func earlier(r journal.Record) journal.Record {
	r.Boot = "an earlier one"
	return r
}

// step is a record, what logind says of its session by then, and what it tells of.
type step struct {
	record journal.Record
	logind *logind.Session // nil: it has no such session
	want   string
}

// TestSessions: what is told is who a person would say is on.
func TestSessions(t *testing.T) {
	of := func(id, user string, leader int, class, state string) *logind.Session {
		return &logind.Session{ID: id, User: user, Leader: uint32(leader), Class: class, State: state, Remote: "10.0.0.7", Service: "sshd", Since: time.Unix(1, 0)}
	}
	accepted := journal.Record{UID: 0, Program: "sshd", Unit: "ssh.service", Message: "Accepted publickey for lane from 10.0.0.9 port 50022 ssh2: ED25519 SHA256:x"}
	opened := journal.Record{UID: 0, Program: "sshd", Unit: "ssh.service", Message: "pam_unix(sshd:session): session opened for user lane(uid=1001) by (uid=0)"}
	for name, c := range map[string]struct {
		machine recorded
		steps   []step
		unknown int64
	}{
		"a login and a logout": {steps: []step{
			{started("1", "lane", 70), of("1", "lane", 70, "user", "active"), "login lane 1 10.0.0.7 sshd"},
			{loggedOut("1", "lane", 70), of("1", "lane", 70, "user", "closing"), "logout lane 1"},
			{removed("1", "lane", 70), nil, ""},
		}},
		"processes are left behind": {steps: []step{
			{started("1", "lane", 70), of("1", "lane", 70, "user", "active"), "login lane 1 10.0.0.7 sshd"},
			{loggedOut("1", "lane", 70), of("1", "lane", 70, "user", "closing"), "logout lane 1"},
		}},
		"its processes are killed": {steps: []step{
			{started("1", "lane", 70), of("1", "lane", 70, "user", "active"), "login lane 1 10.0.0.7 sshd"},
			{removed("1", "lane", 70), nil, "logout lane 1"},
		}},
		"gone before it could be asked about": {
			machine: recorded{written: map[int][]journal.Record{70: {accepted, opened}}},
			steps: []step{
				{started("1", "lane", 70), nil, "login lane 1 10.0.0.9 sshd"},
				{loggedOut("1", "lane", 70), nil, "logout lane 1"},
				{removed("1", "lane", 70), nil, ""},
			},
		},
		"gone, and nothing tells what it was": {
			machine: recorded{accounts: map[string]int{"lane": 1001}},
			steps:   []step{{started("1", "lane", 70), nil, "login lane 1"}},
			unknown: 1,
		},
		"gone, of a system account": {
			machine: recorded{accounts: map[string]int{"www-data": 33}},
			steps:   []step{{started("1", "www-data", 70), nil, ""}},
		},
		"gone, of a system account that logged in": {
			machine: recorded{accounts: map[string]int{"git": 101}, written: map[int][]journal.Record{70: {accepted}}},
			steps:   []step{{started("1", "git", 70), nil, "login git 1 10.0.0.9 sshd"}},
		},
		"gone, the manager of a user": {
			machine: recorded{written: map[int][]journal.Record{70: {{Unit: "user@1001.service", UID: 1001}}}},
			steps:   []step{{started("1", "lane", 70), nil, ""}, {removed("1", "lane", 70), nil, ""}},
		},
		"the manager of a user, whose process goes on": {
			machine: recorded{units: map[uint32]string{70: "user@1001.service"}},
			steps:   []step{{started("1", "lane", 70), nil, ""}},
		},
		"a greeter":        {steps: []step{{started("c1", "gdm", 70), of("c1", "gdm", 70, "greeter", "active"), ""}, {removed("c1", "gdm", 70), nil, ""}}},
		"a manager":        {steps: []step{{started("2", "lane", 71), of("2", "lane", 71, "manager", "active"), ""}}},
		"a background job": {steps: []step{{started("3", "lane", 71), of("3", "lane", 71, "background", "online"), ""}}},
		"not complete yet": {steps: []step{{started("3", "lane", 71), of("3", "lane", 71, "user-incomplete", "online"), "login lane 3 10.0.0.7 sshd"}}},
		"logind starts again with somebody on": {steps: []step{
			{started("1", "lane", 70), of("1", "lane", 70, "user", "active"), "login lane 1 10.0.0.7 sshd"},
			{started("1", "lane", 70), of("1", "lane", 70, "user", "active"), ""},
			{loggedOut("1", "lane", 70), of("1", "lane", 70, "user", "closing"), "logout lane 1"},
		}},
		"an id is used again": {steps: []step{
			{started("c1", "lane", 70), of("c1", "lane", 70, "user", "active"), "login lane c1 10.0.0.7 sshd"},
			{removed("c1", "lane", 70), nil, "logout lane c1"},
			{started("c1", "chris", 90), of("c1", "chris", 90, "user", "active"), "login chris c1 10.0.0.7 sshd"},
			{loggedOut("c1", "lane", 70), of("c1", "chris", 90, "user", "active"), ""},
			{loggedOut("c1", "chris", 90), of("c1", "chris", 90, "user", "closing"), "logout chris c1"},
		}},
		"an id was used again before its end was told": {steps: []step{
			{started("c1", "chris", 90), of("c1", "chris", 90, "user", "active"), "login chris c1 10.0.0.7 sshd"},
			{removed("c1", "lane", 70), of("c1", "chris", 90, "user", "active"), ""},
			{removed("c1", "chris", 90), nil, "logout chris c1"},
		}},
		"of an earlier boot, with the id, the user and the process of one of today's": {
			machine: recorded{units: map[uint32]string{70: "user@1001.service"}, written: map[int][]journal.Record{70: {accepted}}},
			steps: []step{
				{earlier(started("1", "lane", 70)), of("1", "lane", 70, "greeter", "active"), "login lane 1 10.0.0.9 sshd"},
				{earlier(loggedOut("1", "lane", 70)), of("1", "lane", 70, "greeter", "active"), "logout lane 1"},
			},
		},
		"told late, when its id is another's": {steps: []step{
			{started("c1", "lane", 70), of("c1", "chris", 90, "greeter", "active"), "login lane c1"},
			{loggedOut("c1", "lane", 70), of("c1", "chris", 90, "greeter", "active"), "logout lane c1"},
		}, unknown: 1},
		"told of while the session goes on": {steps: []step{
			{started("1", "lane", 70), of("1", "lane", 70, "user", "active"), "login lane 1 10.0.0.7 sshd"},
			{loggedOut("1", "lane", 70), of("1", "lane", 70, "user", "active"), ""},
		}},
		"other records": {steps: []step{
			{journal.Record{Message: "Watching system buttons on /dev/input/event0"}, nil, ""},
			{removed("9", "lane", 70), nil, ""},
			{loggedOut("9", "lane", 70), nil, ""},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m := c.machine
			s := sessions{machine: &m, held: map[string]held{}}
			for i, step := range c.steps {
				m.sessions = map[string]logind.Session{}
				if step.logind != nil {
					m.sessions[step.logind.ID] = *step.logind
				}
				e, ok, err := s.told(t.Context(), &step.record)
				got := ""
				if ok {
					got = text(&e)
				}
				if err != nil || got != step.want {
					t.Errorf("step %d: %q, %v; want %q", i, got, err, step.want)
				}
			}
			if got := s.unknown.Load(); got != c.unknown {
				t.Errorf("%d of an unknown class, want %d", got, c.unknown)
			}
		})
	}
}

func text(e *roster.Event) string {
	text := e.Type.String() + " " + e.Session.User + " " + e.Session.ID
	for _, detail := range []string{e.Session.Remote, e.Session.Service} {
		if detail != "" {
			text += " " + detail
		}
	}
	return text
}

// TestEndedWhileListed: a session that was over when the list was made, and whose records are still to
// be read, is told of; one that was told of is not told of again.
func TestEndedWhileListed(t *testing.T) {
	in := func(id string, leader uint32, state string) logind.Session {
		return logind.Session{ID: id, User: "lane", Leader: leader, Class: "user", State: state}
	}
	m := recorded{sessions: map[string]logind.Session{"1": in("1", 70, "closing"), "2": in("2", 80, "active"), "3": in("3", 90, "active")}}
	s := sessions{machine: &m, held: map[string]held{}}
	tell := func(r journal.Record, want string) {
		t.Helper()
		e, ok, err := s.told(t.Context(), &r)
		if got := text(&e); err != nil || ok != (want != "") || ok && got != want {
			t.Errorf("%s: %q, %v, %v; want %q", r.Message, got, ok, err, want)
		}
	}
	tell(started("3", "lane", 90), "login lane 3")
	m.sessions["3"] = in("3", 90, "closing")
	if on := s.list([]logind.Session{m.sessions["1"], m.sessions["2"], m.sessions["3"]}); len(on) != 1 || on[0].ID != "2" {
		t.Errorf("on are %+v", on)
	}
	tell(started("1", "lane", 70), "login lane 1")
	tell(loggedOut("1", "lane", 70), "logout lane 1")
	tell(started("2", "lane", 80), "")
	tell(loggedOut("3", "lane", 90), "")
	tell(started("3", "lane", 90), "") // logind was started again
}
