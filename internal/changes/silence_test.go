package changes

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats-server/v2/server"
	"pgregory.net/rapid"

	"rollcall/internal/api"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// begin begins to publish; only tick publishes more.
func (w *world) begin() {
	w.feed = w.roster.OpenFeed(1000)
	w.restart(w.roster.Status().Position.Place)
}

// due publishes what changed, and a beat.
func (w *world) due() {
	w.lastBeat = time.Time{}
	w.tick(w.t.Context())
}

// wantLists expects a beat next, such as "+web1 -web2 !web3 4": what fell silent, was heard
// again and is gone, and how many are silent.
func (w *world) wantLists(want string) {
	w.t.Helper()
	b, err := api.DecodeBeat(w.next().Data)
	var fields []string
	for i, sign := range []string{"+", "-", "!"} {
		for _, name := range *listsOf(&b)[i] {
			fields = append(fields, sign+name)
		}
	}
	if got := strings.Join(append(fields, fmt.Sprint(b.SilentMachines)), " "); err != nil || got != want || b.More {
		w.t.Errorf("%+v: %q (%v), want %q", b, got, err, want)
	}
}

// boots folds a boot of each machine, received so many seconds after kit.At.
func (w *world) boots(at int, machines ...string) {
	st := w.roster.Status()
	receipt := roster.TimeOf(kit.At.Add(time.Duration(at) * time.Second))
	b := roster.Batch{End: st.Position}
	for _, machine := range machines {
		b.End.Place++
		e := roster.Event{Date: receipt, Type: roster.Boot, Machine: machine}
		b.Messages = append(b.Messages, roster.Message{Place: b.End.Place, Receipt: receipt, Event: e})
	}
	w.roster.Fold(&b)
}

// TestSilence: each beat lists who fell silent, who was heard again and who is gone since
// the one before.
func TestSilence(t *testing.T) {
	w := newWorld(t)
	w.boots(0, "web1", "web2", "db1")
	w.boots(-100, "old1", "old2")
	w.begin()
	w.wantLists("2") // old1 and old2 are known from reports
	w.due()
	w.wantLists("2")
	w.now.Store(61)
	w.due()
	w.wantLists("+db1 +web1 +web2 5")
	w.boots(100, "web1", "old2")
	w.now.Store(100)
	w.due()
	w.wantLists("-old2 -web1 3")
	kit.Feed(w.roster, kit.Login("db1", "lane")) // received long ago
	w.due()
	w.wantLists("3")
	w.wantChange("db1 8 5 +lane =lane")
	lateness := int(roster.DefaultSettings().AllowedLateness / time.Second)
	w.boots(lateness+30, "web2")
	w.now.Store(int64(lateness) + 30)
	w.due() // db1 has a user
	w.wantLists("+old2 +web1 -web2 !old1 3")
}

// TestSilenceUntold: a machine that the next change tells of is in no list before it, and is
// silent if the change says so.
func TestSilenceUntold(t *testing.T) {
	w := newWorld(t)
	w.now.Store(1000)
	w.begin()
	w.wantLists("0")
	w.boots(0, "web1")
	w.due() // the beat comes first
	w.wantLists("0")
	w.wantChange("web1 1 0")
	w.due()
	w.wantLists("1")
	w.boots(1000, "web1")
	w.due()
	w.wantLists("-web1 0")
}

// TestSilenceBetweenBeats: a machine that was heard, as a change told, and that fell silent
// again since, is listed, and so is one that changes told of otherwise than beats.
func TestSilenceBetweenBeats(t *testing.T) {
	w := newWorld(t)
	w.boots(0, "web1")
	w.now.Store(61)
	w.begin()
	w.wantLists("1")
	w.boots(100, "web2")
	kit.Feed(w.roster, kit.Login("web1", "lane")) // received at 3 s
	w.now.Store(62)
	w.tick(t.Context())
	for range 2 {
		w.next()
	}
	w.now.Store(70)
	w.due()
	w.wantLists("+web1 1")
}

// TestSilenceRestart: the first beat after the connection was lost lists what changed since
// the one before, unless changes were dropped: the numbers of machines may be those of others
// since.
func TestSilenceRestart(t *testing.T) {
	w := newWorld(t)
	w.boots(0, "web1")
	w.begin()
	w.wantLists("0")
	w.boots(10, "web2") // watchers ask for a report
	w.now.Store(100)
	w.feed.Take()
	w.recordMissed(errors.New("lost"))
	w.tick(t.Context())
	w.wantLists("+web1 2")
	w.boots(100, "web1")
	for range 501 { // more than the feed has space for
		kit.Feed(w.roster, kit.Login("web3", "lane"), kit.Logout("web3", "lane"))
	}
	w.tick(t.Context())
	w.wantLists("1")
}

// TestSilenceModel: who applies the beats and changes to what was known at first knows which
// machines reports show and which are silent.
func TestSilenceModel(t *testing.T) {
	w := newWorld(t)
	rapid.Check(t, func(t *rapid.T) {
		w.roster, w.number = roster.New(roster.Settings{MaxSkew: time.Hour, AllowedLateness: 5 * time.Minute}), 0
		w.Roster, w.Publisher.number, w.silence, w.previous = w.roster, 0, silence{}, nil
		now := 0
		w.now.Store(0)
		step := func() {
			now += rapid.SampledFrom([]int{0, 10, 30, 100}).Draw(t, "seconds")
			w.now.Store(int64(now))
			at := now - rapid.SampledFrom([]int{0, 0, 5, 70, 400}).Draw(t, "delay")
			for range rapid.IntRange(0, 3).Draw(t, "events") {
				machine := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "machine")
				if rapid.Bool().Draw(t, "login") {
					kit.Feed(w.roster, kit.Login(machine, "lane"))
				} else {
					w.boots(at, machine)
				}
			}
		}
		step()
		w.begin()
		known := w.states()
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			step()
			if rapid.Bool().Draw(t, "beat") {
				w.due()
			} else {
				w.tick(w.t.Context())
			}
		}
		w.due()
		w.due() // who was heard late is gone in the next one
		if err := w.conn.Flush(); err != nil {
			t.Fatal(err)
		}
		w.apply(known)
		if want := w.states(); !reflect.DeepEqual(known, want) {
			t.Fatalf("known %v, want %v", known, want)
		}
	})
}

