package agent

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"rollcall/internal/agent/journal"
	"rollcall/internal/agent/logind"
	"rollcall/internal/roster"
	"rollcall/internal/wire"
)

// The message ids of logind's records.
const (
	sessionStarted = "8d45620c1a4348dbb17410da57c60c66"
	sessionRemoved = "3354939424b4456d9802ca8333ed424a"
)

// messagesSuppressed is the message id of the journal's records that it left out records of
// a unit that wrote too many: see systemd's catalog, and RateLimitBurst in man journald.conf.
const messagesSuppressed = "a596d6fe7bfa4994828e72309e95d61e"

// isSuppression reports whether the journal tells that it left out records of logind.
func isSuppression(r *journal.Record) bool {
	return r.MessageID == messagesSuppressed && strings.Contains(r.Message, "systemd-logind")
}

// machine is what the rules ask of the machine. Its methods are those of logind.Conn, and
// what the journal says of the process that a session began with.
type machine interface {
	List(ctx context.Context) ([]logind.Session, error)
	Session(ctx context.Context, id string) (logind.Session, error)
	UnitOf(ctx context.Context, pid uint32) string
	OfLeader(ctx context.Context, boot string, pid int, show func(journal.Record)) error
	UIDOf(ctx context.Context, user string) (uid int, known bool)
}

// held is a session that began and has not ended.
type held struct {
	user   string
	leader int
	person bool // of somebody who is on
}

// sessions has the sessions of logind. The journal tells that something happened, and in
// which order; logind, what: it forgets a session as soon as that has ended.
type sessions struct {
	machine machine
	boot    string          // the present one: the machine can be asked of no other
	held    map[string]held // by id
	// unknown counts sessions that were gone before anybody could say of which class they
	// were: they count as a person's.
	unknown atomic.Int64
}

// told returns the event that a record of logind tells of, without date and machine; false:
// of none.
func (s *sessions) told(ctx context.Context, r *journal.Record) (e roster.Event, ok bool, err error) {
	if r.Session == "" {
		return e, false, nil
	}
	was, isHeld := s.held[r.Session]
	isHeld = isHeld && was.user == r.User && (was.leader == r.Leader || r.Leader == 0)
	switch {
	case r.MessageID == sessionStarted:
		// A logind that was started again tells again of those that go on.
		if isHeld {
			return e, false, nil
		}
		return s.begin(ctx, r)
	//guard:false "the end of a session ends no other of the same id" ^TestSessions$
	case !isHeld: // its id was used again, or nobody told that it began
	case r.MessageID == sessionRemoved:
		delete(s.held, r.Session)
		return logout(r), was.person, nil
	case r.MessageID == "" && r.Leader != 0 && was.person:
		over, err := s.isOver(ctx, r)
		if !over || err != nil {
			return e, false, err
		}
		was.person = false
		s.held[r.Session] = was
		return logout(r), true, nil
	}
	return e, false, nil
}

func logout(r *journal.Record) roster.Event {
	return roster.Event{Type: roster.Logout, Session: roster.Session{User: r.User, ID: r.Session}}
}

// isOver reports whether a session that logind told of has no user any more: processes may
// be left in it.
func (s *sessions) isOver(ctx context.Context, r *journal.Record) (bool, error) {
	switch is, err := s.ask(ctx, r); {
	case errors.Is(err, logind.ErrGone):
		return true, nil
	case err != nil:
		return false, err
	default:
		return is.State == logind.Closing, nil
	}
}

// ask returns the session that a record tells of. The error is ErrGone, too, if logind has
// another one of that id: ids are used again, after a boot most of all.
func (s *sessions) ask(ctx context.Context, r *journal.Record) (is logind.Session, err error) {
	//guard:false "a session of an earlier boot is not taken for one of today's" ^TestSessions$
	if r.Boot != s.boot {
		return is, logind.ErrGone
	}
	is, err = s.machine.Session(ctx, r.Session)
	if err == nil && (is.User != r.User || int(is.Leader) != r.Leader) {
		return is, logind.ErrGone
	}
	return is, err
}

// begin returns the login of a session that began, if it is a person's.
func (s *sessions) begin(ctx context.Context, r *journal.Record) (e roster.Event, person bool, err error) {
	e = roster.Event{Type: roster.Login, Session: roster.Session{User: r.User, ID: r.Session}}
	is, err := s.ask(ctx, r)
	switch {
	case err == nil:
		person = isPerson(is.Class)
		e.Session = sessionOf(&is)
		e.Session.Since = 0
	case errors.Is(err, logind.ErrGone):
		if person, err = s.wasPerson(ctx, r, &e.Session); err != nil {
			return e, false, err
		}
	default:
		return e, false, err
	}
	s.held[r.Session] = held{r.User, r.Leader, person}
	return e, person, nil
}

