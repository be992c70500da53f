package history

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// newYear is when the events of a kit.Fleet begin; the stays of these benchmarks are
// those of the year before.
var newYear = roster.TimeOf(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC))

const (
	day  = roster.Time(24 * time.Hour)
	year = 365 * day
)

// past is a history of the stays of a year, after which one user logged in for each pair of
// the fleet: five on a machine.
type past struct {
	path            string
	long            bool // the stays last for weeks: five are on on each machine
	fleet           *kit.Fleet
	stays, machines int
	place           uint64
}

// newPast returns a copy of a history of n stays on so many machines, created if no earlier
// benchmark did.
func newPast(b *testing.B, n, machines int, long bool) *past {
	b.Helper()
	p := &past{path: filepath.Join(b.TempDir(), FileName), long: long, stays: n, machines: machines}
	p.fleet = kit.NewFleet(1, kit.Five, 5*p.machines)
	p.machines = p.fleet.Machines()
	dir := kit.BenchDir()
	if dir == "" {
		dir = b.TempDir()
	}
	kept := filepath.Join(dir, fmt.Sprintf("history-%d-%d-%t-v%d.db", n, machines, long, version))
	if _, err := os.Stat(kept); err != nil {
		must(b, p.create(b, kept+".new"))
		must(b, os.Rename(kept+".new", kept))
	} else {
		var m roster.Message
		for range p.fleet.Pairs() {
			p.fleet.Next(&m)
		}
	}
	p.place = uint64(p.fleet.Pairs())
	must(b, copyFile(p.path, kept))
	return p
}

func must(b testing.TB, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	if err := out.Sync(); err != nil {
		return err
	}
	return out.Close()
}

// create writes the logins of a fleet, and the stays of the year before.
func (p *past) create(b *testing.B, path string) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		_ = os.Remove(path + suffix)
	}
	w := openForBench(b, path)
	for p.place < uint64(p.fleet.Pairs()) {
		if err := w.write([]*batch{p.next(min(50_000, p.fleet.Pairs()-int(p.place)))}); err != nil {
			return err
		}
	}
	r := rand.New(rand.NewPCG(2, 0))
	for n := 0; n < p.stays; {
		if err := exec(w.c, "begin immediate"); err != nil {
			return err
		}
		for ; n < p.stays; n++ {
			if err := w.ended.add(p.stay(r, n)); err != nil {
				return err
			}
			if len(w.ended.pending) == 50_000 {
				n++
				break
			}
		}
		if err := w.end(w.saveState()); err != nil {
			return err
		}
	}
	if err := exec(w.c, "update machines set first = ?", newYear-year); err != nil {
		return err
	}
	return w.c.Close()
}

// users is how many users the stays have: the first ones of the fleet.
func (p *past) users() int { return p.machines / 2 }

// stay returns the nth stay of a year: it lasted some minutes to a few days, or weeks.
func (p *past) stay(r *rand.Rand, n int) endedRow {
	lasted := roster.Time(float64(time.Hour) * math.Exp(r.NormFloat64()*1.5))
	if p.long {
		lasted = roster.Time(18 * 24 * float64(time.Hour) * r.ExpFloat64())
	}
	ended := newYear - year + year/roster.Time(p.stays)*roster.Time(n)
	machine := r.IntN(p.machines)
	return endedRow{
		endedKey: endedKey{class: classOf(lasted), since: ended - lasted, machine: int64(machine + 1)},
		user:     int64((machine*5+r.IntN(5))*7%p.users() + 1), session: fmt.Sprintf("c%d", r.IntN(10_000)),
		ended: ended, how: LoggedOut, detail: 1,
	}
}

// next returns the next n events, as a batch.
func (p *past) next(n int) *batch {
	a := &batch{settings: roster.DefaultSettings(), first: 1, receipt: 1, events: make([]Accepted, n)}
	var m roster.Message
	for i := range a.events {
		p.fleet.Next(&m)
		p.place++
		a.events[i] = Accepted{p.place, m.Event}
	}
	a.end.Place = p.place
	return a
}

