package fleet_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"rollcall/internal/api"
	"rollcall/internal/web/fleet"
)

// machines returns so many machines with two users each, three of four of whom are on
// another machine too.
func machines(n int) []api.Machine {
	all := make([]api.Machine, n)
	for i := range all {
		all[i] = api.Machine{
			Name:  fmt.Sprintf("ws-%07d.site%02d.example.com", i, i%20),
			Heard: time.Unix(int64(i), 0), Changed: time.Unix(int64(i), 0),
			Users: []string{fmt.Sprintf("anna.adler%d", i/4*3+i%4%3), fmt.Sprintf("svc-%d", i/1000)},
		}
	}
	return all
}

// sizes are those of the fleets that are measured.
var sizes = []int{10_000, 100_000, 1_000_000}

// BenchmarkMemory measures what a fleet takes, beside the names that came with it.
func BenchmarkMemory(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				before := heap()
				f := fleet.New()
				f.Fill(machines(n))
				b.ReportMetric(float64(heap()-before)/float64(n), "B/machine")
				f.Layout()
				b.ReportMetric(float64(heap()-before)/float64(n), "B/machine-with-map")
				runtime.KeepAlive(f)
			}
		})
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkNew measures a machine that is new among others.
func BenchmarkNew(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f := fleet.New()
			f.Fill(machines(n))
			i := 0
			for b.Loop() {
				i++
				f.Set(api.Machine{Name: fmt.Sprintf("ws-%07d-new.site%02d.example.com", i*7919%n, i%20), Users: []string{"kim"}})
			}
		})
	}
}

// BenchmarkViews measures what views have in common: the map, a filtered list, a sorted
// one, each after a change.
func BenchmarkViews(b *testing.B) {
	for _, n := range sizes {
		f := fleet.New()
		all := machines(n)
		f.Fill(all)
		change := func(i int) {
			m := all[i%n]
			m.Users = m.Users[:1+i%2]
			f.Set(m)
		}
		filter, _ := fleet.ParseFilter("user:adler77 site0")
		for name, view := range map[string]func(){
			"map":      func() { f.Layout() },
			"filtered": func() { f.Machines(&fleet.Selection{Filter: filter}).Rows(0, 50) },
			"sorted":   func() { f.Machines(&fleet.Selection{Sort: "users"}).Rows(0, 50) },
			"natural":  func() { f.Machines(&fleet.Selection{}).Rows(n/2, 50) },
		} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					change(i)
					view()
				}
			})
		}
	}
}
