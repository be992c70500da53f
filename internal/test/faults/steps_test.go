package faults

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// failpointRollcall is rollcall built with failpoints, at which it can kill itself.
var failpointRollcall = program("rollcall-mortal", "-tags=failpoints", "rollcall/cmd/rollcall")

// killAt runs rollcall until it kills itself when it reaches a failpoint for the nth
// time. The test fails if it does not.
func killAt(t *testing.T, dir, url, name string, nth int, variables ...string) {
	t.Helper()
	p := serveAs(t, failpointRollcall(t), dir, url, append(variables, fmt.Sprintf("FAULT_DIE_AT=%s:%d", name, nth))...)
	select {
	case <-p.ended:
	case <-time.After(4 * time.Minute): // the history is written once a minute
		t.Fatalf("the failpoint %s was not reached %d times", name, nth)
	}
	if status := p.cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGKILL {
		t.Fatalf("it ended with %v, want SIGKILL", p.cmd.ProcessState)
	}
}

// The failpoints while writing a snapshot and while storing a dead letter, in order.
var (
	snapshotFailpoints = []string{
		"snapshot-made", "snapshot-write", "snapshot-written", "snapshot-synced", "snapshot-closed",
		"snapshot-letters-stored", "snapshot-renamed", "snapshot-dir-synced", "snapshot-verified", "snapshot-pruned",
	}
	letterFailpoints = []string{"batch-judged", "letter-queued", "letter-publishing", "letter-stored", "letter-recorded"}
)

// enrollFailpoints are those at which a test of internal/enroll dies.
var enrollFailpoints = []string{"replacement-written", "file-replaced", "enroll-keys", "enroll-recorded", "enroll-settings"}

// TestAllFailpointsAreTested: a test dies at each failpoint in the code. Those of the
// spool have a test that finds them by itself, in internal/agent/spool.
func TestAllFailpointsAreTested(t *testing.T) {
	out, err := exec.Command("grep", "-rhoE", `failpoint\.At\("[a-z-]+"`, "../..", "--include=*.go").Output()
	if err != nil {
		t.Fatal(err)
	}
	for call := range strings.Lines(string(out)) {
		name := strings.Split(call, `"`)[1]
		if !strings.HasPrefix(name, "spool-") && !slices.Contains(slices.Concat(snapshotFailpoints, letterFailpoints, incarnationFailpoints, historyFailpoints, enrollFailpoints), name) {
			t.Errorf("no test dies at %s", name)
		}
	}
}

// TestDieAtStep: rollcall is killed at each failpoint while writing a snapshot or
// storing a dead letter, and events are published meanwhile. The result is the same as
// without the kill.
func TestDieAtStep(t *testing.T) {
	t.Parallel()
	rng := random(t)
	failpointRollcall(t) // build it before publishing starts
	for _, name := range slices.Concat(snapshotFailpoints, letterFailpoints) {
		nth, own := 1+rng.IntN(5), rand.New(rand.NewPCG(rng.Uint64(), 2))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, dir := kit.StartServer(t).URL, t.TempDir()
			makeStreams(t, dir, url)
			stop := publish(t, url, own, 20*time.Millisecond)
			killAt(t, dir, url, name, nth)
			p := serve(t, dir, url)
			p.awaitLog("ready", "place")
			stop()
			wantUndisturbed(t, p, url)
		})
	}
}

// TestSnapshotWaitsForLetters: a snapshot is not committed while dead letters up to its
// place are queued or in flight. Otherwise a crash at that moment would lose them for
// good, as their messages are not read again.
func TestSnapshotWaitsForLetters(t *testing.T) {
	for _, slow := range []string{"batch-judged", "letter-publishing"} {
		t.Run(slow, func(t *testing.T) {
			t.Parallel()
			url, dir := kit.StartServer(t).URL, t.TempDir()
			makeStreams(t, dir, url)
			publishNow(t, url, random(t), 300)
			killAt(t, dir, url, "snapshot-verified", 1, "FAULT_SLOW_AT="+slow)
			wantUndisturbed(t, serve(t, dir, url), url)
		})
	}
}

// publishNow publishes n messages.
func publishNow(t *testing.T, url string, rng *rand.Rand, n int) {
	t.Helper()
	g, js := newTraffic(rng), kit.JetStream(t, kit.Conn(t, url))
	for ; n > 0; n -= 1000 {
		if err := g.publish(js, min(n, 1000)); err != nil {
			t.Fatal(err)
		}
	}
}

// The failpoints while changing to a new incarnation of the stream, in order, followed
// by those of the first batch read from it and of the first snapshot.
var incarnationFailpoints = []string{
	"incarnation-detected", "incarnation-rebased", "incarnation-folded",
	"batch-judged", "batch-folded", "letter-stored",
	"snapshot-made", "snapshot-letters-stored", "snapshot-renamed", "snapshot-pruned",
}

