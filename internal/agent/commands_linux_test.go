package agent

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	"rollcall/internal/wire"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// TestCommands: on a real machine the commands end with the exit codes that scripts and
// units rely on, say what is wrong, and tell of nothing that is not so. The unit's sandbox
// is as narrow as is documented, and the agent goes on after D-Bus was killed.
func TestCommands(t *testing.T) {
	m := boot(t)
	m.AddUsers("ada", "bob")
	m.Run("systemctl", "start", "rollcall-agent")
	ada := m.Login("ada", "")
	m.wantOn("somebody is on", as("ada", ada))

	m.wantCodes()
	m.wantFirst(as("ada", ada))
	m.wantOn("nothing was told of by a command that failed", as("ada", ada))

	m.Run("bash", "-c", "echo 'session optional pam_exec.so quiet /usr/bin/rollcall-agent tell --pam' >>/etc/pam.d/runuser")
	m.Start("pam", "runuser", "-u", "bob", "--", "sleep", "infinity")
	m.wantOn("a session of PAM", as("ada", ada), "bob runuser-"+strings.TrimSpace(m.Run("systemctl", "show", "--property=MainPID", "--value", "pam")))
	kit.Eventually(t, func() bool { // before that, runuser would be killed without ending the session
		_, err := m.Try("bash", "-c", "grep -qx sleep /proc/[0-9]*/comm")
		return err == nil
	}, "the command of the session runs")
	m.Run("systemctl", "stop", "pam")
	m.wantOn("the session of PAM has ended", as("ada", ada))

	m.Run("systemctl", "kill", "--signal=KILL", "dbus")
	m.Run("systemctl", "restart", "systemd-logind") // by itself that of systemd 257 does not connect again
	m.wantOn("D-Bus was killed", as("ada", ada), as("bob", m.Login("bob", "")))
	m.Run("systemd-analyze", "security", "--threshold=15", "rollcall-agent")
}

// wantCodes runs commands that cannot succeed.
func (m *installed) wantCodes() {
	m.t.Helper()
	for _, c := range []struct {
		line string
		code int
		says string
	}{
		{`rollcall-agent stat`, 2, `"stat": no such command; see "rollcall-agent --help"`},
		{`rollcall-agent run --once more`, 2, "no such command"},
		{`ROLLCALL_AGENT_SINCE=ever ROLLCALL_AGENT_PRESENT=1s rollcall-agent run`, 78, "rollcall-agent: ROLLCALL_AGENT_SINCE: \"ever\" is unknown; use boot, now or all\n"},
		{`ROLLCALL_AGENT_SINCE=ever ROLLCALL_AGENT_PRESENT=1s rollcall-agent run`, 78, "rollcall-agent: ROLLCALL_AGENT_PRESENT: \"1s\" is out of range; use 1m to 24h\n"},
		{`ROLLCALL_AGENT_MACHIN=web1 rollcall-agent status`, 78, "did you mean ROLLCALL_AGENT_MACHINE?"},
		{`unshare --uts sh -c 'hostname localhost; rollcall-agent run --once'`, 78, "ROLLCALL_AGENT_MACHINE: not set, and the host name is localhost;"},
		{`unshare --mount sh -c 'mount -t tmpfs tmpfs /run; rollcall-agent run'`, 78, "it needs systemd"},
		{`ROLLCALL_AGENT_DIR=/tmp/agent ROLLCALL_AGENT_SOCKET=/tmp/socket rollcall-agent run`, 78, "NATS_URL: not set"},
		{`NATS_URL=nats://127.0.0.1:1 rollcall-agent run`, 78, "/var/lib/rollcall-agent belongs to the user"},
		{`NATS_URL=nats://127.0.0.1:1 runuser -u rollcall-agent rollcall-agent run`, 1, "another"},
		{`ROLLCALL_AGENT_SOCKET=/run/none rollcall-agent status`, 1, "is it running"},
		{`runuser -u ada rollcall-agent status`, 1, "are you root?"},
		{`echo '{"type":"login","user":"eve","session":"1"}' | runuser -u ada rollcall-agent tell`, 1, "are you root?"},
		{`printf '\n{"type":"login","user":"eve"}\n' | rollcall-agent tell`, 1, "line 2: session: missing"},
		{`head --bytes=1M /dev/zero | rollcall-agent tell`, 1, "longer than 64 KiB"},
		{`rollcall-agent tell --pam`, 1, "PAM_TYPE"},
		{`PAM_TYPE=auth PAM_USER=eve PAM_SERVICE=ftp rollcall-agent tell --pam`, 1, "want open_session or close_session"},
		{`PAM_TYPE=open_session PAM_USER=$'eve\xff' PAM_SERVICE=ftp rollcall-agent tell --pam`, 1, "UTF-8"},
		{`PAM_TYPE=open_session PAM_USER=$'eve","user":"ada\n' PAM_SERVICE=ftp rollcall-agent tell --pam`, 1, "user: "},
		{`PAM_TYPE=open_session PAM_USER= PAM_SERVICE=ftp rollcall-agent tell --pam`, 1, "user: missing"},
	} {
		out, err := m.Try("timeout", "60", "bash", "-c", c.line)
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != c.code || !strings.Contains(out, c.says) {
			m.t.Errorf("%s: %v, want %d, %q:\n%s", c.line, err, c.code, c.says, out)
		}
	}
}

// wantFirst checks what the agent would begin with: the boot, and who is on.
func (m *installed) wantFirst(on string) {
	m.t.Helper()
	subjects, err := rollcallv1.NewSubjects(rollcallv1.DefaultSubject)
	if err != nil {
		m.t.Fatal(err)
	}
	var events []roster.Event
	for line := range strings.Lines(m.Run("rollcall-agent", "run", "--once")) {
		var e roster.Event
		if refusal := wire.NewDecoder(subjects).Decode("", "", []byte(line), &e); refusal != nil {
			m.t.Fatal(line, refusal)
		}
		events = append(events, e)
	}
	if len(events) != 2 || events[0].Type != roster.Boot || events[1].Type != roster.Present || len(events[1].Sessions) != 1 {
		m.t.Fatalf("it would begin with %+v", events)
	}
	if s := events[1].Sessions[0]; s.User+" "+s.ID != on || s.Service != "sshd" {
		m.t.Errorf("it would list %+v, want %s", s, on)
	}
}
