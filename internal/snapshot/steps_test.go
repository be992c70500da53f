package snapshot

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"rollcall/internal/roster"
)

func openOnFaulty(t *testing.T, d *faulty, dir string) *Store {
	t.Helper()
	s, err := openOn(d, dir, "test", quiet(t), prometheus.NewPedanticRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// savingCalls are all calls of a Save that removes an older snapshot.
var savingCalls = []string{"look for folder", "list", "create", "write", "sync", "close", "rename", "open", "read", "remove"}

// TestEveryCallFails lets each system call of a Save fail, once before and once
// after it has taken effect, and then together with all that follow. The earlier
// snapshots are unchanged; every file with the name of a snapshot is valid; the
// failure is counted and reported; and when the disk works again, the next Save
// creates a new file and keeps the newest three.
func TestEveryCallFails(t *testing.T) {
	for name, fault := range map[string]faulty{
		"before":     {err: syscall.EIO},
		"after":      {err: syscall.ENOSPC, late: true},
		"from there": {err: syscall.EROFS, sticky: true},
	} {
		t.Run(name, func(t *testing.T) {
			var reached []string
			for k := 1; ; k++ {
				d := &faulty{err: fault.err, late: fault.late, sticky: fault.sticky}
				call, ok := failAt(t, d, k)
				if !ok {
					break
				}
				reached = append(reached, call)
			}
			for _, call := range savingCalls {
				if !slices.Contains(reached, call) {
					t.Errorf("%s never failed, only %v", call, reached)
				}
			}
		})
	}
}

// failAt saves with a fault at call k, and then without; it returns which call that
// was, or false if there is no such call.
func failAt(t *testing.T, d *faulty, k int) (call string, reached bool) {
	t.Helper()
	dir := t.TempDir()
	s := openOnFaulty(t, d, dir)
	r := roster.New(goldenSettings)
	saved(t, s, r, 3)
	before := contents(t, dir)
	advance(r)
	d.calls, d.at = nil, k
	_, err := s.Save(t.Context(), r)
	if len(d.calls) < k {
		return "", false
	}
	call = d.calls[k-1]
	what := fmt.Sprintf("call %d, %s", k, call)
	d.at = 0
	if err == nil {
		if !harmless(d.calls, k) {
			t.Errorf("%s: Save returned no error", what)
		}
		if got, _ := load(t, s); got.Status().Position != position(4) {
			t.Errorf("%s: Save returned no error, but did not save", what)
		}
	} else {
		checkFailed(t, s, d, what, err, before)
	}
	created := slices.Clone(d.created)
	advance(r)
	if _, err := s.Save(t.Context(), r); err != nil {
		t.Errorf("%s: saving again: %v", what, err)
	}
	checkRecovered(t, s, d, what, created, r)
	return call, true
}

// harmless reports whether a Save may succeed although call k failed: while it
// sweeps, which is its first list, and after it has verified the new snapshot,
// before its third list, which is for removing older ones.
func harmless(calls []string, k int) bool {
	var lists []int
	for i, call := range calls {
		if call == "list" {
			lists = append(lists, i+1)
		}
	}
	return len(lists) == 3 && (k == lists[0] || k >= lists[2]-1)
}

// contents returns the files of a folder.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[f.Name()] = string(data)
	}
	return all
}

func checkFailed(t *testing.T, s *Store, d *faulty, what string, err error, before map[string]string) {
	t.Helper()
	since, failing := s.Failing()
	if !errors.Is(err, d.err) || failing != err || since.IsZero() {
		t.Errorf("%s: saved %v, failing %v since %v", what, err, failing, since)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: an error of several lines: %q", what, err)
	}
	if got := testutil.ToFloat64(s.metrics.errors); got != 1 {
		t.Errorf("%s: %v errors counted", what, got)
	}
	now := contents(t, s.folder.dir)
	for name, data := range before {
		if now[name] != data {
			t.Errorf("%s: %s is not what it was", what, name)
		}
		delete(now, name)
	}
	for name, data := range now {
		if tempName.MatchString(name) {
			continue // nobody reads it
		}
		// A file may be left only if removing it failed too, or if renaming it
		// took effect but returned an error.
		if _, err := Inspect(strings.NewReader(data)); err != nil || !d.sticky && !strings.HasSuffix(what, "rename") {
			t.Errorf("%s: left %s (%v)", what, name, err)
		}
	}
}