// TestDieAtIncarnation: the stream is recreated while rollcall is down. Killed at each
// failpoint while changing to the new incarnation, rollcall ends with the same roster,
// places, fates and dead letters as one that was not killed.
func TestDieAtIncarnation(t *testing.T) {
	t.Parallel()
	rng := random(t)
	for _, name := range incarnationFailpoints {
		own := rand.New(rand.NewPCG(rng.Uint64(), 3))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, dir := kit.StartServer(t).URL, t.TempDir()
			makeStreams(t, dir, url)
			publishNow(t, url, own, 200)
			old := serve(t, dir, url)
			old.digest(200)
			old.end(syscall.SIGTERM)
			recreate(t, url)
			publishNow(t, url, own, 300)
			undisturbed := t.TempDir()
			if err := os.CopyFS(undisturbed, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			killAt(t, dir, url, name, 1)
			wantSame(t, dir, undisturbed, url, 500)
		})
	}
}

// recreate deletes the stream of events and creates it again with the same
// configuration.
func recreate(t *testing.T, url string) {
	t.Helper()
	js := kit.JetStream(t, kit.Conn(t, url))
	stream, err := js.Stream(t.Context(), rollcallv1.DefaultEventsStream)
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), rollcallv1.DefaultEventsStream); err != nil {
		t.Fatal(err)
	}
	kit.CreateStream(t, js, stream.CachedInfo().Config)
}

// TestCrashBeforeASnapshot: rollcall is killed before its first snapshot, and the stream
// is recreated. No place is assigned twice, what was read of the old stream counts as
// lost, and each refused message has its own dead letter.
func TestCrashBeforeASnapshot(t *testing.T) {
	t.Parallel()
	rng := random(t)
	url, dir := kit.StartServer(t).URL, t.TempDir()
	js := kit.JetStream(t, kit.Conn(t, url))
	makeStreams(t, dir, url)
	var letters int
	for already := range uint64(2) {
		publishNow(t, url, rng, 200)
		p := serve(t, dir, url, "ROLLCALL_SNAPSHOT_INTERVAL=1h", "ROLLCALL_REPORT_INTERVAL=20ms")
		p.awaitPlace(200 * (already + 1))
		kit.Eventually(t, func() bool {
			stream, err := js.Stream(t.Context(), rollcallv1.DefaultReportsStream)
			if err != nil {
				return false
			}
			last, err := stream.GetLastMsgForSubject(t.Context(), "rollcall.reports")
			return err == nil && bytes.Contains(last.Data, fmt.Appendf(nil, `"place":%d,`, 200*(already+1)))
		}, "a report with the last place is stored")
		fates := p.fates()
		if fates["lost"] != int(200*already) {
			t.Errorf("%d messages are lost, want %d", fates["lost"], 200*already)
		}
		letters += fates["dead_lettered"]
		kit.Eventually(t, func() bool {
			stream, err := js.Stream(t.Context(), rollcallv1.DefaultDeadLettersStream)
			return err == nil && stream.CachedInfo().State.Msgs == uint64(letters)
		}, fmt.Sprintf("there are %d dead letters", letters))
		p.end(syscall.SIGKILL)
		recreate(t, url)
	}
}

// wantSame runs rollcall on two data folders, one after the other, up to a place, and
// compares the results. The second run must add no dead letters.
func wantSame(t *testing.T, disturbed, undisturbed, url string, place uint64) {
	t.Helper()
	js := kit.JetStream(t, kit.Conn(t, url))
	var found int // of incarnations
	result := func(dir string) (digest, report string, fates map[string]int, letters []string) {
		p := serve(t, dir, url)
		defer p.end(syscall.SIGTERM)
		p.awaitPlace(place)
		found = p.metric(`rollcall_incarnations_total{kind="recreated"}`)
		digest, report, fates = p.digest(place), p.report(url), p.fates()
		for msg := range read(t, js, rollcallv1.DefaultDeadLettersStream) {
			letters = append(letters, fmt.Sprint(msg.Subject(), msg.Headers()))
		}
		return digest, report, fates, letters
	}
	digest, report, fates, letters := result(disturbed)
	wantDigest, wantReport, wantFates, wantLetters := result(undisturbed)
	if digest != wantDigest || report != wantReport || !maps.Equal(fates, wantFates) {
		t.Errorf("the state_digest is %s, the fates %v and the report\n%s; undisturbed %s, %v and\n%s",
			digest, fates, report, wantDigest, wantFates, wantReport)
	}
	if found != 1 {
		t.Errorf("the undisturbed run found %d new incarnations, want 1", found)
	}
	if !slices.Equal(letters, wantLetters) || len(letters) != fates["dead_lettered"] {
		t.Errorf("%d dead letters, %d of them added by the undisturbed run, want %d", len(wantLetters), len(wantLetters)-len(letters), fates["dead_lettered"])
	}
}
