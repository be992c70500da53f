package publishers

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pam installs the hook as in rollcall.pam, in a temporary folder instead of /etc/pam.d,
// and returns a function that runs pamtester.
func pam(t *testing.T, url string) func(args ...string) {
	t.Helper()
	pamtester := need(t, "pamtester", "pamtester")
	wrappers, _ := filepath.Glob("/usr/lib/*/libpam_wrapper.so")
	if len(wrappers) == 0 {
		t.Fatal("libpam_wrapper.so is missing: apt-get install libpam-wrapper")
	}
	folder := install(t, []string{"event.awk", "pam/rollcall-session", "pam/publisher.env", "pam/rollcall.pam"}, settings(t, url)...)
	stack := "auth required pam_permit.so\naccount required pam_permit.so\nsession required pam_permit.so\n" +
		read(t, filepath.Join(folder, "rollcall.pam"))
	if err := os.WriteFile(filepath.Join(folder, "sshd"), []byte(stack), 0o644); err != nil {
		t.Fatal(err)
	}
	variables := []string{"LD_PRELOAD=" + wrappers[0], "PAM_WRAPPER=1", "PAM_WRAPPER_SERVICE_DIR=" + folder}
	return func(args ...string) {
		t.Helper()
		run(t, variables, pamtester, args...)
	}
}

func TestPAM(t *testing.T) {
	s := serve(t)
	pam := pam(t, s.NATS)

	// Sessions have logind's names, and end separately.
	pam("-EXDG_SESSION_ID=c7", "-Irhost=10.0.0.7", "-Itty=/dev/pts/3", "sshd", "lane", "open_session")
	pam("-EXDG_SESSION_ID=c8", "-Itty=ssh", "sshd", "lane", "open_session")
	s.await(machine + ": lane\n")
	has(t, s.ask("who", machine), "c7", "c8", "pts/3", "10.0.0.7", "sshd")
	pam("-EXDG_SESSION_ID=c7", "sshd", "lane", "close_session")
	s.await(machine + ": lane\n")
	if who := s.ask("who", machine); strings.Contains(who, "c7") || strings.Contains(who, "ssh ") {
		t.Errorf("c7 has not ended, or ssh is shown as a terminal:\n%s", who)
	}
	pam("-EXDG_SESSION_ID=c8", "sshd", "lane", "close_session")
	s.await("")

	// Without logind, the session is named after the process that opens and closes it.
	pam("sshd", "chris", "open_session", "close_session")
	s.await("")
	has(t, s.ask("history", "--user", "chris", "--output", "json"), "sshd-")
	s.accepted("6")
}

// TestPAMNames: names cannot inject JSON keys, shell commands or templates.
func TestPAMNames(t *testing.T) {
	s := serve(t)
	pam := pam(t, s.NATS)
	const user = `ACME\o"brien","type":"boot {{ID}} $(reboot) 'é`
	pam("-Irhost=a\\\"b\x01", "sshd", "lane", "open_session") // refused: a control character
	pam("-EXDG_SESSION_ID=1", `-Irhost=a\"b`, "sshd", user, "open_session")
	s.await(machine + ": " + user + "\n")
	has(t, s.ask("deadletters"), "bad_name", "remote")
}

// TestPAMWithoutNATS: a login neither fails nor hangs if the server accepts the connection
// but does not answer.
func TestPAMWithoutNATS(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	pam := pam(t, "nats://"+silent.Addr().String())
	start := time.Now()
	pam("sshd", "lane", "open_session")
	if took := time.Since(start); took > 8*time.Second {
		t.Errorf("a login took %v", took)
	}
}

// TestBoot: a boot ends the sessions before it, but not those since, although it is
// published later; a shutdown ends all.
func TestBoot(t *testing.T) {
	s := serve(t, "ROLLCALL_ALLOWED_LATENESS=876000h") // however long this machine is up
	pam := pam(t, s.NATS)
	folder := install(t, []string{"event.awk", "pam/rollcall-session", "pam/publisher.env"}, settings(t, s.NATS)[2:]...)
	hook := func(what string) {
		run(t, nil, filepath.Join(folder, "rollcall-session"), filepath.Join(folder, "publisher.env"), what)
	}
	s.ask("publish", "--login", "lane", "--machine", machine, "--date", "2020-01-21T18:53:21Z")
	pam("sshd", "chris", "open_session")
	s.await(machine + ": chris, lane\n")
	hook("boot")
	s.await(machine + ": chris\n")
	hook("shutdown")
	s.await("")
	s.accepted("4")
}