// isPerson reports whether sessions of a class are those of persons. The classes of systemd
// 256 (user-incomplete) and of 258 (the light ones) are taken from its documentation,
// org.freedesktop.login1(5) and pam_systemd(8); 252 and 257 were run.
func isPerson(class string) bool {
	switch class {
	case "user", "user-early", "user-incomplete", "user-light", "user-early-light":
		return true
	}
	return false
}

func sessionOf(s *logind.Session) roster.Session {
	return roster.Session{
		User: s.User, ID: s.ID, Since: roster.TimeOf(s.Since),
		Terminal: acceptable(s.TTY), Remote: acceptable(s.Remote), Service: acceptable(s.Service),
	}
}

// acceptable returns a detail, or nothing if the service would refuse the event because of
// it: whoever names the host that a login comes from could hide it otherwise.
func acceptable(detail string) string {
	if wire.NameProblem(detail) != "" {
		return ""
	}
	return detail
}

// The system's own accounts have these numbers (man systemd-sysusers).
const firstSystem, lastSystem = 1, 999

// wasPerson reports whether a session that is gone was a person's, as far as can be known,
// and sets what is known of where it came from.
func (s *sessions) wasPerson(ctx context.Context, r *journal.Record, d *roster.Session) (bool, error) {
	if r.Class != "" {
		return isPerson(r.Class), nil
	}
	if r.Boot == s.boot && isManager(s.machine.UnitOf(ctx, uint32(r.Leader))) {
		return false, nil
	}
	manager, logged := false, false
	err := s.machine.OfLeader(ctx, r.Boot, r.Leader, func(w journal.Record) {
		manager = manager || isManager(w.Unit)
		if service, remote, ok := loginOf(&w); ok {
			logged = true
			d.Service, d.Remote = service, cmp.Or(remote, d.Remote)
		}
	})
	if err != nil || manager {
		return false, err
	}
	uid, known := s.machine.UIDOf(ctx, r.User)
	if known && firstSystem <= uid && uid <= lastSystem && !logged {
		return false, nil
	}
	if !logged {
		s.unknown.Add(1)
	}
	return true, nil
}

// isManager reports whether a unit is that of a user's service manager.
func isManager(unit string) bool {
	return strings.HasPrefix(unit, "user@") && strings.HasSuffix(unit, ".service")
}

// loginOf returns through what, and from where, a user logged in by a record that the
// session's leader wrote.
func loginOf(r *journal.Record) (service, remote string, ok bool) {
	if r.UID != 0 {
		return "", "", false
	}
	switch r.Program {
	case "login":
		return "login", "", true
	case "sshd", "sshd-session":
		// Accepted publickey for lane from 10.0.0.7 port 50022 ssh2: ED25519 SHA256:…
		words := strings.Fields(r.Message)
		if i := slices.Index(words, "from"); len(words) > 0 && words[0] == "Accepted" && i > 0 && i+1 < len(words) {
			remote = words[i+1]
		}
		return "sshd", remote, true
	}
	return "", "", false
}

// list replaces what is held by what logind has, and returns the sessions of those who are
// on.
func (s *sessions) list(all []logind.Session) []roster.Session {
	before := s.held
	s.held = map[string]held{}
	on := map[string]roster.Session{}
	for i := range all {
		is := &all[i]
		was, isHeld := before[is.ID]
		begun := isHeld && was.user == is.User && was.leader == int(is.Leader)
		// It is over, but the record that it began is still to be read: that tells of it.
		//guard:false "a session that was short while a list was made is told of" TestEndedWhileListed
		if is.State == logind.Closing && !begun {
			continue
		}
		person := isPerson(is.Class) && is.State != logind.Closing
		s.held[is.ID] = held{is.User, int(is.Leader), person}
		//guard:true "a name that the service refuses hides nobody else" TestListed
		if person && wire.NameProblem(is.User) == "" {
			on[is.ID] = sessionOf(is)
		}
	}
	return slices.SortedFunc(maps.Values(on), func(a, b roster.Session) int {
		return strings.Compare(a.ID, b.ID)
	})
}
