package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/internal/agent/journal"
	"rollcall/internal/agent/logind"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// TestNotSpooled: what the service would refuse takes no number and no place in the spool,
// so it stands in nobody's way.
func TestNotSpooled(t *testing.T) {
	a := newTestAgent(t, t.TempDir())
	var log kit.Output
	a.Log = slog.New(slog.NewTextHandler(&log, nil))
	long := roster.Event{Type: roster.Present}
	for i := range 3000 {
		long.Sessions = append(long.Sessions, roster.Session{User: strings.Repeat("x", 100), ID: fmt.Sprint(i)})
	}
	for _, e := range []roster.Event{
		{Type: roster.Login, Session: roster.Session{User: "lane", ID: "1"}},
		{Type: roster.Login, Session: roster.Session{User: "la\u200bne", ID: "2"}},
		{Type: roster.Login, Session: roster.Session{User: strings.Repeat("x", 256), ID: "3"}},
		long,
		{Type: roster.Logout, Session: roster.Session{ID: "1"}},
	} {
		a.add(&e, time.Now())
		if err := a.flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	events := spooled(t, a)
	if len(events) != 2 || events[0].Number != 1 || events[1].Number != 2 || events[1].Type != roster.Logout {
		t.Errorf("spooled: %+v", events)
	}
	if !log.Has(`type=present why="payload: `) || log.Count("event left out") != 3 {
		t.Errorf("the log does not say what was left out:\n%s", &log)
	}
}

// TestNewOrigin: the numbers of a new origin begin with 1, so after the file with the
// numbers given is lost nothing counts as missing.
func TestNewOrigin(t *testing.T) {
	dir := t.TempDir()
	for _, damaged := range []string{"acked", "origin", "acked"} {
		a := newTestAgent(t, dir)
		for i := range 10 {
			a.add(&roster.Event{Type: roster.Login, Session: roster.Session{User: "lane", ID: fmt.Sprint(i)}}, time.Now())
		}
		err := a.flush(t.Context())
		if st := a.Status(); err != nil || st.Number != 10 {
			t.Errorf("%+v, %v", st, err)
		}
		r := roster.New(roster.DefaultSettings())
		events := spooled(t, a)
		kit.Feed(r, events...)
		if st := r.Status(); st.Missing != 0 || events[len(events)-1].Number != 10 {
			t.Errorf("%d events are missing of %d, the last is number %d", st.Missing, len(events), events[len(events)-1].Number)
		}
		if err := errors.Join(a.Spool.Close(), os.Remove(filepath.Join(dir, damaged))); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBurst: however much happens at once, such as when a full disk has space again, it is
// written, and soon.
func TestBurst(t *testing.T) {
	a := newTestAgent(t, t.TempDir())
	a.sessions = sessions{machine: &recorded{}, held: map[string]held{}}
	waiting := make(chan journal.Record, 1000)
	for i := range cap(waiting) {
		r := started(fmt.Sprint(i), strings.Repeat("u", 255), i+1)
		r.Time = time.Now()
		waiting <- r
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := a.records(ctx, <-waiting, waiting); err != nil || len(a.pending) > 0 || len(waiting) != cap(waiting)-flushAt {
		t.Errorf("%v, %d are not written, %d wait", err, len(a.pending), len(waiting))
	}
	for range 5000 {
		a.add(&roster.Event{Type: roster.Login, Session: roster.Session{User: strings.Repeat("u", 255), ID: "1"}}, time.Now())
	}
	if err := a.flush(ctx); err != nil || len(spooled(t, a)) != flushAt+5000 {
		t.Errorf("%v, %d are written", err, len(spooled(t, a)))
	}
}

// TestListed: each session is listed once, also if a local program told of one that logind
// has; a name or a detail that the service refuses keeps nobody else off the list.
func TestListed(t *testing.T) {
	a := newTestAgent(t, t.TempDir())
	m := &recorded{sessions: map[string]logind.Session{}}
	a.sessions.machine = m
	for _, s := range []logind.Session{
		{ID: "1", User: "lane", Class: "user", Remote: "host\u200b"},
		{ID: "2", User: "la\u200bne", Class: "user"},
		{ID: "3", User: "mary ann", Class: "user", TTY: "pts/0"},
		{ID: "4", User: "gdm", Class: "greeter"},
		{ID: "5", User: "chris", Class: "user", State: logind.Closing},
	} {
		s.Since = time.Now()
		m.sessions[s.ID] = s
	}
	for _, id := range []string{"1", "ftp-1"} {
		tellOf(t, a, &roster.Event{Type: roster.Login, Session: roster.Session{User: "carol", ID: id}})
	}
	if err := a.present(t.Context()); err != nil {
		t.Fatal(err)
	}
	events := spooled(t, a)
	var got []string
	for _, s := range events[len(events)-1].Sessions {
		got = append(got, strings.TrimSpace(s.User+" "+s.ID+" "+s.Terminal+s.Remote))
	}
	if want := []string{"lane 1", "mary ann 3 pts/0", "carol ftp-1"}; !slices.Equal(got, want) {
		t.Errorf("%v lists %q, want %q", events[len(events)-1].Type, got, want)
	}
}
