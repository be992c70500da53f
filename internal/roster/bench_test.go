package roster_test

import (
	"fmt"
	"runtime"
	"testing"

	"rollcall/internal/roster"
)

// fleet makes n messages: logins and logouts of 100,000 pairs of a user and a
// machine, as agents with session names would send them.
func fleet(n int) []roster.Message {
	messages := make([]roster.Message, n)
	for i := range messages {
		pair := i * 7919 % 100_000
		e := roster.Event{
			Type:    roster.Login,
			Date:    start + roster.Time(i)*1_000_000,
			Machine: fmt.Sprintf("web-%04d.fra.example.com", pair%10_000),
			Session: roster.Session{User: fmt.Sprintf("j.smith%d", pair/10), ID: fmt.Sprintf("c%d", pair/10_000)},
		}
		if i/100_000%2 == 1 {
			e.Type = roster.Logout
		}
		messages[i] = roster.Message{Place: uint64(i + 1), Receipt: e.Date, Event: e}
	}
	return messages
}

// BenchmarkFold folds decoded events in batches of 500.
func BenchmarkFold(b *testing.B) {
	messages := fleet(1_000_000)
	b.ReportAllocs()
	b.ResetTimer()
	for folded := 0; folded < b.N; {
		r := roster.New(roster.DefaultSettings())
		for at := 0; at < len(messages) && folded < b.N; at += 500 {
			batch := roster.Batch{Messages: messages[at : at+500], End: roster.Position{Place: uint64(at + 500)}}
			r.Fold(&batch)
			folded += 500
		}
	}
}

// BenchmarkOpenSession measures the memory of one open session without
// details, the index by user included: 10 sessions a machine, 20 a user.
func BenchmarkOpenSession(b *testing.B) {
	for _, id := range []string{"implicit", "named"} {
		b.Run(id, func(b *testing.B) {
			const n = 1_000_000
			for b.Loop() {
				before := inUse()
				r := roster.New(roster.DefaultSettings())
				for i := range n {
					e := login(fmt.Sprintf("web-%05d.fra.example.com", i%(n/10)), fmt.Sprintf("j.smith%d", (i%(n/10)*10+i/(n/10))%(n/20)), "")
					if id == "named" {
						e.Session.ID = fmt.Sprintf("0x%x", i)
					}
					e.Date = start + roster.Time(i)
					batch := roster.Batch{Messages: []roster.Message{{Place: uint64(i + 1), Receipt: e.Date, Event: e}}, End: roster.Position{Place: uint64(i + 1)}}
					r.Fold(&batch)
				}
				b.ReportMetric(float64(inUse()-before)/float64(r.Status().Sessions), "B/session")
				runtime.KeepAlive(r)
			}
		})
	}
}

func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
