package publishers

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/deploy/internal/program"
)

// telegraf builds Telegraf with only the plugins that the configuration uses; with all of
// them the build would take half an hour.
func telegraf(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	cmd := exec.Command("go", "install", "-tags=custom,inputs.tail,parsers.grok,outputs.nats,serializers.template",
		"github.com/influxdata/telegraf/cmd/telegraf@v1.37.2")
	cmd.Env = append(os.Environ(), "GOBIN="+folder)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building Telegraf: %v\n%s", err, out)
	}
	return filepath.Join(folder, "telegraf")
}

// TestTelegraf: the logins and logouts that are logged after the first start of Telegraf,
// also while it restarts, become events, and no other lines do.
func TestTelegraf(t *testing.T) {
	s := serve(t)
	folder := t.TempDir()
	log := filepath.Join(folder, "auth.log")
	write := func(lines string) {
		file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err == nil {
			_, err = file.WriteString(lines)
		}
		if err := errors.Join(err, file.Close()); err != nil {
			t.Fatal(err)
		}
	}
	binary := telegraf(t)
	start := func() *program.Process {
		return program.Start(t, []string{"ROLLCALL_AUTH_LOG=" + log, "ROLLCALL_TELEGRAF_STATE=" + filepath.Join(folder, "state"), "NATS_URL=" + s.NATS},
			binary, "--config", "telegraf/rollcall.conf", "--debug")
	}

	write("2026-11-22T20:59:58.250000+00:00 web1.example.com systemd-logind[612]: New session 1 of user before.\n")
	p := start()
	// Telegraf does not report when it starts to read; until then it skips this line.
	program.Eventually(t, "Telegraf reads the log", func() bool {
		write("2026-11-22T20:59:59.000000+00:00 web0.example.com systemd-logind[612]: New session 2 of user first.\n")
		return s.ask("report") == "web0.example.com: first\n"
	})
	p.Stop()
	write(`2026-11-22T21:00:00.250000+00:00 web1.example.com systemd-logind[612]: New session 7 of user lane.
2026-11-22T22:00:00.000001+01:00 web1.example.com systemd-logind[612]: New session 8 of user ACME\o"brien.
2026-11-22T21:00:01.000001+00:00 web2.example.com systemd-logind[9]: New session '10' of user 'chris' with class 'user' and type 'tty'.
2026-11-22T21:00:01.500000+00:00 web2.example.com systemd-logind[9]: New session '11' of user 'nobody' with class 'manager' and type 'unspecified'.
2026-11-22T21:00:02.000000+00:00 web1.example.com sshd[99]: New session 12 of user mallory.
2026-11-22T21:00:03.000000+00:00 web1.example.com systemd-logind[612]: Session 7 logged out. Waiting for processes to exit.
2026-11-22T21:00:04.000000+00:00 web1.example.com systemd-logind[612]: Removed session 7.
`)
	start()
	s.await("web0.example.com: first\nweb1.example.com: ACME\\o\"brien\nweb2.example.com: chris\n")
	has(t, s.ask("who", "web1.example.com", "--utc"), "2026-11-22 21:00:00Z", "logind", "8")
	if history := s.ask("history", "--output", "json"); strings.Count(history, `"how":`) != 4 {
		t.Errorf("want four sessions: %s", history)
	}
	if metrics := s.Get("/metrics"); !strings.Contains(metrics, nothingRefused) {
		t.Errorf("refused: %s", s.ask("deadletters"))
	}
}
