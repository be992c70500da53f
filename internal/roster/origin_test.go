package roster_test

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/roster"
)

// plainOrigin is an origin as the contract describes it: it keeps every number that was
// seen.
type plainOrigin struct {
	seen   map[uint64]bool
	from   uint64 // numbers below it are not looked at any more
	older  uint64 // those of them that are missing
	newest roster.Time
	reused uint64
}

// gaps returns the runs of numbers that are missing, first and last, in order.
func (o *plainOrigin) gaps() (gaps [][2]uint64) {
	next := o.from
	for _, n := range slices.Sorted(maps.Keys(o.seen)) {
		if n < next {
			continue
		}
		if n > next {
			gaps = append(gaps, [2]uint64{next, n - 1})
		}
		next = n + 1
	}
	return gaps
}

func (o *plainOrigin) see(number uint64, date roster.Time) {
	highest, isMissing := slices.Max(slices.Collect(maps.Keys(o.seen))), false
	for _, g := range o.gaps() {
		isMissing = isMissing || g[0] <= number && number <= g[1]
	}
	if number <= highest && !isMissing && date > o.newest {
		o.reused++
	}
	o.newest = max(o.newest, date)
	o.seen[number] = true
	if gaps := o.gaps(); len(gaps) > 32 {
		o.older = atMost(o.older, gaps[0][1]-gaps[0][0], 1)
		o.from = gaps[0][1] + 1
	}
}

func (o *plainOrigin) missing() uint64 {
	n := o.older
	for _, g := range o.gaps() {
		n = atMost(n, g[1]-g[0], 1)
	}
	return n
}

// atMost adds numbers, up to 2^40.
func atMost(numbers ...uint64) uint64 {
	sum := 0.0
	for _, n := range numbers {
		sum += float64(n)
	}
	return uint64(min(sum, 1<<40))
}

// plainNumbers are the origins of one machine, those heard last at the end.
type plainNumbers struct {
	names   []string
	origins map[string]*plainOrigin
	left    uint64
}

func (p *plainNumbers) see(e *roster.Event) {
	if e.Origin == "" {
		return
	}
	p.names = append(slices.DeleteFunc(p.names, func(n string) bool { return n == e.Origin }), e.Origin)
	o := p.origins[e.Origin]
	if o == nil {
		if len(p.names) > 4 {
			p.left = atMost(p.left, p.origins[p.names[0]].missing())
			delete(p.origins, p.names[0])
			p.names = p.names[1:]
		}
		o = &plainOrigin{seen: map[uint64]bool{e.Number: true}, from: e.Number, newest: e.Date}
		if e.Number <= 65 {
			o.from = 1
		}
		p.origins[e.Origin] = o
		return
	}
	o.see(e.Number, e.Date)
}

func (p *plainNumbers) missing() uint64 {
	n := p.left
	for _, o := range p.origins {
		n = atMost(n, o.missing())
	}
	return n
}

func (p *plainNumbers) list() []roster.Origin {
	var list []roster.Origin
	for _, name := range slices.Sorted(maps.Keys(p.origins)) {
		o := p.origins[name]
		list = append(list, roster.Origin{
			Name: name, Number: slices.Max(slices.Collect(maps.Keys(o.seen))), Date: o.newest, Missing: o.missing(), Reused: o.reused,
		})
	}
	return list
}

// agents draw numbers as agents do: one more each time, some of them lost, repeated,
// from a folder that was restored, or forged.
type agents struct {
	next map[string]uint64
	sent []roster.Event // with a number
}

func (a *agents) number(t *rapid.T, e *roster.Event) {
	e.Origin = e.Machine + rapid.SampledFrom([]string{"", "", "", "", "", "1", "2", "3", "4", "5"}).Draw(t, "origin")
	if a.next[e.Origin] == 0 {
		a.next[e.Origin] = rapid.SampledFrom([]uint64{1, 1, 1, 2, 65, 66, 1000}).Draw(t, "first")
	}
	switch rapid.IntRange(0, 19).Draw(t, "how") {
	case 0, 1, 2, 3:
		a.next[e.Origin] += uint64(rapid.IntRange(1, 3).Draw(t, "lost"))
	case 4:
		a.next[e.Origin] = max(1, a.next[e.Origin]-min(a.next[e.Origin]-1, uint64(rapid.IntRange(1, 20).Draw(t, "restored"))))
	case 5:
		e.Number = rapid.SampledFrom([]uint64{math.MaxUint64, math.MaxUint64 - 1, 1 << 41, 1 << 40, 5}).Draw(t, "forged")
		return
	case 6:
		e.Origin = ""
		return
	}
	e.Number = a.next[e.Origin]
	a.next[e.Origin]++
}