// states returns which machines reports show, and whether they are silent.
func (w *world) states() map[string]bool {
	states, is := map[string]bool{}, w.Silent(time.Now())
	for v := range w.roster.Machines("") {
		states[v.Name()] = is(v.Heard(), v.Every())
	}
	return states
}

// apply applies all messages up to the last to what is known.
func (w *world) apply(known map[string]bool) {
	for w.number < w.Publisher.number {
		m := w.next()
		if m.Subject != "rollcall.changes" {
			c, err := api.DecodeChange(m.Data)
			if err != nil {
				w.t.Fatal(err)
			}
			known[c.Machine] = c.Silent
			continue
		}
		b, err := api.DecodeBeat(m.Data)
		if err != nil {
			w.t.Fatal(err)
		}
		silent := 0
		for i, names := range listsOf(&b) {
			for _, name := range *names {
				if _, is := known[name]; !is {
					w.t.Errorf("%s of %s is not known", name, m.Data)
				}
				if known[name] = i == 0; i == 2 {
					delete(known, name)
				}
			}
		}
		for _, is := range known {
			if is {
				silent++
			}
		}
		if silent != b.SilentMachines {
			w.t.Errorf("%s: %d are silent in %v", m.Data, silent, known)
		}
	}
}

// TestBeatInPages: names that do not fit in one message are on several, each once.
func TestBeatInPages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := api.Beat{
			When: kit.At.Add(1), Place: math.MaxUint64, Since: math.MaxUint64, Instance: strings.Repeat("x", 22),
			Number: math.MaxUint64, SilentMachines: math.MaxInt,
		}
		names := rapid.SliceOfN(rapid.OneOf(rapid.StringN(1, 20, 255), rapid.Just(strings.Repeat("\u00e9\"", 85))), 0, 100)
		for _, list := range listsOf(&b) {
			*list = names.Draw(t, "names")
		}
		most := rapid.IntRange(maxBeatHead+700, 8<<10).Draw(t, "most")
		pages := pagesOf(b, most)
		var got [3][]string
		for i := range pages {
			data, err := json.Marshal(&pages[i])
			if err != nil || len(data) > most {
				t.Fatalf("page %d has %d bytes, at most %d (%v)", i, len(data), most, err)
			}
			page, err := api.DecodeBeat(data)
			if err != nil || page.More != (i < len(pages)-1) || page.SilentMachines != math.MaxInt || page.Since != b.Since {
				t.Fatalf("page %d: %+v (%v)", i, page, err)
			}
			for i, list := range listsOf(&page) {
				got[i] = append(got[i], *list...)
			}
		}
		for i, list := range listsOf(&b) {
			if !slices.Equal(got[i], *list) {
				t.Fatalf("list %d: %q, want %q", i, got[i], *list)
			}
		}
	})
}

// TestManySilent: so many machines fall silent at once that their names do not fit in one
// message.
func TestManySilent(t *testing.T) {
	w := newWorld(t, func(o *server.Options) { o.MaxPayload = 4 << 10 })
	var machines []string
	for i := range 500 {
		machines = append(machines, fmt.Sprintf("web%03d.example.com", i))
	}
	w.boots(0, machines...)
	w.begin()
	w.wantLists("0")
	w.now.Store(100)
	w.due()
	var silent []string
	for more := true; more; {
		m := w.next()
		b, err := api.DecodeBeat(m.Data)
		if err != nil || b.SilentMachines != 500 || len(m.Data) > 4<<10 {
			t.Fatalf("%s (%v)", m.Data, err)
		}
		silent, more = append(silent, b.Silent...), b.More
	}
	if !slices.Equal(silent, machines) {
		t.Errorf("%d are silent: %q", len(silent), silent)
	}
}

// BenchmarkSilence measures a pass over the fleet, which holds the lock of one machine at a
// time.
func BenchmarkSilence(b *testing.B) {
	r := roster.New(roster.DefaultSettings())
	n := kit.Scale(1_000_000)
	batch := roster.Batch{Messages: make([]roster.Message, 0, 1000)}
	for i := range n {
		batch.End.Place++
		e := kit.Login(fmt.Sprintf("machine-%07d.example.com", i), fmt.Sprintf("user-%d", i%1000))
		e.Date = roster.TimeOf(kit.At)
		if batch.Messages = append(batch.Messages, roster.Message{Place: batch.End.Place, Receipt: e.Date, Event: e}); len(batch.Messages) == cap(batch.Messages) || i == n-1 {
			r.Fold(&batch)
			batch.Messages = batch.Messages[:0]
		}
	}
	is := func(heard roster.Time, every time.Duration) bool { return heard < roster.TimeOf(kit.At) }
	var s silence
	s.pass(r, is, true)
	b.ReportAllocs()
	for b.Loop() {
		s.pass(r, is, false)
	}
	b.ReportMetric(float64(n), "machines")
}
