package agent

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	testmachine "rollcall/internal/test/machine"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// installed is a machine with the agent as deploy/systemd has it, and the stream of a server
// that it publishes to.
type installed struct {
	*testmachine.Machine
	t  *testing.T
	js jetstream.JetStream
}

// boot boots a machine whose agent is not started yet, and starts a server with a stream.
func boot(t *testing.T) *installed {
	m := &installed{Machine: testmachine.Boot(t, "web1"), t: t}
	server := kit.StartServer(t)
	m.js = kit.JetStream(t, kit.Conn(t, server.URL))
	kit.CreateStream(t, m.js, jetstream.StreamConfig{Name: rollcallv1.DefaultEventsStream, Subjects: []string{"rollcall.events.>"}, AllowDirect: true})
	m.install(server.URL)
	return m
}

// built builds a program and returns its path.
func built(t *testing.T, of string) (path string) {
	path = filepath.Join(t.TempDir(), filepath.Base(of))
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, of)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=") // as it is released
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", of, err, out)
	}
	return path
}

// install installs the agent, for a server on the host.
func (m *installed) install(server string) {
	t := m.t
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	m.Forward(u.Host)
	m.Write("/etc/rollcall-agent/agent.env", 0o640, []byte("NATS_URL="+server+"\n"))
	m.Copy(built(t, "rollcall/cmd/rollcall-agent"), "/usr/bin/rollcall-agent")
	for file, to := range map[string]string{"rollcall-agent.service": "/etc/systemd/system", "rollcall-agent.conf": "/usr/lib/sysusers.d"} {
		content, err := os.ReadFile(filepath.Join("../../deploy/systemd", file))
		if err != nil {
			t.Fatal(err)
		}
		m.Write(filepath.Join(to, file), 0o644, content)
	}
	m.Run("systemd-sysusers")
	m.Run("chgrp", "-R", "rollcall-agent", "/etc/rollcall-agent")
	m.Run("systemctl", "daemon-reload")
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := m.Try("journalctl", "--no-pager", "-n", "150")
			t.Logf("journal:\n%s", log)
		}
	})
}

// on returns who is on: "ada c1".
func (m *installed) on() (on []string) {
	fold(events(m.t, m.js)).Machine("web1", func(v roster.View) {
		for _, s := range v.AppendSessions(nil) {
			on = append(on, s.User+" "+s.ID)
		}
	})
	return on
}

// wantOn waits until exactly these are on.
func (m *installed) wantOn(what string, want ...string) {
	m.t.Helper()
	slices.Sort(want)
	var got []string
	defer func() {
		if m.t.Failed() {
			m.t.Logf("on are %q, want %q", got, want)
		}
	}()
	kit.Eventually(m.t, func() bool {
		got = m.on()
		return slices.Equal(got, want)
	}, what)
}

func as(user string, l *testmachine.Login) string { return user + " " + l.ID }

// wantOnce checks that the beginning and the end of each of these sessions was told of once,
// by an event of its own or by a list of who is on; that no number is missing, and that no
// two dates are equal.
func (m *installed) wantOnce(ids []string) {
	m.t.Helper()
	told, began, ended := map[string]int{}, map[string]int{}, map[string]int{}
	on, dates := map[string]bool{}, map[roster.Time]uint64{}
	set := func(id string, now bool) {
		switch {
		case now && !on[id]:
			began[id]++
		case !now && on[id]:
			ended[id]++
		}
		on[id] = now
	}
	for _, message := range events(m.t, m.js) {
		e := &message.Event
		if other, is := dates[e.Date]; is && other != e.Number {
			m.t.Errorf("numbers %d and %d have the date %v", other, e.Number, e.Date)
		} else if is {
			continue // it was published again
		}
		dates[e.Date] = e.Number
		s := e.Session
		switch e.Type {
		case roster.Login, roster.Logout:
			told[e.Type.String()+" "+s.ID]++
			set(s.ID, e.Type == roster.Login)
		case roster.Present:
			listed := map[string]bool{}
			for _, s := range e.Sessions {
				listed[s.ID] = true
				set(s.ID, true)
			}
			for id := range on {
				set(id, listed[id])
			}
		}
		if e.Type == roster.Login && (s.User != "ada" || s.Service != "sshd" || s.Remote != "127.0.0.1") {
			m.t.Errorf("a login of %+v", s)
		}
	}
	for _, id := range ids {
		if began[id] != 1 || ended[id] != 1 || told["login "+id] > 1 || told["logout "+id] > 1 {
			m.t.Errorf("session %s: began %d times, ended %d times, %d logins, %d logouts", id, began[id], ended[id], told["login "+id], told["logout "+id])
		}
	}
	if st := fold(events(m.t, m.js)).Status(); st.Missing != 0 || st.Fates[roster.DeadLettered] != 0 {
		m.t.Errorf("%d missing, %d refused", st.Missing, st.Fates[roster.DeadLettered])
	}
}

