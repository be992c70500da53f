package faults

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"rollcall/internal/test/kit"
)

var terms = flag.Int("faults.terms", kit.Length(4, 20), "how often TestTerminate terminates rollcall")

// endsWithin is how long rollcall may take to end.
const endsWithin = 5 * time.Second

// TestTerminate: a SIGTERM at any moment, in the midst of the replay of a large
// stream too, ends rollcall within 5 seconds and with exit code 0, leaves a
// snapshot that is no older than the one before, or says that there is none yet,
// and the next start goes on from there.
func TestTerminate(t *testing.T) {
	t.Parallel()
	rng := random(t)
	url, dir := kit.StartServer(t).URL, t.TempDir()
	makeStreams(t, dir, url)
	publishNow(t, url, rng, 15_000)
	// Few enough that a replay has no more dead letters at once than may be.
	stop := publish(t, url, rng, 500*time.Millisecond)
	dirs := []string{dir}
	var early, replaying int
	for range *terms {
		if rng.IntN(2) == 0 {
			dir = t.TempDir() // from the first message on
			dirs = append(dirs, dir)
		}
		os.Remove(filepath.Join(dir, "lock")) // tells whether it has begun
		before := newest(t, dir)
		interval := []string{"20ms", "1h"}[rng.IntN(2)]
		p := serve(t, dir, url, "ROLLCALL_SNAPSHOT_INTERVAL="+interval)
		if rng.IntN(3) == 0 {
			p.says("ready", "place")
		}
		<-upTo(rng, 400*time.Millisecond)
		if !terminate(t, p, dir) {
			early++
		} else if len(p.lines("ready")) == 0 {
			replaying++
		}
		if loaded := p.lines("snapshot loaded"); len(loaded) > 0 && filepath.Base(fmt.Sprint(loaded[0]["path"])) != before {
			t.Errorf("it went on from %v, not from %s", loaded[0]["path"], before)
		}
		if after := newest(t, dir); after < before {
			t.Errorf("the newest snapshot is %q, before %q", after, before)
		}
	}
	stop()
	if replaying == 0 {
		t.Error("it was never terminated in the midst of a replay")
	}
	t.Logf("%d were replaying, %d had not begun", replaying, early)
	p := serve(t, dir, url)
	last := wantUndisturbed(t, p, url)
	p.end(syscall.SIGTERM)
	for _, i := range rng.Perm(len(dirs))[:1+len(dirs)/5] {
		p := serve(t, dirs[i], url)
		p.reaches(last.place)
		if digest := p.digest(last.place); digest != last.digest {
			t.Errorf("in %s the state_digest is %s, undisturbed %s", dirs[i], digest, last.digest)
		}
		terminate(t, p, dirs[i])
	}
}

// terminate sends SIGTERM and says how the process must end. Before the program
// has begun nobody takes the signal: then it returns false.
func terminate(t *testing.T, p *process, dir string) bool {
	t.Helper()
	began := time.Now()
	state := p.end(syscall.SIGTERM)
	status := state.Sys().(syscall.WaitStatus)
	_, err := os.Stat(filepath.Join(dir, "lock"))
	if status.Signal() == syscall.SIGTERM && p.log.String() == "" && errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if !state.Success() {
		t.Errorf("it ended with %v", state)
	}
	if took := time.Since(began); took > endsWithin {
		t.Errorf("it took %v to end", took)
	}
	// A last snapshot waits for the dead letters up to its place: on a busy machine
	// those of a whole replay may not be stored in time, which it says.
	if len(p.lines("ready")) > 0 && newest(t, dir) == "" && len(p.lines("last snapshot not written")) == 0 {
		t.Error("it left no snapshot, and didn't say so")
	}
	return true
}

// newest returns the name of the newest snapshot: the names are in the order
// of the places.
func newest(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "snapshots", "snapshot-*.rollcall"))
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		return ""
	}
	return filepath.Base(names[len(names)-1])
}

// TestTerminateStalled: a nats-server that takes connections and answers
// nothing, as one on a stalled disk does, does not hold up the end. When there
// are dead letters that it hasn't taken, there can be no last snapshot, which
// is said, and the exit code is 1. The next start goes on from the one before.
func TestTerminateStalled(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]time.Duration{
		"starting": -1, "at once": 0, "after two heartbeats": 7 * time.Second,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, dir := newServer(t), t.TempDir()
			server.start()
			makeStreams(t, dir, server.url)
			publishNow(t, server.url, random(t), 300)
			if after < 0 {
				server.signal(syscall.SIGSTOP)
			}
			p := serve(t, dir, server.url)
			if after < 0 {
				<-time.After(300 * time.Millisecond)
			} else {
				p.says("ready", "place")
				server.signal(syscall.SIGSTOP)
				<-time.After(after)
			}
			wantEnd(t, p)
			server.signal(syscall.SIGCONT)
			wantUndisturbed(t, serve(t, dir, server.url), server.url)
		})
	}
}

// wantEnd terminates a process whose server has stalled.
func wantEnd(t *testing.T, p *process) {
	t.Helper()
	began := time.Now()
	state := p.end(syscall.SIGTERM)
	if took := time.Since(began); took > endsWithin {
		t.Errorf("it took %v to end", took)
	}
	if !state.Success() {
		t.Errorf("it ended with %v", state)
	}
}
