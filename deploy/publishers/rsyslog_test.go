package publishers

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/deploy/internal/program"
)

// rsyslog is a running rsyslogd with our configuration.
type rsyslog struct {
	*program.Process
	t      *testing.T
	folder string
}

// startRsyslog starts an rsyslogd that accepts only messages written by this user, instead
// of root.
func startRsyslog(t *testing.T, url string, trusted int) *rsyslog {
	t.Helper()
	rsyslogd := need(t, "rsyslogd", "rsyslog")
	need(t, "logger", "bsdutils")
	folder := install(t, []string{"rsyslog/60-rollcall.conf", "rsyslog/rollcall-forward", "pam/publisher.env"},
		append(settings(t, url), "$!uid == 0", fmt.Sprintf("$!uid == %d", trusted), `resumeInterval="5"`, `resumeInterval="1"`)...)
	main := strings.NewReplacer("FOLDER", folder, "MACHINE", machine).Replace(`
global(workDirectory="FOLDER" localHostname="MACHINE")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="FOLDER/log" Annotate="on" ParseTrusted="on")
include(file="FOLDER/60-rollcall.conf")
action(type="omfile" file="FOLDER/all")
`)
	if err := os.WriteFile(filepath.Join(folder, "main.conf"), []byte(main), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &rsyslog{program.Start(t, nil, rsyslogd, "-n", "-f", filepath.Join(folder, "main.conf"), "-i", filepath.Join(folder, "pid")), t, folder}
	program.Eventually(t, "rsyslogd listens", func() bool {
		c, err := net.Dial("unixgram", filepath.Join(folder, "log"))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return r
}

// log writes a line to the log in the name of a program.
func (r *rsyslog) log(name, line string) {
	r.t.Helper()
	run(r.t, nil, "logger", "--socket", filepath.Join(r.folder, "log"), "--tag", name, "--id=612", "-p", "auth.info", line)
}

// logged waits until rsyslogd has processed a line, and all lines before it.
func (r *rsyslog) logged(line string) {
	r.t.Helper()
	program.Eventually(r.t, "rsyslogd has processed "+line, func() bool {
		all, err := os.ReadFile(filepath.Join(r.folder, "all"))
		return err == nil && strings.Contains(string(all), line)
	})
}

func TestRsyslog(t *testing.T) {
	s := serve(t)
	r := startRsyslog(t, s.NATS, os.Getuid())
	for _, line := range []string{
		"New session 7 of user lane.",
		"New session c8 of user a.",
		`New session 9 of user ACME\o"brien.`,
		"New session '10' of user 'chris' with class 'user' and type 'tty'.",
		"New session '11' of user 'nobody' with class 'manager' and type 'unspecified'.",
		"Session 7 logged out. Waiting for processes to exit.",
		"Removed session 7.",
		"Watching system buttons on /dev/input/event0 (Power Button)",
	} {
		r.log("systemd-logind", line)
	}
	r.log("sshd", "New session 12 of user mallory.")
	s.await(machine + `: ACME\o"brien, a, chris` + "\n")
	has(t, s.ask("who", machine), "c8", "logind")
	s.accepted("5")
}

// TestRsyslogForged: a message that another user has written as systemd-logind is ignored.
func TestRsyslogForged(t *testing.T) {
	s := serve(t)
	r := startRsyslog(t, s.NATS, os.Getuid()+1)
	r.log("systemd-logind", "New session 7 of user mallory.")
	r.log("systemd-logind", "the last line")
	r.logged("the last line")
	r.Stop() // waits for events in flight
	s.await("")
	s.accepted("0")
}

// TestRsyslogWithoutNATS: events are queued while NATS is down.
func TestRsyslogWithoutNATS(t *testing.T) {
	address := freeAddress(t)
	r := startRsyslog(t, "nats://"+address, os.Getuid())
	r.log("systemd-logind", "New session 7 of user lane.")
	r.log("systemd-logind", "New session 8 of user chris.")
	r.logged("session 8")
	s := serve(t, "ROLLCALL_EMBEDDED_ADDR="+address)
	s.await(machine + ": chris, lane\n")
	s.accepted("2")
}

// freeAddress returns an unused address.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
