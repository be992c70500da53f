package web_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"rollcall/internal/test/kit"
)

// binary has the tool, built once for all tests that need it.
var binary struct {
	once sync.Once
	dir  string
	err  error
}

// toolPath returns the path of the tool.
func toolPath(t testing.TB) string {
	t.Helper()
	binary.once.Do(func() {
		if binary.dir, binary.err = os.MkdirTemp("", "rollcall"); binary.err != nil {
			return
		}
		var out []byte
		if out, binary.err = exec.Command("go", "build", "-o", filepath.Join(binary.dir, "rollcall"), "../../cmd/rollcall").CombinedOutput(); binary.err != nil {
			binary.err = &buildError{binary.err, out}
		}
	})
	if binary.err != nil {
		t.Fatal(binary.err)
	}
	return filepath.Join(binary.dir, "rollcall")
}

type buildError struct {
	err error
	out []byte
}

func (e *buildError) Error() string { return e.err.Error() + "\n" + string(e.out) }

func removeBinary(code int) {
	if binary.dir != "" {
		os.RemoveAll(binary.dir)
	}
	os.Exit(code)
}

// tool runs the tool against a world, and returns what it prints and its exit code.
func (w *world) tool(args ...string) (out, err string, code int) {
	w.t.Helper()
	return w.execute(exec.Command(toolPath(w.t), args...))
}

// shell runs a command line in which rollcall is the tool.
func (w *world) shell(line string) (out, err string, code int) {
	w.t.Helper()
	toolPath(w.t)
	return w.execute(exec.Command("sh", "-c", line))
}

func (w *world) execute(cmd *exec.Cmd) (out, err string, code int) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = kit.Only("NATS_URL="+w.server.URL, "ROLLCALL_SUBJECT="+w.subjects.Base(), "PATH="+binary.dir+":"+os.Getenv("PATH"))
	cmd.Run() //nolint:errcheck // its exit code is looked at
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}