// TestMissing: what is missing among the numbers is what a plain model says, after
// restarts, too; and nothing else depends on them.
func TestMissing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := settings()
		s.MaxSessionsPerMachine = rapid.SampledFrom([]int{0, 2}).Draw(t, "sessions on a machine")
		r, without := roster.New(s), roster.New(s)
		want := map[string]*plainNumbers{}
		a := agents{next: map[string]uint64{}}
		n := rapid.IntRange(0, 150).Draw(t, "messages")
		for place := uint64(1); place <= uint64(n); place++ {
			receipt := start + roster.Time(place)*hour/4
			m := roster.Message{Place: place, Receipt: receipt, Event: event(t, receipt-roster.Time(rapid.IntRange(-20, 700).Draw(t, "age"))*roster.Time(time.Minute))}
			if len(a.sent) > 0 && rapid.IntRange(0, 5).Draw(t, "repeated") == 0 {
				m.Event = rapid.SampledFrom(a.sent).Draw(t, "which")
			} else if a.number(t, &m.Event); m.Event.Number > 0 {
				a.sent = append(a.sent, m.Event)
			}
			plain := m
			plain.Event.Origin, plain.Event.Number = "", 0
			got, same := fold(r, m)[0], fold(without, plain)[0]
			if got.Fate != same.Fate || !reflect.DeepEqual(got.Refusal, same.Refusal) {
				t.Fatalf("fate %v %v, without a number %v %v", got.Fate, got.Refusal, same.Fate, same.Refusal)
			}
			p := want[m.Event.Machine]
			if p == nil {
				if got.Refusal != nil {
					continue // it proves nothing about a machine that nobody knows
				}
				p = &plainNumbers{origins: map[string]*plainOrigin{}}
				want[m.Event.Machine] = p
			}
			p.see(&m.Event)
			switch rapid.IntRange(0, 9).Draw(t, "then") {
			case 0:
				r = restore(t, r)
			case 1:
				fold(r, m) // it is read again
			}
		}
		sum := uint64(0)
		for name, p := range want {
			sum += p.missing()
			r.Machine(name, func(v roster.View) {
				if got := v.Origins(); !slices.Equal(got, p.list()) || v.Missing() != p.missing() {
					t.Fatalf("%s: %d missing, %+v; want %d, %+v", name, v.Missing(), got, p.missing(), p.list())
				}
			})
		}
		if got := r.Status().Missing; got != sum {
			t.Fatalf("%d missing in all, want %d", got, sum)
		}
		if !reflect.DeepEqual(seen(r), seen(without)) {
			t.Fatal("who is on depends on numbers")
		}
	})
}

// TestMissingOfEvicted: what was missing of a machine that left the roster stays in the
// sum, after a restart too.
func TestMissingOfEvicted(t *testing.T) {
	s := settings()
	s.MaxMachines = 1
	r := roster.New(s)
	for place := uint64(1); place <= 4; place++ {
		date := start + roster.Time(place)*100*hour
		fold(r, roster.Message{Place: place, Receipt: date, Event: roster.Event{
			Date: date, Type: roster.Boot, Machine: fmt.Sprint("web", place), Origin: "o", Number: 3,
		}})
	}
	r = restore(t, r)
	if got := r.Status().Missing; got != 8 || r.Machine("web1", func(roster.View) {}) {
		t.Errorf("%d missing; web1 is there: %v", got, r.Machine("web1", func(roster.View) {}))
	}
}

// TestMissingJudgedBefore: what a copy of the stream gives again was seen before.
func TestMissingJudgedBefore(t *testing.T) {
	r := roster.New(settings())
	for place, number := range []uint64{5, 6, 7} {
		r.Fold(&roster.Batch{
			Messages: []roster.Message{{Place: uint64(place + 1), Receipt: start, Event: roster.Event{Date: start + roster.Time(number), Type: roster.Boot, Machine: "web", Origin: "o", Number: number}}},
			End:      roster.Position{Place: uint64(place + 1), Judged: start * roster.Time(place%2)},
		})
	}
	if got := r.Status().Missing; got != 5 {
		t.Errorf("%d missing, want 1 to 4, and 6, which was judged before", got)
	}
}

// TestEvery: how often a machine lists who is on is what its last present says, in any
// order; a boot or shutdown since leaves it unknown.
func TestEvery(t *testing.T) {
	present := func(at int, every time.Duration) roster.Event {
		return roster.Event{Date: start + roster.Time(at), Type: roster.Present, Machine: "web", Every: every}
	}
	boot := roster.Event{Date: start + 5, Type: roster.Boot, Machine: "web"}
	for name, c := range map[string]struct {
		events []roster.Event
		want   time.Duration
	}{
		"none":            {[]roster.Event{present(1, 0)}, 0},
		"told":            {[]roster.Event{present(1, 15*time.Minute)}, 15 * time.Minute},
		"an earlier one":  {[]roster.Event{present(2, time.Hour), present(1, time.Minute)}, time.Hour},
		"an earlier none": {[]roster.Event{present(2, 0), present(1, time.Minute)}, 0},
		"before a boot":   {[]roster.Event{boot, present(1, time.Minute)}, 0},
		"after a boot":    {[]roster.Event{present(6, time.Minute), boot}, time.Minute},
	} {
		r := roster.New(settings())
		for i, e := range c.events {
			fold(r, roster.Message{Place: uint64(i + 1), Receipt: start + 100, Event: e})
		}
		for _, r := range []*roster.Roster{r, restore(t, r)} {
			r.Machine("web", func(v roster.View) {
				if v.Every() != c.want {
					t.Errorf("%s: every %v, want %v", name, v.Every(), c.want)
				}
			})
		}
	}
}
