package agent

import (
	"testing"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	testmachine "rollcall/internal/test/machine"
)

// rotate rotates the journal, and removes what it had about sessions.
func (m *installed) rotate() {
	m.t.Helper()
	kit.Eventually(m.t, func() bool {
		m.Run("journalctl", "--rotate", "--vacuum-time=1s")
		return len(m.Journal("_SYSTEMD_UNIT=systemd-logind.service")) == 0
	}, "the journal has nothing about sessions")
}

// ended waits until logind has a session no more, and the journal all that it said.
func (m *installed) ended(l *testmachine.Login) {
	m.t.Helper()
	kit.Eventually(m.t, func() bool { _, err := m.Try("loginctl", "show-session", l.ID); return err != nil }, "the session is gone")
	m.Run("journalctl", "--sync")
}

// TestJournal: what the journal leaves out or loses makes nobody on or off for long, and what
// it still has is told of once.
func TestJournal(t *testing.T) {
	t.Parallel()
	m := boot(t)
	m.AddUsers("ada", "bob")
	m.Write("/etc/systemd/system/systemd-logind.service.d/rate.conf", 0o644, []byte("[Service]\nLogRateLimitIntervalSec=10s\nLogRateLimitBurst=2\n"))
	m.Run("systemctl", "daemon-reload")
	m.Run("systemctl", "restart", "systemd-logind")
	m.Run("systemctl", "start", "rollcall-agent")
	for leftOut := false; !leftOut; {
		ada := m.Login("ada", "")
		for range 3 {
			m.ended(m.Login("bob", "true"))
		}
		ada.End()
		m.ended(ada)
		leftOut = len(m.Journal("MESSAGE_ID="+sessionRemoved, "SESSION_ID="+ada.ID)) == 0
	}
	on := m.Login("bob", "")
	// journald says so with the next record after these ten seconds.
	kit.Eventually(t, func() bool {
		m.ended(m.Login("bob", "true"))
		return len(m.Journal("MESSAGE_ID="+messagesSuppressed)) > 0
	}, "journald says that it has left out records")
	m.wantOn("the journal has left out logins and logouts", as("bob", on))
	m.Run("rm", "-r", "/etc/systemd/system/systemd-logind.service.d")
	m.Run("systemctl", "daemon-reload")
	m.Run("systemctl", "restart", "systemd-logind")

	m.rotate()
	ada := m.Login("ada", "")
	m.wantOn("the journal was rotated", as("ada", ada), as("bob", on))
	m.rotate()
	ada.End()
	m.wantOn("a session has ended whose beginning the journal has no more", as("bob", on))

	m.Run("systemctl", "stop", "rollcall-agent")
	second := m.Login("ada", "")
	on.End()
	m.rotate()
	brief := m.brief("bob")
	m.Run("systemctl", "start", "rollcall-agent")
	m.wantOn("the journal was rotated while the agent was away", as("ada", second))
	m.wantTold(brief)

	m.PowerOff()
	m.Boot()
	m.Run("rm", "-r", "/var/log/journal")
	m.Write("/etc/systemd/journald.conf.d/volatile.conf", 0o644, []byte("[Journal]\nStorage=volatile\n"))
	m.Run("systemctl", "restart", "systemd-journald")
	m.Run("systemctl", "start", "rollcall-agent")
	first := m.Login("ada", "")
	m.wantOn("the journal is in memory only", as("ada", first))
	m.PowerOff()
	m.Boot()
	brief = m.brief("bob")
	last := m.Login("ada", "")
	m.Run("systemctl", "start", "rollcall-agent")
	m.wantOn("the journal in memory has gone with its boot", as("ada", last))
	m.wantTold(brief)
}

// brief logs a user in and out, and returns the session's id once the journal has its end.
func (m *installed) brief(user string) (id string) {
	m.t.Helper()
	l := m.Login(user, "")
	l.End()
	kit.Eventually(m.t, func() bool { return len(m.Journal("MESSAGE_ID="+sessionRemoved, "SESSION_ID="+l.ID)) > 0 }, "the session has ended")
	return l.ID
}

// wantTold checks that the login and the logout of a session were told of, each once.
func (m *installed) wantTold(id string) {
	m.t.Helper()
	told := map[roster.Type]int{}
	for _, message := range events(m.t, m.js) {
		if e := &message.Event; e.Session.ID == id {
			told[e.Type]++
		}
	}
	if told[roster.Login] != 1 || told[roster.Logout] != 1 {
		m.t.Errorf("session %s was told of %v times", id, told)
	}
}
