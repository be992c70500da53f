package faults

import (
	"bufio"
	"context"
	"encoding/json"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/internal/test/kit"
)

// TestAnswersOfACluster: in a cluster of three servers, leaders step down and each
// server is killed once while events are published. "rollcall watch" prints that its
// connection was lost and is back, and its output adds up to the report; meanwhile the
// history of a machine is answered, completely.
func TestAnswersOfACluster(t *testing.T) {
	kit.Long(t)
	t.Parallel()
	rng := random(t)
	cluster, urls := startCluster(t)
	p := serve(t, t.TempDir(), urls, "ROLLCALL_STREAM_REPLICAS=3")
	p.awaitLog("ready", "place")
	nc := kit.Conn(t, urls, nats.Timeout(time.Second))
	awaitReplicas(t, nc)
	a := publishAcked(t, rng, urls)
	w := startWatch(t, urls)
	for _, victim := range cluster {
		stepDown(t, nc)
		wantHistory(t, urls)
		<-upTo(rng, 500*time.Millisecond)
		victim.kill()
		<-upTo(rng, 500*time.Millisecond)
		victim.start()
		awaitReplicas(t, nc)
	}
	a.stop()
	awaitReplicas(t, nc)
	want := usersOf(p.report(urls))
	kit.Eventually(t, func() bool {
		want = usersOf(p.report(urls))
		return maps.EqualFunc(w.on(), want, slices.Equal)
	}, "the output of watch adds up to the report")
	if len(want) == 0 {
		t.Error("nobody is logged in")
	}
	wantHistory(t, urls)
	said := w.log.String()
	for _, text := range []string{"the connection to NATS is lost", "receiving from the service again"} {
		if !strings.Contains(said, text) {
			t.Errorf("watch printed %q, which lacks %q", said, text)
		}
	}
}

// usersOf parses a report in its text form.
func usersOf(report string) map[string][]string {
	on := make(map[string][]string)
	for line := range strings.Lines(report) {
		machine, users, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		on[machine] = strings.Split(users, ", ")
	}
	return on
}

// wantHistory asks for the history of a machine until it is answered completely: there may be no
// leader for a moment.
func wantHistory(t *testing.T, urls string) {
	t.Helper()
	kit.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, rollcall(t), "history", "--machine", machines[0], "--output", "json")
		cmd.Env = kit.Only("NATS_URL=" + urls)
		out, err := cmd.Output()
		var last struct{ Complete bool }
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		return err == nil && json.Unmarshal([]byte(lines[len(lines)-1]), &last) == nil && last.Complete
	}, "the history is answered and complete")
}

// watched is a running "rollcall watch" and the users that it has printed.
type watched struct {
	*process
	mu    sync.Mutex
	users map[string][]string
}

func startWatch(t *testing.T, urls string) *watched {
	t.Helper()
	w := &watched{users: make(map[string][]string)}
	cmd := exec.Command(rollcall(t), "watch", "--output", "json")
	cmd.Env = kit.Only("NATS_URL=" + urls)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	w.process = run(t, cmd)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			w.show(t, lines.Bytes())
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended
		<-read
	})
	return w
}

// show applies a line, which must continue from the previous line of its machine.
func (w *watched) show(t *testing.T, line []byte) {
	var d struct {
		Machine           string
		Came, Left, Users []string
	}
	if err := json.Unmarshal(line, &d); err != nil {
		t.Errorf("%s: %v", line, err)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	got := slices.DeleteFunc(slices.Clone(w.users[d.Machine]), func(user string) bool { return slices.Contains(d.Left, user) })
	got = append(got, d.Came...)
	if slices.Sort(got); !slices.Equal(got, d.Users) {
		t.Errorf("%q were logged in, then came %s", w.users[d.Machine], line)
	}
	w.users[d.Machine] = d.Users
	if len(d.Users) == 0 {
		delete(w.users, d.Machine)
	}
}

// on returns the users by machine, as printed so far.
func (w *watched) on() map[string][]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.users)
}
