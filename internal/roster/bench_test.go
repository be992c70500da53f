package roster_test

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// BenchmarkFold folds decoded events of 100,000 pairs of a user and a machine, in
// batches of 500. After a million of them it starts again with an empty roster.
func BenchmarkFold(b *testing.B) {
	events := kit.Scale(1_000_000)
	b.ReportAllocs()
	var batch roster.Batch
	for folded := 0; folded < b.N; {
		b.StopTimer()
		f := kit.NewFleet(1, kit.Mixed, kit.Scale(100_000))
		r := roster.New(roster.DefaultSettings())
		for end := min(folded+events, b.N); folded < end; folded += len(batch.Messages) {
			f.Fill(&batch, min(500, end-folded))
			b.StartTimer()
			r.Fold(&batch)
			b.StopTimer()
		}
	}
}

// BenchmarkOpenSession measures the memory of one open session without details,
// including the index by user: of sessions without an ID, of sessions with one, and
// of the maps that a simple program would use.
func BenchmarkOpenSession(b *testing.B) {
	for _, size := range []struct {
		name string
		n    int
	}{{"1M", 1_000_000}, {"10M", 10_000_000}} {
		pairs := kit.Scale(size.n)
		b.Run("implicit/"+size.name, func(b *testing.B) {
			perSession(b, pairs, func(e *roster.Event) { e.Session.ID = "" })
		})
		b.Run("named/"+size.name, func(b *testing.B) {
			stay := 0x3e7
			perSession(b, pairs, func(e *roster.Event) { stay += 7; e.Session.ID = "0x" + strconv.FormatInt(int64(stay), 16) })
		})
	}
	b.Run("maps/1M", func(b *testing.B) { perEntry(b, kit.Scale(1_000_000)) })
}

// perSession measures a roster with this number of open sessions.
func perSession(b *testing.B, pairs int, change func(*roster.Event)) {
	f := kit.NewFleet(1, kit.Mixed, pairs)
	var batch roster.Batch
	for b.Loop() {
		before := inUse()
		r := roster.New(roster.DefaultSettings())
		for folded := 0; folded < f.Pairs(); folded += len(batch.Messages) {
			f.Fill(&batch, min(500, f.Pairs()-folded))
			for i := range batch.Messages {
				change(&batch.Messages[i].Event)
			}
			r.Fold(&batch)
		}
		b.ReportMetric(float64(inUse()-before)/float64(r.Status().Sessions), "B/session")
		runtime.KeepAlive(r)
		b.StopTimer()
		f = kit.NewFleet(1, kit.Mixed, pairs)
		b.StartTimer()
	}
}

// perEntry measures map[machine]map[user]since and its reverse map. They share
// one copy of each name.
func perEntry(b *testing.B, pairs int) {
	for b.Loop() {
		f := kit.NewFleet(1, kit.Mixed, pairs)
		var m roster.Message
		before := inUse()
		machines, users := map[string]map[string]time.Time{}, map[string]map[string]time.Time{}
		known := map[string]string{}
		for range f.Pairs() {
			f.Next(&m)
			machine, user := intern(known, m.Event.Machine), intern(known, m.Event.Session.User)
			put(machines, machine, user, m.Event.Date.Time())
			put(users, user, machine, m.Event.Date.Time())
		}
		clear(known)
		b.ReportMetric(float64(inUse()-before)/float64(f.Pairs()), "B/session")
		runtime.KeepAlive(machines)
		runtime.KeepAlive(users)
		runtime.KeepAlive(f)
	}
}

func intern(known map[string]string, name string) string {
	if s, ok := known[name]; ok {
		return s
	}
	s := string([]byte(name))
	known[s] = s
	return s
}

func put(index map[string]map[string]time.Time, outer, inner string, since time.Time) {
	if index[outer] == nil {
		index[outer] = map[string]time.Time{}
	}
	index[outer][inner] = since
}

// BenchmarkGrowth shows the cost of an event and the memory of a session as the
// number of sessions grows, half of them with an ID. After everybody has logged in,
// up to a million logouts and logins are timed, at most ten per session.
func BenchmarkGrowth(b *testing.B) {
	for _, size := range []struct {
		name string
		n    int
	}{{"1k", 1_000}, {"10k", 10_000}, {"100k", 100_000}, {"1M", 1_000_000}, {"10M", 10_000_000}} {
		b.Run(size.name, func(b *testing.B) {
			for b.Loop() {
				grown(b, kit.NewFleet(1, kit.Mixed, kit.Scale(size.n)))
			}
		})
	}
}