func openForBench(b *testing.B, path string) *writer {
	b.Helper()
	c, err := openWriter(path)
	must(b, err)
	w, err := newWriter(c, path)
	must(b, err)
	return w
}

// used is what a process has used so far.
type used struct {
	cpu     time.Duration
	written int64
}

func usage(b *testing.B) used {
	b.Helper()
	var r syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &r))
	u := used{cpu: time.Duration(r.Utime.Nano() + r.Stime.Nano())}
	text, err := os.ReadFile("/proc/self/io")
	must(b, err)
	_, err = fmt.Sscanf(string(text[strings.Index(string(text), "wchar:"):]), "wchar: %d", &u.written)
	must(b, err)
	return u
}

// BenchmarkWrite writes events where 10 M stays are: in a replay, 200,000 to a
// transaction; and at 1,000 a second, 60,000 to a transaction.
func BenchmarkWrite(b *testing.B) {
	for _, c := range []struct {
		name          string
		each, batches int
	}{{"replay", defaultLimits.catchUpAt, 8}, {"steady", 60_000, 12}} {
		b.Run(c.name, func(b *testing.B) {
			for range b.N {
				p := newPast(b, kit.Scale(10_000_000), kit.Scale(100_000), false)
				w := openForBench(b, p.path)
				var took, cpu time.Duration
				var written int64
				batches := kit.Scale(c.batches*100) / 100
				for i := range batches {
					if i == batches/4 {
						took, cpu, written = 0, 0, 0 // by now it remembers what it needs
					}
					next := p.next(c.each)
					before, start := usage(b), time.Now()
					must(b, w.write([]*batch{next}))
					took += time.Since(start)
					after := usage(b)
					cpu += after.cpu - before.cpu
					written += after.written - before.written
				}
				events := float64(c.each * (batches - batches/4))
				b.ReportMetric(events/took.Seconds(), "events/s")
				b.ReportMetric(float64(cpu.Microseconds())/events, "cpu-µs/event")
				b.ReportMetric(float64(written)/events, "B-written/event")
				must(b, w.c.Close())
			}
		})
	}
}

// BenchmarkFoldWhileWriting folds batches of 500 events, alone, and while a history is
// given them and writes them.
func BenchmarkFoldWhileWriting(b *testing.B) {
	b.Run("alone", func(b *testing.B) { foldBeside(b, func(*roster.Roster) *History { return nil }) })
	b.Run("writing", func(b *testing.B) {
		foldBeside(b, func(r *roster.Roster) *History {
			return Open(Config{
				Dir: b.TempDir(), Roster: r, Keep: time.Duration(year), MaxBytes: 1 << 40, Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(),
				CaughtUp: func() bool { return true },
				Restore:  func(uint64) (*roster.Roster, error) { return nil, nil },
				Read: func(ctx context.Context, _ roster.Position, _ func(Decode)) error {
					<-ctx.Done()
					return ctx.Err()
				},
			})
		})
	})
}

