package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"rollcall/internal/heap"
	"rollcall/internal/roster"
	"rollcall/internal/testkit"
)

// BenchmarkSeed folds a million events of 100,000 pairs that are in memory: with
// the Python function that rollcall grew out of, where there is a python3, and
// with the roster, in batches of 500.
func BenchmarkSeed(b *testing.B) {
	if _, err := exec.LookPath("python3"); err == nil {
		b.Run("python", seedPython)
	}
	b.Run("rollcall", seedRoster)
}

func seedFleet() (f *testkit.Fleet, events int) {
	return testkit.NewFleet(1, testkit.Mixed, testkit.Scale(100_000)), testkit.Scale(1_000_000)
}

func seedPython(b *testing.B) {
	path := writeEvents(b)
	for b.Loop() {
		out, err := exec.Command("python3", "seed.py", path).Output()
		if err != nil {
			b.Fatal(err)
		}
		var ns float64
		if _, err := fmt.Sscan(string(out), &ns); err != nil {
			b.Fatalf("%q: %v", out, err)
		}
		b.ReportMetric(ns, "ns/event")
	}
}

// writeEvents writes the events as seed.py reads them.
func writeEvents(b *testing.B) string {
	path := filepath.Join(b.TempDir(), "events")
	file, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	out := bufio.NewWriter(file)
	f, events := seedFleet()
	var m roster.Message
	for range events {
		f.Next(&m)
		e := &m.Event
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", e.Date.Time().Format("2006-01-02 15:04:05.000000000"), e.Type, e.Machine, e.Session.User)
	}
	if err := out.Flush(); err != nil {
		b.Fatal(err)
	}
	return path
}

func seedRoster(b *testing.B) {
	heap.Slacken()
	for b.Loop() {
		f, events := seedFleet()
		r := roster.New(roster.DefaultSettings())
		var batch roster.Batch
		var took time.Duration
		for range events / 500 {
			f.Fill(&batch, 500)
			start := time.Now()
			r.Fold(&batch)
			took += time.Since(start)
		}
		b.ReportMetric(float64(took.Nanoseconds())/float64(events), "ns/event")
	}
}
