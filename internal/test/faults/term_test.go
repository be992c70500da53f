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

var terms = flag.Int("faults.terms", kit.Length(4, 10), "how often TestTerminate terminates rollcall")

// endsWithin is how long rollcall may take to exit on a machine that is busy with other
// tests: docker stop, the least patient of those that end services, kills after it. It
// waits itself for no more than 3 seconds, see snapshot.Run.
const endsWithin = 10 * time.Second

// TestTerminate: on a SIGTERM at any moment, even during the replay of a large stream,
// rollcall exits within ten seconds with code 0. It leaves a snapshot that is not older
// than the one before, or logs that there is none, and the next start continues from it.
func TestTerminate(t *testing.T) {
	t.Parallel()
	rng := random(t)
	url, dir := kit.StartServer(t).URL, t.TempDir()
	makeStreams(t, dir, url)
	publishNow(t, url, rng, 15_000)
	// Few enough that a replay has no more dead letters in flight than allowed.
	stop := publish(t, url, rng, 500*time.Millisecond)
	dirs := []string{dir}
	var early, replaying int
	// A fast machine may be ready before each of the signals: then there are more.
	for n := 0; n < *terms || replaying == 0 && n < 10*(*terms); n++ {
		if n >= *terms || rng.IntN(2) == 0 {
			dir = t.TempDir() // replay from the first message
			dirs = append(dirs, dir)
		}
		os.Remove(filepath.Join(dir, "lock")) // recreated once the process has started
		before := newest(t, dir)
		interval := []string{"20ms", "1h"}[rng.IntN(2)]
		p := serve(t, dir, url, "ROLLCALL_SNAPSHOT_INTERVAL="+interval)
		if rng.IntN(3) == 0 {
			p.awaitLog("ready", "place")
		}
		<-upTo(rng, 400*time.Millisecond)
		if !terminate(t, p, dir) {
			early++
		} else if len(p.lines("ready")) == 0 {
			replaying++
		}
		if loaded := p.lines("snapshot loaded"); len(loaded) > 0 && filepath.Base(fmt.Sprint(loaded[0]["path"])) != before {
			t.Errorf("it loaded %v, want %s", loaded[0]["path"], before)
		}
		if after := newest(t, dir); after < before {
			t.Errorf("the newest snapshot is %q, older than %q before", after, before)
		}
	}
	stop()
	if replaying == 0 {
		t.Error("no process was terminated during a replay")
	}
	t.Logf("%d were replaying, %d had not started yet", replaying, early)
	p := serve(t, dir, url)
	last := wantUndisturbed(t, p, url)
	p.end(syscall.SIGTERM)
	for _, i := range rng.Perm(len(dirs))[:1+len(dirs)/5] {
		p := serve(t, dirs[i], url)
		p.awaitPlace(last.place)
		if digest := p.digest(last.place); digest != last.digest {
			t.Errorf("in %s the state_digest is %s, undisturbed %s", dirs[i], digest, last.digest)
		}
		terminate(t, p, dirs[i])
	}
}

// terminate sends SIGTERM and checks how the process ends. It returns false if the
// signal came before the program handled signals, and so killed it.
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
	// The last snapshot waits for the dead letters up to its place: on a busy machine
	// those of a whole replay may not be stored in time, which is logged.
	if len(p.lines("ready")) > 0 && newest(t, dir) == "" && len(p.lines("last snapshot not written")) == 0 {
		t.Error("it left no snapshot and did not log that")
	}
	return true
}

// newest returns the name of the newest snapshot; names sort by place.
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

// TestTerminateStalled: a nats-server that keeps connections open but answers nothing,
// as on a stalled disk, does not delay the exit. While dead letters are not stored there
// is no last snapshot; the next start continues from the one before.
func TestTerminateStalled(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]time.Duration{
		"starting": -1, "at once": 0, "after two heartbeats": 7 * time.Second, // since ready; -1: before the start
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
				p.awaitLog("ready", "place")
				server.signal(syscall.SIGSTOP)
				<-time.After(after)
			}
			wantEnd(t, p)
			server.signal(syscall.SIGCONT)
			wantUndisturbed(t, serve(t, dir, server.url), server.url)
		})
	}
}

// wantEnd terminates a process whose server is stopped, and checks how it ends.
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