// TestMachine: on a real machine, who is on is who a person would say is on, at each step.
func TestMachine(t *testing.T) {
	m := boot(t)
	m.AddUsers("ada", "bob")
	before := m.Login("ada", "")
	m.Run("systemctl", "start", "rollcall-agent")
	m.wantOn("who was on before the agent is on", as("ada", before))

	bob := m.LoginTerminal("bob", "")
	m.wantOn("a login with a terminal", as("ada", before), as("bob", bob))
	bob.End()
	m.wantOn("a logout", as("ada", before))

	left := m.Login("bob", "nohup sleep 1000 >/dev/null 2>&1 & sleep 1")
	left.End()
	m.wantOn("a process is left behind", as("ada", before))
	m.Run("loginctl", "enable-linger", "bob")
	m.Run("systemctl", "restart", "systemd-logind")
	second := m.Login("bob", "")
	m.wantOn("logind was restarted with somebody on", as("ada", before), as("bob", second))

	m.Run("bash", "-c", `echo '{"type":"login","user":"carol","session":"ftp-1","service":"vsftpd"}' | rollcall-agent tell`)
	m.Run("systemctl", "restart", "rollcall-agent")
	m.Run("systemctl", "kill", "-s", "KILL", "rollcall-agent")
	m.wantOn("a session told of, and the agent was restarted and killed", as("ada", before), as("bob", second), "carol ftp-1")

	if out, err := m.Try("runuser", "-u", "bob", "--", "bash", "-c", `printf 'SESSION_ID=99\nUSER_ID=mallory\nLEADER=1\nMESSAGE_ID=8d45620c1a4348dbb17410da57c60c66\nMESSAGE=New session 99 of user mallory.\nSYSLOG_IDENTIFIER=systemd-logind\n' | logger --journald; logger -t systemd-logind "New session 98 of user mallory."`); err != nil {
		t.Fatal(err, out)
	}
	m.Run("journalctl", "--sync")
	// Without audit in the kernel, logind may give the id of the session again.
	m.Run("systemctl", "stop", "session-"+left.ID+".scope")
	third := m.Login("bob", "") // what is told after it is told after the forgery
	m.wantOn("somebody else writes to the journal", as("ada", before), as("bob", second), as("bob", third), "carol ftp-1")

	m.PowerOff()
	if all := events(m.t, m.js); all[len(all)-1].Event.Type != roster.Shutdown {
		t.Errorf("the last event is %+v", all[len(all)-1].Event)
	}
	m.wantOn("the machine is off")
	m.Boot()
	m.Run("systemctl", "enable", "--now", "rollcall-agent")
	again := m.Login("ada", "")
	m.wantOn("it has booted again", as("ada", again))
	m.Cut()
	m.Boot()
	m.wantOn("it was cut from power, and has booted")
	if st := fold(events(m.t, m.js)).Status(); st.Missing != 0 {
		t.Errorf("%d events are missing", st.Missing)
	}
	m.wantNothingBefore()
}

// wantNothingBefore checks that with ROLLCALL_AGENT_SINCE=now an agent does not report logins
// from before its first start.
func (m *installed) wantNothingBefore() {
	m.Run("systemctl", "stop", "rollcall-agent")
	m.Run("rm", "-r", "/var/lib/rollcall-agent")
	m.Run("bash", "-c", "echo ROLLCALL_AGENT_SINCE=now >>/etc/rollcall-agent/agent.env")
	before := m.Login("ada", "")
	m.Login("bob", "").End()
	n := len(events(m.t, m.js))
	m.Run("systemctl", "start", "rollcall-agent")
	m.wantOn("who is on when an agent begins now", as("ada", before))
	after := m.Login("bob", "")
	m.wantOn("a login after that", as("ada", before), as("bob", after))
	for _, message := range events(m.t, m.js)[n:] {
		if e := &message.Event; e.Type == roster.Login && e.Session.ID != after.ID {
			m.t.Errorf("a login of %+v is told, which was before", e.Session)
		}
	}
}

// TestManyLogins: each of many logins at once is told of once, while the agent is killed.
func TestManyLogins(t *testing.T) {
	m := boot(t)
	m.AddUsers("ada")
	m.Run("systemctl", "start", "rollcall-agent")
	var mu sync.Mutex
	var ids []string
	var g sync.WaitGroup
	for range 10 {
		g.Go(func() {
			for range kit.Length(2, 20) {
				l, err := m.TryLogin("ada", "", false)
				if err != nil {
					t.Error(err)
					return
				}
				l.End()
				mu.Lock()
				ids = append(ids, l.ID)
				mu.Unlock()
			}
		})
	}
	ended := make(chan struct{})
	go func() { defer close(ended); g.Wait() }()
	for over := false; !over; {
		select {
		case <-ended:
			over = true
		case <-time.After(2 * time.Second):
			m.Run("systemctl", "kill", "-s", "KILL", "rollcall-agent")
		}
	}
	m.wantOn("all have logged out")
	m.awaitStored()
	if want := 10 * kit.Length(2, 20); len(ids) != want {
		t.Fatalf("%d logins, want %d", len(ids), want)
	}
	m.wantOnce(ids)
}
