package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	"rollcall/internal/wire"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// largeService is a service that has read that on each of so many machines five users
// logged in at eight and one more at nine, and that nobody has logged out.
func largeService(t *testing.T, machines int) *process {
	t.Helper()
	withoutRace(t)
	s := kit.StartServer(t)
	p := serve(t, t.TempDir(), "NATS_URL="+s.URL, "ROLLCALL_SNAPSHOT_INTERVAL=1h", "ROLLCALL_REPORT_INTERVAL=1h", "GOGC=10")
	var events []roster.Event
	for i := range machines {
		for u := range 5 {
			events = append(events, kit.On("2020-01-21 08:00:00", kit.Login(machineName(i), fmt.Sprintf("user-%d-%d", i%1000, u))))
		}
	}
	for i := range machines {
		events = append(events, kit.On("2020-01-21 09:00:00", kit.Login(machineName(i), "lane")))
	}
	store(t, s.URL, events)
	p.reaches(len(events))
	kit.Eventually(t, func() bool {
		p.tool("", "history", "-n", "1") // which has it written: else it is once a minute
		return p.metric("rollcall_history_position") == p.metric("rollcall_position")
	}, "the history is written")
	kit.Environment(t, map[string]string{"NATS_URL": p.nats})
	return p
}

func machineName(i int) string { return fmt.Sprintf("machine-%06d.example.com", i) }

// store publishes events, and returns when all are stored.
func store(t *testing.T, url string, events []roster.Event) {
	t.Helper()
	js := kit.JetStream(t, kit.Conn(t, url))
	subjects, err := rollcallv1.NewSubjects(rollcallv1.DefaultSubject)
	if err != nil {
		t.Fatal(err)
	}
	for i := range events {
		future, err := js.PublishAsync(subjects.EventsOf(events[i].Machine), wire.AppendJSON(nil, &events[i]), jetstream.WithStallWait(time.Minute))
		if err != nil {
			t.Fatal(future, err)
		}
	}
	<-js.PublishAsyncComplete()
}

// How much memory a large answer may take: a few pages in the tool, besides the program,
// and in the service.
const (
	mostOfTool    = 64 << 20
	mostOfService = 64 << 20
)

// TestPastOfALargeFleet: for any question about the past of a large fleet, the tool keeps
// at most a page of the answer, and the service not even that.
func TestPastOfALargeFleet(t *testing.T) {
	kit.Long(t)
	const machines = 20_000
	p := largeService(t, machines)
	peak := p.watchMemory()
	for args, least := range map[string]int{
		"report --at 2020-01-21T08:30 --utc": machines, "history --utc": 6 * machines, "where lane --at 2020-01-21T09:00 --utc": machines,
		"history --utc --output json": 2,
	} {
		lines, size, tool := listed(t, strings.Fields(args)...)
		if tool > mostOfTool || lines < least || size == 0 {
			t.Errorf("%s: %d lines, %d bytes; the tool had %d bytes", args, lines, size, tool)
		}
		t.Logf("%s: %d lines, %d bytes; tool %d MiB", args, lines, size, tool>>20)
	}
	grown := peak()
	if grown > mostOfService {
		t.Errorf("the service had %d bytes more", grown)
	}
	t.Logf("service %d MiB more", grown>>20)
}

// TestWatchOfALargeFleet: watching costs the tool memory for the state but not for the
// changes, and the service none.
func TestWatchOfALargeFleet(t *testing.T) {
	kit.Long(t)
	const machines, rounds = 20_000, 4
	p := largeService(t, machines)
	peak := p.watchMemory()
	watch := exec.Command(filepath.Join(binary, "rollcall"), "watch")
	watch.Env = append(os.Environ(), "GOGC=10")
	lines := new(counted)
	watch.Stdout = lines
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	defer watch.Wait()         //nolint:errcheck // it was killed
	defer watch.Process.Kill() //nolint:errcheck // it may have ended
	kit.Eventually(t, func() bool { return lines.Load() == machines }, "watch has the state")
	const most = 64 << 20
	for round := range int64(rounds) {
		var events []roster.Event
		for i := range machines {
			event := kit.Logout(machineName(i), "lane")
			if round%2 == 1 {
				event = kit.Login(machineName(i), "lane")
			}
			event.Date = roster.TimeOf(kit.At.Add(time.Duration(round) * time.Minute))
			events = append(events, event)
		}
		store(t, p.nats, events)
		want := (round + 2) * machines
		kit.Eventually(t, func() bool { return lines.Load() >= want }, "watch has shown every change")
		if tool, grown := mostMemory(t, watch.Process.Pid), peak(); tool > most || grown > most {
			t.Errorf("after round %d the tool had %d bytes, the service %d more", round, tool, grown)
		}
		t.Logf("tool %d MiB, service %d MiB more", mostMemory(t, watch.Process.Pid)>>20, peak()>>20)
	}
	if lines.Load() != (rounds+1)*machines {
		t.Errorf("%d lines", lines.Load())
	}
}

// counted counts the lines that are written to it.
type counted struct{ atomic.Int64 }

func (c *counted) Write(b []byte) (int, error) {
	c.Add(int64(bytes.Count(b, []byte("\n"))))
	return len(b), nil
}

// watchMemory returns a function that returns the greatest growth of the service in bytes
// since.
func (p *process) watchMemory() func() int64 {
	p.t.Helper()
	process := p.cmd.Process.Pid
	err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", process), []byte("5"), 0) // the most is what there is now
	if err != nil {
		p.t.Fatal(err)
	}
	before := mostMemory(p.t, process)
	return func() int64 { return mostMemory(p.t, process) - before }
}