func foldBeside(b *testing.B, open func(*roster.Roster) *History) {
	for b.Loop() {
		f := kit.NewFleet(1, kit.Five, kit.Scale(500_000))
		r := roster.New(roster.DefaultSettings())
		h := open(r)
		ctx, end := context.WithCancel(b.Context())
		var g sync.WaitGroup
		if h != nil {
			g.Go(func() { h.Run(ctx) })
		}
		took := make([]time.Duration, kit.Scale(2_000))
		var batch roster.Batch
		tick := time.NewTicker(50 * time.Millisecond) // 10,000 events a second
		for i := range took {
			<-tick.C
			f.Fill(&batch, 500)
			start := time.Now()
			r.Fold(&batch)
			if h != nil {
				h.Put(&batch)
			}
			took[i] = time.Since(start)
		}
		if h != nil && h.Behind() {
			b.Error("the history fell behind")
		}
		end()
		g.Wait()
		if h != nil {
			h.Close()
		}
		took = took[len(took)/2:] // by then everybody had logged in
		slices.Sort(took)
		b.ReportMetric(micros(took[len(took)/2]), "p50-µs/batch")
		b.ReportMetric(micros(took[len(took)-1-len(took)/1000]), "p99.9-µs/batch")
	}
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// viewOf calls show with a history as a reader sees it, beside the writer: the connections
// of a process share the memory of their page caches.
func viewOf(b *testing.B, p *past, show func(*View)) {
	b.Helper()
	w := openForBench(b, p.path)
	defer w.c.Close()
	must(b, asReader(b, p.path, func(v *View) error { show(v); return nil }))
}

// BenchmarkFleet asks who was on anywhere at random moments of the year, of 100,000
// machines with five users each.
func BenchmarkFleet(b *testing.B) {
	p := newPast(b, kit.Scale(10_000_000), kit.Scale(100_000), true)
	viewOf(b, p, func(v *View) {
		r := rand.New(rand.NewPCG(4, 0))
		users := 0
		for b.Loop() {
			at := newYear - year/12 - roster.Time(r.Int64N(int64(year/2)))
			f, err := v.Fleet(at, "", at)
			must(b, err)
			must(b, f.Machines(v, "", func(_ string, on []string) bool {
				users += len(on)
				return true
			}))
		}
		b.ReportMetric(float64(users)/float64(b.N), "users/op")
	})
}

// BenchmarkCounts asks how many were on in 24 hours, in steps of 5 minutes, on 100,000
// machines with 400,000 stays in that time; and again after each of six minutes in which
// 1,000 events a second were written, one in a thousand of them up to an hour late.
func BenchmarkCounts(b *testing.B) {
	for range b.N {
		p := &past{path: filepath.Join(b.TempDir(), FileName), fleet: kit.NewFleet(1, kit.Shape{1}, kit.Scale(100_000))}
		w := openForBench(b, p.path)
		c, log := newCounts(), new(transactions)
		now := newYear
		write := func(during roster.Time, n int) {
			must(b, w.write([]*batch{p.nextWithin(now, during, n)}))
			log.add(w.last)
			now += during
		}
		ask := func() (took time.Duration) {
			viewOf(b, p, func(v *View) {
				start := time.Now()
				list, err := c.count(v, log, &CountSpan{now - day, now, 5 * minute})
				took = time.Since(start)
				must(b, err)
				if len(list) < 288 || list[0].Sessions == 0 {
					b.Fatalf("%d counts, the first %+v", len(list), list[0])
				}
			})
			return took
		}
		write(0, p.fleet.Pairs())
		for range 24 {
			write(day/24, kit.Scale(800_000)/24)
		}
		b.ReportMetric(float64(w.state.Stays), "stays")
		first, again := ask(), time.Duration(0)
		for range 6 {
			for range 12 {
				write(minute/12, kit.Scale(5000))
			}
			again = max(again, ask())
		}
		if c.sweeps != 1 {
			b.Fatalf("%d sweeps", c.sweeps)
		}
		b.ReportMetric(float64(first.Milliseconds()), "first-ms")
		b.ReportMetric(float64(again.Milliseconds()), "again-ms")
		with := inUse()
		runtime.KeepAlive(ask)
		c, log = counts{}, nil
		b.ReportMetric(float64(with-inUse())/1e6, "kept-MB")
		must(b, w.c.Close())
	}
}

// inUse returns how many bytes of memory are in use.
func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// nextWithin returns the next n events, received evenly during a time, and dated as long
// before that as the fleet has them.
func (p *past) nextWithin(from, during roster.Time, n int) *batch {
	a := p.next(n)
	for i := range a.events {
		e := &a.events[i]
		late := newYear + roster.Time(e.Place)*roster.Time(time.Second) - e.Date
		e.Date = from + during/roster.Time(n)*roster.Time(i) - late
	}
	return a
}

// BenchmarkDisk says how large the file is.
func BenchmarkDisk(b *testing.B) {
	p := newPast(b, kit.Scale(10_000_000), kit.Scale(100_000), false)
	file, err := os.Stat(p.path)
	must(b, err)
	for b.Loop() {
	}
	b.ReportMetric(float64(file.Size())/float64(p.stays), "B/stay")
}
