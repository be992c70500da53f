package spool

import (
	"cmp"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"rollcall/internal/test/kit"
)

// The environment of the test binary when it is the process to be killed.
const (
	childDir     = "SPOOL_TEST_DIR"
	childMachine = "SPOOL_TEST_MACHINE"
	childMax     = "SPOOL_TEST_MAX"
)

// TestKilledAtEachStep kills a process with SIGKILL at each failpoint, the first time it
// gets there or later, and then the next process on the same folder. They append, read
// and ack, and say so. Nothing is lost, changed or missing, and no number is given again.
func TestKilledAtEachStep(t *testing.T) {
	if dir := os.Getenv(childDir); dir != "" {
		beKilled(t, dir)
		return
	}
	t.Parallel()
	binary := buildMortal(t)
	for _, name := range failpoints(t) {
		if name == "spool-emptied" {
			continue // only in another machine's folder
		}
		t.Run(name, func(t *testing.T) {
			for range kit.Length(3, 40) {
				killRepeatedly(t, binary, name)
			}
		})
	}
	t.Run("first", func(t *testing.T) { killAtFirst(t, binary) })
}

// killAtFirst kills a process at each failpoint while it begins in a new folder, or in
// that of another machine. The next process begins anew.
func killAtFirst(t *testing.T, binary string) {
	for _, at := range []string{
		"spool-emptied:1", "spool-temp-written:1", "spool-temp-written:2", "spool-temp-synced:1", "spool-temp-synced:2", "spool-renamed:1", "spool-renamed:2",
	} {
		for _, copied := range []bool{true, false} {
			dir, origin := t.TempDir(), ""
			if copied {
				s := mustOpen(t, dir, small(t))
				add(t, s, 20)
				s.Close()
				origin = s.Origin()
			} else if at == "spool-emptied:1" {
				continue
			}
			kill(t, binary, dir, at, childMachine+"=m2")
			c := small(t)
			c.MachineID = "m2"
			s := mustOpen(t, dir, c)
			if s.Next() != 1 || s.Origin() == origin || len(s.State()) > 0 || s.Stats() != (Stats{}) {
				t.Errorf("killed at %s: next %d, origin %s, state %q, %+v", at, s.Next(), s.Origin(), s.State(), s.Stats())
			}
			s.Close()
		}
	}
}

// buildMortal builds this test with failpoints.
func buildMortal(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "mortal.test")
	out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-tags=failpoints", "-o", binary, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// failpoints returns the names of all failpoints in this package.
func failpoints(t *testing.T) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "grep", "-hoE", `failpoint\.At\("[a-z-]+"`, "-r", ".", "--include=*.go", "--exclude=*_test.go").Output()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for call := range strings.Lines(string(out)) {
		names = append(names, strings.Split(call, `"`)[1])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// kill runs a process until it is killed at a failpoint, and returns what it said.
func kill(t *testing.T, binary, dir, at string, variables ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, "-test.run=^TestKilledAtEachStep$")
	cmd.Env = append(os.Environ(), append(variables, childDir+"="+dir, "FAULT_DIE_AT="+at)...)
	out, _ := cmd.Output()
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGKILL {
		t.Fatalf("at %s it ended with %v, want SIGKILL\n%s", at, cmd.ProcessState, out)
	}
	return string(out)
}

// killRepeatedly kills three processes, one after the other, at a failpoint.
func killRepeatedly(t *testing.T, binary, name string) {
	dir, limit := t.TempDir(), "1000000"
	if name == "spool-dropped" {
		limit = "2000"
	}
	s := mustOpen(t, dir, small(t))
	add(t, s, 5)
	s.Close()
	said := map[string]uint64{"appended": 5}
	for round := range 3 {
		at := fmt.Sprintf("%s:%d", name, 1+rand.IntN(12))
		if name == "spool-cut" { // once in a process
			at = name
		}
		for line := range strings.Lines(kill(t, binary, dir, at, childMax+"="+limit)) {
			var what string
			var number uint64
			if n, _ := fmt.Sscanf(line, "%s %d", &what, &number); n == 2 {
				said[what] = max(said[what], number)
			}
		}
		what := fmt.Sprintf("round %d at %s", round, at)
		checkKilled(t, dir, s.Origin(), what, said, name == "spool-dropped")
	}
}

// checkKilled checks that a folder has what processes said before they were killed. Where
// it was too small, the oldest may be gone.
func checkKilled(t *testing.T, dir, origin, what string, said map[string]uint64, dropped bool) {
	t.Helper()
	s, err := Open(dir, small(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.crash()
	next, stats := s.Next(), s.Stats()
	if s.Origin() != origin || next <= said["appended"] || next <= said["read"] || next > said["appended"]+1+maxList {
		t.Errorf("%s: next is %d of %s, said were %v", what, next, s.Origin(), said)
	}
	if string(s.State()) != string(record(next-1).State) {
		t.Errorf("%s: state %q, next %d", what, s.State(), next)
	}
	got := numbers(t, s.Reader())
	if len(got) == 0 || !dropped && (got[0] > said["acked"]+1 || stats.Dropped > 0) {
		t.Fatalf("%s: read %d, said were %v, %+v", what, got, said, stats)
	}
	want(t, got, upTo(got[0], next-1))
	said["appended"] = next - 1
}

// maxList is how many records a process appends at once.
const maxList = 4

// beKilled appends, reads and acks all but the last until it is killed, unless there is
// a limit to be reached.
func beKilled(t *testing.T, dir string) {
	c := Config{MachineID: cmp.Or(os.Getenv(childMachine), "m1"), Log: slog.New(slog.DiscardHandler), segmentSize: 300}
	c.Max, _ = strconv.ParseInt(cmp.Or(os.Getenv(childMax), "1000000"), 10, 64)
	s := mustOpen(t, dir, c)
	r := s.Reader()
	for range 500 {
		var list []Record
		for n := range 1 + rand.Uint64N(maxList) {
			list = append(list, record(s.Next()+n))
		}
		if err := s.Append(list...); err != nil {
			t.Fatal(err)
		}
		fmt.Println("appended", s.Next()-1)
		for _, got := range drain(t, r) {
			fmt.Println("read", got.Number)
			if number := got.Number - 1; c.Max > 2000 && rand.IntN(3) == 0 {
				fmt.Println("acked", number) // before: it may be on the disk when Ack is killed
				ack(t, s, number)
			}
		}
	}
}
