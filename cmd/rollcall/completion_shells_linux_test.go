package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rollcall/internal/test/kit"
)

// hostileNames are names of machines that a shell would run, expand or divide. Each begins
// with another letter, by which it is completed.
var hostileNames = []string{
	"A$(touch pwned)", "B`touch pwned`", "C c", "D'd", `E\e`, `F"f`, "G;touch pwned", "H&touch pwned", "I*",
	"J|touch pwned", "K$HOME", "L!!", "M#m", "N{a,b}", "O<pwned", "P>pwned", "Q=q", "R日本 語", "S@s:s", "T~", "U?", "V(v)", "W\\ w", "X  x",
}

// TestCompletionInShells: names are completed in bash, zsh and fish, as one word, whatever
// they contain, and none is run.
func TestCompletionInShells(t *testing.T) {
	p := serve(t, t.TempDir())
	for i, name := range hostileNames {
		if got := p.tool("", "publish", "--login", "user", "--machine", name); got.code != exitDone {
			t.Fatalf("%q: %+v", name, got)
		}
		p.reaches(i + 1)
	}
	if got := p.tool("", "publish", "--login", "user", "--machine=--server=nats://127.0.0.1:1"); got.code != exitDone {
		t.Fatalf("%+v", got)
	}
	p.reaches(len(hostileNames) + 1)
	if got := p.tool("", "complete", "--", "who", "-"); strings.Contains(got.out, "127.0.0.1") {
		t.Errorf("a name that is read as a flag is completed: %s", got.out)
	}
	for shell, start := range map[string][]string{
		"bash": {"bash", "--norc", "--noprofile", "-i"},
		"zsh":  {"zsh", "-f", "-i"},
		"fish": {"fish", "--no-config", "-i"},
	} {
		t.Run(shell, func(t *testing.T) {
			if _, err := exec.LookPath(shell); err != nil {
				if os.Getenv("CI") != "" {
					t.Fatal(err)
				}
				t.Skip(err)
			}
			s := startShell(t, p, start)
			s.press(map[string]string{
				"bash": "source <(rollcall completion bash)",
				"zsh":  "autoload -U compinit; compinit -D; source <(rollcall completion zsh)",
				"fish": "rollcall completion fish | source",
			}[shell] + "; echo >ready\n")
			ready := filepath.Join(s.dir, "ready")
			kit.Eventually(t, func() bool { _, err := os.Stat(ready); return err == nil }, "the shell is ready")
			if err := os.Remove(ready); err != nil {
				t.Fatal(err)
			}
			for i, name := range hostileNames {
				s.complete(i, name)
			}
			if files, err := os.ReadDir(s.dir); err != nil || len(files) != len(hostileNames) {
				t.Errorf("%v: %v: a name was run", files, err)
			}
		})
	}
}

// shell is an interactive shell on a terminal. What it is told to write is in dir.
type shell struct {
	t      *testing.T
	master *os.File
	output kit.Output
	dir    string
}

func startShell(t *testing.T, p *process, command []string) *shell {
	t.Helper()
	master, slave := openTerminal(t, 200)
	s := &shell{t: t, master: master, dir: t.TempDir()}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = s.dir
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	cmd.Env = kit.Only(
		"NATS_URL="+p.nats, "TERM=dumb", "HOME="+t.TempDir(), "LANG=C.UTF-8",
		"PATH="+binary+string(os.PathListSeparator)+os.Getenv("PATH"),
	)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(&s.output, master) // until the shell has ended
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = slave.Close()
		<-ended
		_ = master.Close()
	})
	return s
}

// press presses keys.
func (s *shell) press(keys string) {
	s.t.Helper()
	if _, err := s.master.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

// complete types the first letter of a name, completes it, and has the shell write what it
// takes the completed word for. On a busy machine the service may need longer than 300 ms:
// then nothing is completed, and it is tried again.
func (s *shell) complete(i int, name string) {
	s.t.Helper()
	got := ""
	for range 20 {
		file := filepath.Join(s.dir, fmt.Sprint(i))
		shown := len(s.output.String())
		typed := fmt.Sprintf("rollcall who %c", name[0])
		s.press(typed + "\t")
		s.await(func() bool { return len(s.output.String()) > shown+len(typed)+1 })
		s.press(fmt.Sprintf(" -o tsv --fields machine >%d; echo >%d.done\n", i, i))
		done := file + ".done"
		kit.Eventually(s.t, func() bool { _, err := os.Stat(done); return err == nil }, "the shell runs the command")
		b, err := os.ReadFile(file)
		if err != nil {
			s.t.Fatal(err)
		}
		_ = os.Remove(done)
		if got = strings.TrimSuffix(string(b), "\n"); got == name {
			return
		}
	}
	out := s.output.String()
	s.t.Errorf("%q: the shell asks for %q: %s", name, got, out[max(0, len(out)-500):])
}

// await waits until a condition is true, for two seconds at most.
func (s *shell) await(condition func() bool) {
	for end := time.Now().Add(2 * time.Second); !condition() && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
}