func checkRecovered(t *testing.T, s *Store, d *faulty, what string, created []string, r *roster.Roster) {
	t.Helper()
	if _, failing := s.Failing(); failing != nil {
		t.Errorf("%s: still failing: %v", what, failing)
	}
	for i, name := range d.created {
		if slices.Contains(d.created[:i], name) {
			t.Errorf("%s: %s was made twice", what, name)
		}
	}
	if len(d.created) != len(created)+1 {
		t.Errorf("%s: made %d files more, want a new one", what, len(d.created)-len(created))
	}
	entries, err := s.folder.list()
	if all := contents(t, s.folder.dir); err != nil || len(entries) != keepCount || len(all) != keepCount {
		t.Errorf("%s: then the folder is %s", what, names(t, s.folder.dir))
	}
	if got, _ := load(t, s); got == nil || digest(got) != digest(r) {
		t.Errorf("%s: then another roster is loaded", what)
	}
}

// killed is the environment variable that makes the test binary the process to be
// killed: "CALL early DIR" or "CALL late DIR".
const killed = "SNAPSHOT_TEST_KILLED"

// TestKilledAtEveryCall kills a process with SIGKILL before and after each system
// call with which it opens a folder, loads the newest snapshot and saves another.
// The next process loads one of the two, and finds nothing else in the folder.
func TestKilledAtEveryCall(t *testing.T) {
	if order := os.Getenv(killed); order != "" {
		beKilled(t, order)
		return
	}
	loaded := make(map[uint64]int)
	for k := 1; ; k++ {
		for _, when := range []string{"early", "late"} {
			dir := t.TempDir()
			r := roster.New(goldenSettings)
			saved(t, openStore(t, dir), r, 3)
			cmd := exec.Command(os.Args[0], "-test.run=^TestKilledAtEveryCall$")
			cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s %s", killed, k, when, dir))
			out, err := cmd.CombinedOutput()
			if err == nil {
				if loaded[3] == 0 || loaded[4] == 0 || k < 20 {
					t.Errorf("killed at %d calls only, loaded %v", k-1, loaded)
				}
				return
			}
			if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
				t.Fatalf("call %d: %v\n%s", k, err, out)
			}
			loaded[checkAfterKill(t, fmt.Sprintf("%s at call %d", when, k), dir, r)]++
		}
	}
}

// beKilled is the process to be killed.
func beKilled(t *testing.T, order string) {
	fields := strings.SplitN(order, " ", 3)
	k, err := strconv.Atoi(fields[0])
	if err != nil {
		t.Fatal(err)
	}
	s := openOnFaulty(t, &faulty{at: k, late: fields[1] == "late", die: true, err: syscall.EIO}, fields[2])
	r, _ := load(t, s)
	saved(t, s, r, 1)
}

// checkAfterKill opens the folder as the next process does, and returns the place
// from which it continues.
func checkAfterKill(t *testing.T, what, dir string, r *roster.Roster) uint64 {
	t.Helper()
	s := openStore(t, dir)
	got, info := load(t, s)
	if got == nil {
		t.Fatalf("%s: nothing to load", what)
	}
	place := info.Status.Position.Place
	if place == 4 {
		advance(r)
	}
	if digest(got) != digest(r) {
		t.Errorf("%s: wrong roster for place %d", what, place)
	}
	for name := range contents(t, dir) {
		if _, ok := parseEntry(name); !ok {
			t.Errorf("%s: there is %s", what, name)
		}
	}
	return place
}

// TestSaveCallOrder: a file is on the disk before it gets its name, the name is on
// the disk before the snapshot counts, the file is verified, and only then are older
// ones removed.
func TestSaveCallOrder(t *testing.T) {
	d := new(faulty)
	s := openOnFaulty(t, d, t.TempDir())
	r := roster.New(goldenSettings)
	saved(t, s, r, 3)
	d.calls = nil
	saved(t, s, r, 1)
	const want = "look for folder, list, create, write, sync, close, list, rename, open, sync, close, open, read, close, " +
		"list, open, read, close, open, read, close, open, read, close, open, read, close, remove"
	if got := strings.Join(slices.Compact(d.calls), ", "); got != want {
		t.Errorf("the calls are %s, want %s", got, want)
	}
}
