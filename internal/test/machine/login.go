//go:build linux

package machine

import (
	"bufio"
	"crypto/ed25519"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// door is what a client needs to log in by ssh: the key of all users, and the machine's.
type door struct {
	user ssh.Signer
	host ssh.PublicKey
}

// sshd is the configuration of sshd. It does not refuse any of many clients that connect
// at once.
const sshd = `
HostKey /etc/ssh/machine_key
AuthorizedKeysFile /etc/ssh/machine_users
PasswordAuthentication no
UsePAM yes
Subsystem sftp internal-sftp
MaxStartups 1000
`

// AddUsers creates users, who then can log in. The first call starts the machine's sshd,
// which later boots start by themselves. Without sshd on the host the test is skipped.
func (m *Machine) AddUsers(names ...string) {
	m.t.Helper()
	if m.door == nil {
		m.openDoor()
	}
	m.Run(append([]string{"bash", "-euc", `for name; do useradd --create-home --shell /bin/bash "$name"; done`, "useradd"}, names...)...)
}

// Trust lets root of another machine, to which this one is connected, log in as every user,
// by the ssh and scp of that machine.
func (m *Machine) Trust(other *Machine) {
	m.t.Helper()
	if m.door == nil {
		m.openDoor()
	}
	const key = "/root/.ssh/id_ed25519"
	other.Run("bash", "-euc", `[ -e "$0" ] || { install -d -m 700 /root/.ssh; ssh-keygen -q -t ed25519 -N "" -f "$0"; }`, key)
	m.Run("bash", "-euc", `printf %s "$0" >>/etc/ssh/machine_users`, other.Run("cat", key+".pub"))
	host := m.name + " " + string(ssh.MarshalAuthorizedKey(m.door.host))
	other.Run("bash", "-euc", `printf %s "$0" >>/root/.ssh/known_hosts`, host)
}

// openDoor starts sshd.
func (m *Machine) openDoor() {
	m.t.Helper()
	requireSSH(m.t)
	user, _ := newKey(m.t)
	host, encoded := newKey(m.t)
	m.Write("/etc/ssh/machine_key", 0o600, encoded)
	m.Write("/etc/ssh/machine_users", 0o644, ssh.MarshalAuthorizedKey(user.PublicKey()))
	m.Write("/etc/ssh/sshd_config", 0o644, []byte(sshd))
	m.Run("systemctl", "add-wants", "multi-user.target", "ssh.service")
	m.Run("systemctl", "start", "ssh.service")
	m.door = &door{user, host.PublicKey()}
}

// newKey returns a new key, and its private key in the encoding of ssh.
func newKey(t testing.TB) (ssh.Signer, []byte) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	return signer, pem.EncodeToMemory(block)
}

// Login is a session of ssh.
type Login struct {
	// ID is logind's name of the session. It is empty if logind has none.
	ID string

	client *ssh.Client
}

// Login logs a user in by ssh without a terminal, and returns when the session is on.
// The command runs in the user's shell, and the session ends with it. An empty command
// lasts until End.
func (m *Machine) Login(user, command string) *Login {
	m.t.Helper()
	return m.mustLogin(user, command, false)
}

// LoginTerminal is Login with a terminal.
func (m *Machine) LoginTerminal(user, command string) *Login {
	m.t.Helper()
	return m.mustLogin(user, command, true)
}

func (m *Machine) mustLogin(user, command string, terminal bool) *Login {
	m.t.Helper()
	l, err := m.TryLogin(user, command, terminal)
	if err != nil {
		m.t.Fatalf("logging %s in to %s: %v", user, m.name, err)
	}
	m.t.Cleanup(l.End)
	return l
}

// TryLogin is Login or LoginTerminal, and may be called from any goroutine. The caller
// must end the session.
func (m *Machine) TryLogin(user, command string, terminal bool) (*Login, error) {
	const address = "127.0.0.1:22"
	conn, err := m.Dial(address)
	if err != nil {
		return nil, err
	}
	l, err := m.login(conn, user, command, terminal)
	if err != nil {
		conn.Close()
	}
	return l, err
}

func (m *Machine) login(conn net.Conn, user, command string, terminal bool) (*Login, error) {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	c, channels, requests, err := ssh.NewClientConn(conn, "", &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(m.door.user)}, HostKeyCallback: ssh.FixedHostKey(m.door.host),
	})
	if err != nil {
		return nil, err
	}
	l := &Login{client: ssh.NewClient(c, channels, requests)}
	if l.ID, err = l.run(command, terminal); err != nil {
		return nil, err
	}
	return l, conn.SetDeadline(time.Time{})
}

// run runs a command in a session and returns the session's ID.
func (l *Login) run(command string, terminal bool) (id string, err error) {
	session, err := l.client.NewSession()
	if err != nil {
		return "", err
	}
	if terminal {
		if err := session.RequestPty("xterm", 24, 80, ssh.TerminalModes{}); err != nil {
			return "", err
		}
	}
	if command == "" {
		command = "cat"
	}
	if _, err := session.StdinPipe(); err != nil { // which is open until the end
		return "", err
	}
	stdout, err := session.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := session.Start(`echo "$XDG_SESSION_ID"; ` + command); err != nil {
		return "", err
	}
	output := bufio.NewReader(stdout)
	if id, err = output.ReadString('\n'); err != nil {
		return "", fmt.Errorf("reading the session's ID: %w", err)
	}
	go func() { _, _ = io.Copy(io.Discard, output) }()
	go func() {
		_ = session.Wait()
		l.End()
	}()
	return strings.TrimSpace(id), nil
}

// End ends the connection, and with it the session. Processes that the user left behind
// go on. It may be called again.
func (l *Login) End() { l.client.Close() }
