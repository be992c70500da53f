package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"rollcall/internal/datadir"
	"rollcall/internal/roster"
)

// told are the sessions that local programs told of, through the socket: those that logind
// does not see. They are listed in every present, until their logout or the next boot.
type told struct {
	path     string
	sessions map[string]toldSession // by id
}

// toldSession is a session as it stands in the file.
type toldSession struct {
	User     string      `json:"user"`
	Since    roster.Time `json:"since"`
	Terminal string      `json:"terminal,omitzero"`
	Remote   string      `json:"remote,omitzero"`
	Service  string      `json:"service,omitzero"`
}

// loadTold reads the file in the agent's folder.
func loadTold(dir string) (*told, error) {
	t := &told{filepath.Join(dir, "told.json"), map[string]toldSession{}}
	text, err := os.ReadFile(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &t.sessions)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the sessions told of: %w", err)
	}
	return t, nil
}

// save writes these sessions to the file; only if that succeeds do they replace the earlier
// ones.
func (t *told) save(sessions map[string]toldSession) error {
	text, err := json.Marshal(sessions, json.Deterministic(true))
	if err == nil {
		err = datadir.Replace(t.path, text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("writing the sessions told of: %w", err)
	}
	t.sessions = sessions
	return nil
}

// maxTold is how many sessions may be told of at a time: more would not fit in a present.
const maxTold = 1000

// apply changes the sessions by an event.
func (t *told) apply(e *roster.Event) error {
	s, next := &e.Session, maps.Clone(t.sessions)
	switch _, is := next[s.ID]; {
	case e.Type == roster.Logout:
		delete(next, s.ID)
	case len(next) == maxTold && !is:
		return fmt.Errorf("%d sessions were told of: tell of the logouts, too", maxTold)
	default:
		next[s.ID] = toldSession{s.User, e.Date, s.Terminal, s.Remote, s.Service}
	}
	return t.save(next)
}

// clear forgets all sessions, at a boot.
func (t *told) clear() error {
	if len(t.sessions) == 0 {
		return nil
	}
	return t.save(map[string]toldSession{})
}

// list returns the sessions in the order of their ids.
func (t *told) list() []roster.Session {
	var list []roster.Session
	for _, id := range slices.SortedFunc(maps.Keys(t.sessions), strings.Compare) {
		s := t.sessions[id]
		list = append(list, roster.Session{User: s.User, ID: id, Since: s.Since, Terminal: s.Terminal, Remote: s.Remote, Service: s.Service})
	}
	return list
}

// tell is an event that a local program told of, and where its answer goes.
type tell struct {
	event  roster.Event
	answer chan error
}

// tell makes the event that a local program told of. Once it is answered it is on disk.
func (a *Agent) tell(ctx context.Context, t tell) error {
	err := a.checkTold(&t.event)
	if err == nil {
		err = a.told.apply(&t.event)
	}
	if err != nil {
		t.answer <- err
		return nil
	}
	at := t.event.Date
	if at < a.dates.last.Add(-setBack) { // it is told late: the clock was not set back
		at = roster.TimeOf(a.clock.now())
	}
	back := a.add(&t.event, at.Time())
	err = a.flush(ctx)
	t.answer <- err
	if back && err == nil {
		return a.present(ctx)
	}
	return err
}

// checkTold refuses what no local program can tell of.
func (a *Agent) checkTold(e *roster.Event) error {
	switch {
	case e.Machine != "" && e.Machine != a.Machine:
		return fmt.Errorf("machine: this is %q: leave it out", a.Machine)
	case e.Type != roster.Login && e.Type != roster.Logout:
		return errors.New("type: login or logout: the agent itself tells of the machine")
	//guard:false "a program can tell of nothing that the service would refuse for its date" TestSocket
	case e.Date > roster.TimeOf(a.clock.now().Add(setBack)):
		return errors.New("date: in the future: leave it out, or set the clock")
	case e.Session.ID == "":
		return errors.New("session: missing: name the session, so that its logout can end it")
	}
	_, ofLogind := a.sessions.held[e.Session.ID]
	_, told := a.told.sessions[e.Session.ID]
	//guard:false "a program tells of no session of logind's" TestToldOfLogind
	if ofLogind && !told {
		return fmt.Errorf("session: logind has one of the id %q, of which the agent tells itself: use another id", e.Session.ID)
	}
	return nil
}
