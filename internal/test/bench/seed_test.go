package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// BenchmarkSeed folds a million events of 100,000 pairs from memory: with the Python
// function that rollcall grew out of, if python3 is installed, and with the roster, in
// batches of 500. The events come once as a fleet sends them, nearly sorted, and once
// in random order.
func BenchmarkSeed(b *testing.B) {
	_, err := exec.LookPath("python3")
	for _, order := range []struct {
		name   string
		random bool
	}{{"", false}, {"-random", true}} {
		if err == nil {
			b.Run("python"+order.name, func(b *testing.B) { seedPython(b, seedMessages(order.random)) })
		}
		b.Run("rollcall"+order.name, func(b *testing.B) { seedRoster(b, seedMessages(order.random)) })
	}
}

// seedMessages returns the messages. In random order, all have the last receipt, so
// that none is dated too far after it.
func seedMessages(random bool) []roster.Message {
	f := kit.NewFleet(1, kit.Mixed, kit.Scale(100_000))
	messages := make([]roster.Message, kit.Scale(1_000_000))
	for i := range messages {
		f.Next(&messages[i])
	}
	if random {
		rand.New(rand.NewPCG(1, 0)).Shuffle(len(messages), func(i, j int) {
			messages[i].Event, messages[j].Event = messages[j].Event, messages[i].Event
		})
		last := messages[len(messages)-1].Receipt
		for i := range messages {
			messages[i].Receipt = last
		}
	}
	return messages
}

func seedPython(b *testing.B, messages []roster.Message) {
	path := writeEvents(b, messages)
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

// writeEvents writes the events in the format of seed.py and returns the path.
func writeEvents(b *testing.B, messages []roster.Message) string {
	path := filepath.Join(b.TempDir(), "events")
	file, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	out := bufio.NewWriter(file)
	for i := range messages {
		e := &messages[i].Event
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", e.Date.Time().Format("2006-01-02 15:04:05.000000000"), e.Type, e.Machine, e.Session.User)
	}
	if err := out.Flush(); err != nil {
		b.Fatal(err)
	}
	return path
}

func seedRoster(b *testing.B, messages []roster.Message) {
	settings := roster.DefaultSettings()
	settings.AllowedLateness = 365 * 24 * time.Hour // whatever the order, no event is too late
	var batch roster.Batch
	for b.Loop() {
		r := roster.New(settings)
		var took time.Duration
		for some := range slices.Chunk(messages, 500) {
			batch.Messages = append(batch.Messages[:0], some...)
			kit.Rewrite(batch.Messages)
			batch.End.Place = some[len(some)-1].Place
			start := time.Now()
			r.Fold(&batch)
			took += time.Since(start)
		}
		if n := r.Status().Fates[roster.DeadLettered]; n > 0 {
			b.Fatalf("%d events were refused", n)
		}
		b.ReportMetric(float64(took.Nanoseconds())/float64(len(messages)), "ns/event")
	}
}
