//go:build unix

package enroll

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// childDir is set for the process that is to be killed.
const childDir = "ENROLL_TEST_DIR"

// steps is what a process does in a folder: it makes it, enrolls two machines, renews one,
// revokes the other, and writes the accounts.
func steps(dir string, ca []byte) error {
	f, err := Init(dir, settings, ca)
	if err != nil {
		return fmt.Errorf("init: %w", err)
	}
	defer f.Close()
	for _, name := range []string{"web1", "web2", "web1"} {
		if _, err := f.Enroll(Machine, name, Options{}); err != nil {
			return err
		}
	}
	if _, err := f.Revoke(Machine, "web2"); err != nil {
		return err
	}
	return f.WriteAccounts()
}

// TestKilledAtEachWrite kills a process at each moment between two writes. The next one
// completes what it began, with the keys that anybody may have got already, and leaves nothing
// else behind.
func TestKilledAtEachWrite(t *testing.T) {
	if dir := os.Getenv(childDir); dir != "" {
		ca, err := os.ReadFile(dir + ".ca")
		if err == nil {
			err = steps(dir, ca)
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "mortal.test")
	if out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-tags=failpoints", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ca := certificate(t)
	for _, at := range []string{"replacement-written", "file-replaced", "enroll-keys", "enroll-recorded", "enroll-settings"} {
		n := 1
		for ; ; n++ {
			dir := filepath.Join(t.TempDir(), "enrolled")
			if err := os.WriteFile(dir+".ca", ca, 0o600); err != nil {
				t.Fatal(err)
			}
			if !kill(t, binary, dir, fmt.Sprintf("%s:%d", at, n)) {
				break
			}
			checkAfterKill(t, dir, ca, fmt.Sprintf("killed at %s:%d", at, n))
		}
		if n == 1 {
			t.Errorf("no process was killed at %s", at)
		}
	}
}

// kill runs a process until it is killed there; false if it came to its end.
func kill(t *testing.T, binary, dir, at string) bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, "-test.run=^TestKilledAtEachWrite$")
	cmd.Env = append(os.Environ(), childDir+"="+dir, "FAULT_DIE_AT="+at)
	out, err := cmd.CombinedOutput()
	if err == nil {
		return false
	}
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGKILL {
		t.Fatalf("at %s it ended with %v, want SIGKILL\n%s", at, cmd.ProcessState, out)
	}
	return true
}

// checkAfterKill checks a folder after the process in it was killed, and another has done the
// same.
func checkAfterKill(t *testing.T, dir string, ca []byte, what string) {
	t.Helper()
	operator, _ := os.ReadFile(filepath.Join(dir, settingsFile))
	accounts, _ := os.ReadFile(filepath.Join(dir, accountsFile))
	if err := steps(dir, ca); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	f, err := Open(dir)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer f.Close()
	if after, err := os.ReadFile(filepath.Join(dir, settingsFile)); err != nil || len(operator) > 0 && string(after) != string(operator) {
		t.Errorf("%s: other keys than before (%v)", what, err)
	}
	if len(accounts) > 0 && !strings.Contains(string(accounts), f.settings.Keys[system]) {
		t.Errorf("%s: the accounts that the server may have are of other keys", what)
	}
	known := f.entries[claims(t, filepath.Join(dir, "machines/web1/agent.creds")).Subject]
	if known.Name != "web1" || known.Revoked != nil {
		t.Errorf("%s: the register has %+v of the credentials of web1", what, known)
	}
	revoked := accountsOf(t, f)[machines].Revocations
	for _, e := range f.entries {
		if _, is := revoked[e.Key]; is != (e.Name == "web2") || is != (e.Revoked != nil) {
			t.Errorf("%s: revoked %v in the accounts: %+v", what, is, e)
		}
	}
	for name := range f.settings.Keys {
		pair, err := readKey(f.keys(), name, f.settings.Keys)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		pair.Wipe()
	}
	wantNothingElse(t, dir, what)
}

// wantNothingElse checks that there are the files of steps only.
func wantNothingElse(t *testing.T, dir, what string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		switch {
		case filepath.Dir(name) == keysFolder && filepath.Ext(name) == ".nk":
		case strings.Contains("|.|keys|machines|machines/web1|machines/web1/agent.creds|machines/web1/agent.env|machines/web1/ca.pem|"+
			"enroll.json|enrolled.jsonl|accounts.conf|operator.jwt|ca.pem|", "|"+name+"|"):
		default:
			t.Errorf("%s: there is %s", what, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