// BenchmarkPrefetch folds batches alternately with and without prefetching, and
// reports the median of each: prefetchThreshold should be where prefetching starts
// to pay.
func BenchmarkPrefetch(b *testing.B) {
	for _, pairs := range []int{1_000, 10_000, 20_000, 100_000} {
		b.Run(strconv.Itoa(pairs), func(b *testing.B) {
			f := kit.NewFleet(1, kit.Mixed, kit.Scale(pairs))
			r := f.Roster()
			var batch roster.Batch
			const size = 500
			var took [2][]float64 // with, without
			for b.Loop() {
				for range kit.Scale(4000) {
					with := len(took[0]) == len(took[1])
					restore := roster.Prefetch(with)
					f.Fill(&batch, size)
					start := time.Now()
					r.Fold(&batch)
					ns := float64(time.Since(start).Nanoseconds()) / size
					restore()
					if with {
						took[0] = append(took[0], ns)
					} else {
						took[1] = append(took[1], ns)
					}
				}
			}
			for i, unit := range []string{"with-ns/event", "without-ns/event"} {
				slices.Sort(took[i])
				b.ReportMetric(took[i][len(took[i])/2], unit)
			}
		})
	}
}

func grown(b *testing.B, f *kit.Fleet) {
	before := inUse()
	r := f.Roster()
	b.ReportMetric(float64(inUse()-before)/float64(r.Status().Sessions), "B/session")
	var batch roster.Batch
	var took time.Duration
	n := min(10*f.Pairs(), kit.Scale(1_000_000))
	for range n / 500 {
		f.Fill(&batch, 500)
		start := time.Now()
		r.Fold(&batch)
		took += time.Since(start)
	}
	b.ReportMetric(float64(took.Nanoseconds())/float64(n), "ns/event")
}

func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkCeilings measures the memory at the ceilings, with the default limits: of
// one hostile machine that logs in new sessions forever, with all details, and of a
// fleet whose machines are short-lived.
func BenchmarkCeilings(b *testing.B) {
	b.Run("hostile", func(b *testing.B) {
		long := strings.Repeat("x", 245)
		atCeiling(b, kit.Scale(10_000_000), func(i int, e *roster.Event) {
			e.Date = start + roster.Time(i)*roster.Time(time.Millisecond)
			e.Machine = "hostile"
			e.Session = roster.Session{
				User: fmt.Sprintf("%s%09d", long, i), ID: fmt.Sprintf("%s%09d", long, i),
				Terminal: long, Remote: long, Service: long,
			}
			if i%4 == 3 { // half of those who came leave
				e.Type, e.Session = roster.Logout, roster.Session{ID: fmt.Sprintf("%s%09d", long, i-1)}
			}
		})
	})
	b.Run("churn", func(b *testing.B) {
		atCeiling(b, kit.Scale(16_000_000), func(i int, e *roster.Event) {
			// As many machines as the limit are heard within the allowed lateness.
			e.Date = start + roster.Time(i/4)*(roster.Time(720*time.Hour)/roster.Time(limited().MaxMachines))
			e.Machine = fmt.Sprintf("ci-runner-%09d.example.com", i/4)
			e.Session = roster.Session{User: fmt.Sprintf("job-%09d", i/8), ID: "1"}
			switch i % 4 {
			case 2:
				e.Type = roster.Logout
			case 3:
				e.Type, e.Session = roster.Shutdown, roster.Session{}
			}
		})
	})
}

// limited returns the default settings with MaxMachines scaled.
func limited() roster.Settings {
	s := roster.DefaultSettings()
	s.MaxMachines = kit.Scale(s.MaxMachines)
	return s
}

func atCeiling(b *testing.B, events int, next func(i int, e *roster.Event)) {
	for b.Loop() {
		before := inUse()
		r := roster.New(limited())
		var batch roster.Batch
		batch.Messages = make([]roster.Message, 500)
		for i := 0; i < events; {
			for j := range batch.Messages {
				m := &batch.Messages[j]
				*m = roster.Message{Place: uint64(i + 1), Event: roster.Event{Type: roster.Login}}
				next(i, &m.Event)
				m.Receipt = m.Event.Date
				i++
			}
			batch.End.Place = uint64(i)
			r.Fold(&batch)
		}
		b.ReportMetric(float64(inUse()-before)/1e6, "MB")
		st := r.Status()
		b.ReportMetric(float64(st.Machines), "machines")
		b.ReportMetric(float64(st.Sessions), "open")
	}
}
