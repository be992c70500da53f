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

// mortal is rollcall built so that it kills itself at a step.
var mortal = program("rollcall-mortal", "-tags=failpoints", "rollcall/cmd/rollcall")

// dies runs rollcall until it kills itself at a step for the nth time. One
// that never comes there is an error.
func dies(t *testing.T, dir, url, step string, nth int, variables ...string) {
	t.Helper()
	p := serveAs(t, mortal(t), dir, url, append(variables, fmt.Sprintf("FAULT_DIE_AT=%s:%d", step, nth))...)
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second):
		t.Fatalf("it has not come to step %s %d times", step, nth)
	}
	if status := p.cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGKILL {
		t.Fatalf("it ended with %v, not by its own hand", p.cmd.ProcessState)
	}
}

// The steps of writing a snapshot and of storing a dead letter, in their order.
var (
	snapshotSteps = []string{
		"snapshot-made", "snapshot-write", "snapshot-written", "snapshot-synced", "snapshot-closed",
		"snapshot-settled", "snapshot-renamed", "snapshot-dir-synced", "snapshot-verified", "snapshot-pruned",
	}
	letterSteps = []string{"batch-judged", "letter-queued", "letter-publishing", "letter-stored", "letter-recorded"}
)

// TestAllStepsAreMeant: no step of the code is without a test.
func TestAllStepsAreMeant(t *testing.T) {
	out, err := exec.Command("grep", "-rhoE", `failpoint\.At\("[a-z-]+"`, "../..", "--include=*.go").Output()
	if err != nil {
		t.Fatal(err)
	}
	for call := range strings.Lines(string(out)) {
		step := strings.Split(call, `"`)[1]
		if !slices.Contains(slices.Concat(snapshotSteps, letterSteps, incarnationSteps), step) {
			t.Errorf("no test dies at %s", step)
		}
	}
}

// TestDieAtStep: rollcall is killed exactly at each step of writing a snapshot
// and of storing a dead letter, while events flow. Then everything is as if it
// had not been.
func TestDieAtStep(t *testing.T) {
	t.Parallel()
	rng := random(t)
	mortal(t) // is built before the traffic begins
	for _, step := range slices.Concat(snapshotSteps, letterSteps) {
		nth, own := 1+rng.IntN(5), rand.New(rand.NewPCG(rng.Uint64(), 2))
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			url, dir := kit.StartServer(t).URL, t.TempDir()
			makeStreams(t, dir, url)
			stop := publish(t, url, own, 20*time.Millisecond)
			dies(t, dir, url, step, nth)
			p := serve(t, dir, url)
			p.says("ready", "place")
			stop()
			wantUndisturbed(t, p, url)
		})
	}
}

// TestSnapshotWaitsForLetters: a snapshot is not committed while letters up to
// its place are still to be put, or under way. If it were, a crash in that
// moment would lose them for good: nobody reads their messages again.
func TestSnapshotWaitsForLetters(t *testing.T) {
	for _, slow := range []string{"batch-judged", "letter-publishing"} {
		t.Run(slow, func(t *testing.T) {
			t.Parallel()
			url, dir := kit.StartServer(t).URL, t.TempDir()
			makeStreams(t, dir, url)
			publishNow(t, url, random(t), 300)
			dies(t, dir, url, "snapshot-verified", 1, "FAULT_SLOW_AT="+slow)
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

// The steps of changing to a new incarnation of the stream, in their order,
// with those of the first batch read from it and of the first snapshot.
var incarnationSteps = []string{
	"incarnation-detected", "incarnation-rebased", "incarnation-folded",
	"batch-judged", "batch-folded", "letter-stored",
	"snapshot-made", "snapshot-settled", "snapshot-renamed", "snapshot-pruned",
}

// TestDieAtIncarnation: the stream was recreated while rollcall was away.
// Killed exactly at each step of changing to the new one, rollcall ends with
// the roster, the places, the fates and the dead letters of one that was not.
func TestDieAtIncarnation(t *testing.T) {
	t.Parallel()
	rng := random(t)
	for _, step := range incarnationSteps {
		own := rand.New(rand.NewPCG(rng.Uint64(), 3))
		t.Run(step, func(t *testing.T) {
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
			dies(t, dir, url, step, 1)
			wantSame(t, dir, undisturbed, url, 500)
		})
	}
}

// recreate deletes the stream of events and makes it anew as it was.
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

// TestCrashBeforeASnapshot: rollcall is killed before it has saved anything, and the
// stream is recreated: no place is given again, and what was read of the old stream
// is lost. Each refused message has a letter of its own.
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
		p.reaches(200 * (already + 1))
		kit.Eventually(t, func() bool {
			stream, err := js.Stream(t.Context(), rollcallv1.DefaultReportsStream)
			if err != nil {
				return false
			}
			last, err := stream.GetLastMsgForSubject(t.Context(), "rollcall.reports")
			return err == nil && bytes.Contains(last.Data, fmt.Appendf(nil, `"place":%d,`, 200*(already+1)))
		}, "a report of the last place is stored")
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

// wantSame runs rollcall on two data folders, one after the other, up to a
// place, and compares what comes out. The second finds nothing to add to the
// dead letters.
func wantSame(t *testing.T, disturbed, undisturbed, url string, place uint64) {
	t.Helper()
	js := kit.JetStream(t, kit.Conn(t, url))
	var found int // of incarnations
	look := func(dir string) (digest, report string, fates map[string]int, letters []string) {
		p := serve(t, dir, url)
		defer p.end(syscall.SIGTERM)
		p.reaches(place)
		found = p.metric(`rollcall_incarnations_total{kind="recreated"}`)
		digest, report, fates = p.digest(place), p.report(url), p.fates()
		for msg := range read(t, js, rollcallv1.DefaultDeadLettersStream) {
			letters = append(letters, fmt.Sprint(msg.Subject(), msg.Headers()))
		}
		return digest, report, fates, letters
	}
	digest, report, fates, letters := look(disturbed)
	wantDigest, wantReport, wantFates, wantLetters := look(undisturbed)
	if digest != wantDigest || report != wantReport || !maps.Equal(fates, wantFates) {
		t.Errorf("the state_digest is %s, the fates %v and the report\n%s; undisturbed %s, %v and\n%s",
			digest, fates, report, wantDigest, wantFates, wantReport)
	}
	if found != 1 {
		t.Errorf("the undisturbed found %d incarnations", found)
	}
	if !slices.Equal(letters, wantLetters) || len(letters) != fates["dead_lettered"] {
		t.Errorf("%d dead letters, %d of them added by the undisturbed, want %d", len(wantLetters), len(wantLetters)-len(letters), fates["dead_lettered"])
	}
}
