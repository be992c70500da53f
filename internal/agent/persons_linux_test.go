package agent

import (
	"slices"
	"strings"
	"testing"

	"rollcall/internal/test/kit"
	testmachine "rollcall/internal/test/machine"
)

// runs waits until a user's process runs.
func (m *installed) runs(user, command string) {
	m.t.Helper()
	kit.Eventually(m.t, func() bool {
		_, err := m.Try("pgrep", "-u", user, "-f", command)
		return err == nil
	}, command+" of "+user+" runs")
}

// session waits until logind has a session of a user and a class, and returns its id.
func (m *installed) session(user, class string) (id string) {
	m.t.Helper()
	kit.Eventually(m.t, func() bool {
		for line := range strings.Lines(m.Run("loginctl", "list-sessions", "--no-legend")) {
			f := strings.Fields(line)
			is, _ := m.Try("loginctl", "show-session", f[0], "--property=Class", "--property=Name")
			if strings.Contains(is, "Class="+class+"\n") && strings.Contains(is, "Name="+user+"\n") {
				id = f[0]
				return true
			}
		}
		return false
	}, "a session of "+user+" of class "+class)
	return id
}

// TestPersons: of all that has sessions, and of all that looks like one, persons are on, each
// while a person would say so.
func TestPersons(t *testing.T) {
	t.Parallel()
	testmachine.Need(t, "tmux", "sudo", "cron")
	m := boot(t)
	m.AddUsers("ada", "bob")
	m.Run("systemctl", "start", "rollcall-agent")

	ada := m.LoginTerminal("ada", "tmux new-session -d; cat")
	m.runs("ada", "tmux new-session")
	m.wantOn("somebody who has started tmux is on", as("ada", ada))
	ada.End()
	m.wantOn("somebody who has left tmux behind is off")
	back := m.LoginTerminal("ada", "tmux attach; cat")
	m.runs("ada", "tmux attach")
	m.wantOn("who is back in tmux is on", as("ada", back))
	back.End()
	m.wantOn("and off again")

	admin := m.Login("root", "su - bob -c 'sleep 1001' & sudo -i -u bob sleep 1002 & cat")
	m.runs("bob", "sleep 1001")
	m.runs("bob", "sleep 1002")
	m.wantOn("su and sudo in a session are of who is in it", as("root", admin))
	m.Run("systemd-run", "--quiet", "--unit=outside", "su", "-", "bob", "-c", "sleep 1003")
	m.runs("bob", "^sleep 1003")
	m.session("bob", "background")
	m.Run("systemctl", "stop", "outside")
	m.Run("systemd-run", "--quiet", "--unit=terminal", "script", "-qc", "su - bob -c 'sleep 1007'", "/dev/null")
	terminal := "bob " + m.session("bob", "user")
	m.wantOn("su outside of a session is a person's on a terminal only", as("root", admin), terminal)
	m.Run("pkill", "-u", "bob", "-f", "^sleep 1007")
	m.wantOn("it ends", as("root", admin))

	m.Run("bash", "-c", `rm -rf /etc/crontab /etc/cron.*/* /var/spool/cron/crontabs/*; echo "@reboot sleep 1004" | crontab -u bob -`)
	m.Run("systemctl", "start", "cron")
	m.runs("bob", "sleep 1004")
	m.Run("bash", "-c", `echo "session required pam_systemd.so" >>/etc/pam.d/cron; rm /run/crond.reboot; echo "@reboot sleep 1006" | crontab -u bob -; systemctl restart cron`)
	m.runs("bob", "sleep 1006")
	m.session("bob", "background")

	for _, class := range []string{"greeter", "lock-screen", "background"} {
		m.opens(class)
		m.session("bob", class)
	}
	m.opens("user")
	user := "bob " + m.session("bob", "user")
	m.wantOn("of cron, a greeter and others nobody is on", as("root", admin), user)

	m.Run("loginctl", "enable-linger", "bob")
	m.runs("bob", "systemd --user")
	m.Run("bash", "-euc", `
		echo 'mary ann:x:1900:1900::/tmp:/bin/bash' >>/etc/passwd
		echo 'mary ann:x:1900:' >>/etc/group
		echo 'mary ann:*:19000:0:99999:7:::' >>/etc/shadow`)
	mary := m.Login("mary ann", "")
	m.wantOn("a user whose name has a space", as("root", admin), user, as("mary ann", mary))
	m.Run("loginctl", "terminate-session", mary.ID)
	admin.End()
	m.Run("systemctl", "stop", "opens-user")
	m.wantOn("a session is terminated, the others end")
	m.wantStays(as("ada", ada)+" logout", as("ada", back)+" logout", as("root", admin)+" logout", terminal+" logout", user+" logout", as("mary ann", mary)+" logout")
}

// opens opens a session of bob's of a class, for a unit that runs until it is stopped.
func (m *installed) opens(class string) {
	m.t.Helper()
	m.Write("/etc/pam.d/opens-"+class, 0o644, []byte("account required pam_permit.so\nsession required pam_systemd.so class="+class+"\n"))
	m.Run("systemd-run", "--quiet", "--unit=opens-"+class, "--uid=bob", "--property=PAMName=opens-"+class, "sleep", "1005")
}

// TestSessionAgain: session ids that are used again are of who has them now, whatever logind
// and the agent go through meanwhile.
func TestSessionAgain(t *testing.T) {
	t.Parallel()
	m := boot(t)
	m.AddUsers("ada", "bob")
	m.Run("sed", "-i", "/pam_loginuid/d", "/etc/pam.d/sshd")
	m.Run("systemctl", "start", "rollcall-agent")
	login := func(user, what string) *testmachine.Login {
		t.Helper()
		l := m.Login(user, "")
		if l.ID != "c1" {
			t.Fatalf("the session is %s", l.ID)
		}
		m.wantOn(what, user+" c1")
		return l
	}
	restart := func() {
		t.Helper()
		kit.Eventually(t, func() bool { return m.Run("loginctl", "list-sessions", "--no-legend") == "" }, "logind has no session")
		m.Run("systemctl", "restart", "systemd-logind")
	}
	ada := login("ada", "the first session")
	ada.End()
	m.wantOn("it has ended")
	restart()
	bob := login("bob", "its id is used again")
	m.Run("systemctl", "stop", "rollcall-agent")
	bob.End()
	restart()
	again, left := m.Login("ada", ""), m.Login("bob", "nohup sleep 1000 >/dev/null 2>&1 & cat")
	m.Run("systemctl", "start", "rollcall-agent")
	m.wantOn("it is used again while the agent is away", "ada c1", "bob c2")

	// logind is away while both end, and has no record of the first.
	m.Run("systemctl", "kill", "--kill-who=main", "--signal=STOP", "systemd-logind")
	again.End()
	left.End()
	m.Run("systemctl", "kill", "--kill-who=main", "--signal=KILL", "systemd-logind")
	m.wantOn("logind was killed while the sessions ended")
	m.runs("bob", "sleep 1000")
	var got []string
	for _, s := range m.stays() {
		got = append(got, s.Session.User+" "+s.Session.ID)
	}
	if want := []string{"ada c1", "bob c1", "ada c1", "bob c2"}; !slices.Equal(got, want) {
		t.Errorf("the stays are %q, want %q", got, want)
	}
}
