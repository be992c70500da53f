package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// largeFleet is a roster of n machines with five users each.
func largeFleet(n int) *roster.Roster {
	r := roster.New(roster.DefaultSettings())
	for i := range n {
		var events []roster.Event
		for u := range 5 {
			events = append(events, kit.Login(fmt.Sprintf("machine-%06d.example.com", i), fmt.Sprintf("user-%d-%d", i%1000, u)))
		}
		kit.Feed(r, events...)
	}
	return r
}

// withoutRace makes the test run a binary without the race detector, which would double
// the memory and take several times as long.
func withoutRace(t *testing.T) {
	t.Helper()
	dir := filepath.Join(binary, "norace")
	if _, err := os.Stat(dir); err != nil {
		flags := slices.DeleteFunc(strings.Fields(os.Getenv("GOFLAGS")), func(f string) bool { return strings.Contains(f, "-race") })
		if err := build(dir, "GOFLAGS="+strings.Join(flags, " ")); err != nil {
			t.Fatal(err)
		}
	}
	was := binary
	binary = dir
	t.Cleanup(func() { binary = was })
}

// 100,000 machines with five users each are listed in one command, and neither side keeps
// more than a few pages of them in memory.
func TestReportOfALargeFleet(t *testing.T) {
	kit.Long(t)
	const machines, most = 100_000, 48 << 20
	withoutRace(t)
	answering(t, largeFleet(machines), true)
	defer debug.SetGCPercent(debug.SetGCPercent(10)) // so that the heap is little more than what is kept
	for _, args := range [][]string{{"report"}, {"report", "--output", "json"}} {
		runtime.GC()
		peak := watchHeap(t)
		lines, size, client := listed(t, args...)
		grown := peak()
		if grown > most || client > most {
			t.Errorf("%v: the service took %d bytes more, the client %d", args, grown, client)
		}
		if len(args) == 1 && lines != machines || size < 5*machines*10 || client == 0 {
			t.Errorf("%v: %d lines, %d bytes", args, lines, size)
		}
		t.Logf("%v: %d lines, %d bytes; the service %d MiB more, the client %d MiB", args, lines, size, grown>>20, client>>20)
	}
}

// listed runs the tool and returns the lines and bytes that it printed, and its peak
// memory.
func listed(t *testing.T, args ...string) (lines int, size, memory int64) {
	t.Helper()
	command := exec.CommandContext(t.Context(), filepath.Join(binary, "rollcall"), args...)
	command.Env = append(os.Environ(), "GOGC=10") // as for the service
	out, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 64<<10)
	for {
		n, err := out.Read(buffer)
		lines += bytes.Count(buffer[:n], []byte("\n"))
		size += int64(n)
		memory = max(memory, mostMemory(t, command.Process.Pid))
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := command.Wait(); err != nil {
		t.Fatal(err)
	}
	return lines, size, memory
}

// mostMemory is the peak memory of a process so far, in bytes. The rusage of an ended child
// is no alternative: its maximum includes that of the parent before the exec.
func mostMemory(t *testing.T, process int) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", process))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var most int64
	if _, err := fmt.Sscanf(rest, "%d kB", &most); err != nil {
		return 0 // it has ended
	}
	return most << 10
}

// watchHeap samples the heap until the function that it returns is called, which returns
// the greatest growth in bytes.
func watchHeap(t *testing.T) func() int64 {
	t.Helper()
	heap := func() int64 {
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	before := heap()
	end, peak := make(chan struct{}), make(chan int64)
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		most := before
		for {
			most = max(most, heap())
			select {
			case <-end:
				peak <- most - before
				return
			case <-tick.C:
			}
		}
	}()
	return func() int64 {
		close(end)
		return <-peak
	}
}
