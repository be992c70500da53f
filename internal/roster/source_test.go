package roster_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/roster"
)

// from returns a message of a source: a login on a machine that is named like it.
func from(place uint64, source, creation string, sequence uint64) roster.Message {
	at := start + roster.Time(place)*roster.Time(time.Minute)
	return roster.Message{
		Place: place, Receipt: at, Source: roster.Sourced{Name: source, Creation: creation, Sequence: sequence},
		Event: roster.Event{Date: at, Type: roster.Login, Machine: source, Session: roster.Session{User: "lane"}},
	}
}

// sourcesOf returns what a roster has read of its sources: "a 3 missing, gap 7".
func sourcesOf(r *roster.Roster) string {
	var list []string
	st := r.Status()
	for _, s := range st.Sources() {
		text := fmt.Sprintf("%s %d missing", s.Name, s.Missing)
		if s.Gap > 0 {
			text += fmt.Sprintf(", gap %d", s.Gap)
		}
		if s.Recreated > 0 {
			text += fmt.Sprintf(", recreated %d", s.Recreated)
		}
		list = append(list, text)
	}
	return strings.Join(list, "; ")
}

func wantSources(t *testing.T, r *roster.Roster, want string) {
	t.Helper()
	if got := sourcesOf(r); got != want {
		t.Errorf("%s; want %s", got, want)
	}
	if got := sourcesOf(restore(t, r)); got != want {
		t.Errorf("restored: %s; want %s", got, want)
	}
}

// TestSourceGap: a step of a source is so many messages missing; the first one is its base.
func TestSourceGap(t *testing.T) {
	r := roster.New(settings())
	got := fold(r, from(1, "a", "x", 44), from(2, "b", "x", 1), from(3, "a", "x", 75), from(4, "b", "x", 2), from(5, "a", "x", 75), from(6, "a", "x", 78))
	wantSources(t, r, "a 32 missing, gap 6; b 0 missing")
	if got[2].Missing != 30 || got[5].Missing != 2 || got[4].Missing != 0 {
		t.Errorf("%+v", got)
	}
	st := r.Status()
	if st.Complete() || st.Losses != (roster.Losses{roster.SourceGap: 6}) || st.Fates[roster.Lost] != 0 {
		t.Errorf("%+v", st)
	}
	r.Accept(5)
	wantSources(t, r, "a 32 missing, gap 6; b 0 missing")
	r.Accept(6)
	wantSources(t, r, "a 32 missing; b 0 missing")
	if st := r.Status(); !st.Complete() || st.Unsettled != 0 {
		t.Errorf("%+v", st)
	}
	fold(r, from(7, "a", "x", 80))
	wantSources(t, r, "a 33 missing, gap 7; b 0 missing")
}

// TestSourceRecreated: a creation never seen is news, one that is known is not.
func TestSourceRecreated(t *testing.T) {
	r := roster.New(settings())
	got := fold(r, from(1, "a", "x", 44), from(2, "a", "y", 3), from(3, "a", "x", 45), from(4, "a", "y", 4), from(5, "b", "y", 9))
	wantSources(t, r, "a 0 missing, recreated 2; b 0 missing")
	if !got[1].Recreated || got[2].Recreated || got[4].Recreated {
		t.Errorf("%+v", got)
	}
	fold(r, from(6, "a", "", 5), from(7, "a", "", 1)) // an old server does not say which creation it is
	wantSources(t, r, "a 0 missing, recreated 7; b 0 missing")
	for i := range 40 { // only some creations are remembered
		fold(r, from(uint64(8+i), "a", fmt.Sprint("z", i), 1))
	}
	wantSources(t, r, "a 0 missing, recreated 47; b 0 missing")
	if n := len(encode(t, r)); n > 600 {
		t.Errorf("%d bytes", n)
	}
}

// TestSourceUpgrade: messages from before the servers told the creation belong to the first
// one that is told.
func TestSourceUpgrade(t *testing.T) {
	r := roster.New(settings())
	fold(r, from(1, "a", "", 44), from(2, "a", "", 46), from(3, "a", "x", 47))
	wantSources(t, r, "a 1 missing, gap 2")
	fold(r, from(4, "a", "x", 49), from(5, "b", "", 10), from(6, "b", "x", 1))
	wantSources(t, r, "a 2 missing, gap 4; b 0 missing, recreated 6")
}

// TestSourceHole: a message that the stream of events itself has lost is not missing a second
// time; each lost place may explain one of each source.
func TestSourceHole(t *testing.T) {
	r := roster.New(settings())
	fold(r, from(1, "a", "x", 1), from(2, "b", "x", 1), from(4, "a", "x", 3), from(5, "b", "x", 3))
	wantSources(t, r, "a 0 missing; b 0 missing")
	fold(r, from(8, "a", "x", 9))
	wantSources(t, r, "a 3 missing, gap 8; b 0 missing")
	fold(r, from(9, "c", "x", 1), from(11, "local", "", 0), from(12, "c", "x", 2), from(13, "c", "x", 4)) // the hole was before
	wantSources(t, r, "a 3 missing, gap 8; b 0 missing; c 1 missing, gap 13")
	fold(r, from(15, "c", "x", 3), from(16, "c", "x", 6)) // one that was sourced once more tells nothing
	wantSources(t, r, "a 3 missing, gap 8; b 0 missing; c 1 missing, gap 13")
}

// TestSourceReadAgain: messages that were read before prove nothing: after a rewind, and in a
// restored copy of the stream.
func TestSourceReadAgain(t *testing.T) {
	r := roster.New(settings())
	all := []roster.Message{from(1, "a", "x", 1), from(2, "a", "x", 4), from(3, "a", "x", 5)}
	fold(r, all...)
	before := encode(t, r)
	fold(r, all[1:]...)
	fold(r, from(2, "a", "z", 9)) // nor does what stands there now
	if !bytes.Equal(encode(t, r), before) {
		t.Errorf("%s after reading again", sourcesOf(r))
	}
	r = foldJudged(t, r, from(4, "a", "y", 1))
	wantSources(t, r, "a 2 missing, gap 2")
	fold(r, from(5, "b", "", 8))
	r = foldJudged(t, r, from(6, "b", "", 3))
	fold(r, from(7, "b", "", 9))
	wantSources(t, r, "a 2 missing, gap 2; b 0 missing")
}

// foldJudged folds a message that was judged in an earlier incarnation of the stream.
func foldJudged(t *testing.T, r *roster.Roster, m roster.Message) *roster.Roster {
	t.Helper()
	end := r.Status().Position
	m.Receipt = start
	end.Place, end.Judged = m.Place, start+hour
	r.Fold(&roster.Batch{Messages: []roster.Message{m}, End: end})
	end.Judged = 0
	r.Fold(&roster.Batch{End: end})
	return r
}

// TestSourceInCopy: a copy of the stream may have messages that were stored before others were
// judged, and were never read. They are not missing.
func TestSourceInCopy(t *testing.T) {
	r := roster.New(settings())
	fold(r, from(1, "a", "x", 1))
	r = foldJudged(t, r, from(2, "a", "x", 2))
	r = foldJudged(t, r, from(3, "a", "x", 4))
	fold(r, from(4, "a", "x", 5))
	wantSources(t, r, "a 1 missing, gap 3")
}

// TestSourceLossConcerns: a loss of a source concerns the machines heard through it, and those
// first heard after it, until they say who is on.
func TestSourceLossConcerns(t *testing.T) {
	r := roster.New(settings())
	fold(r, from(1, "a", "x", 1), from(2, "b", "x", 1), from(3, "local", "", 0))
	fold(r, from(4, "a", "x", 3), from(5, "b", "x", 2))
	want := func(want string) {
		t.Helper()
		for _, r := range []*roster.Roster{r, restore(t, r)} {
			if got := unsettled(t, r); got != want {
				t.Errorf("incomplete are %s; want %s", got, want)
			}
		}
	}
	want("a")
	fresh := from(6, "b", "x", 3)
	fresh.Event.Machine = "fresh"
	fold(r, fresh)
	want("a fresh")
	says := func(place, sequence uint64, source, machine string, after time.Duration) {
		m := from(place, source, "x", sequence)
		m.Event = roster.Event{Date: start + 4*roster.Time(time.Minute) + roster.Time(after), Type: roster.Present, Machine: machine}
		m.Receipt = m.Event.Date
		fold(r, m)
	}
	says(7, 4, "a", "a", 10*time.Minute) // not after the loss and the skew
	want("a fresh")
	says(8, 5, "a", "a", 10*time.Minute+1)
	want("fresh")
	if st := r.Status(); st.Complete() {
		t.Error("complete")
	}
	says(9, 4, "b", "fresh", 11*time.Minute)
	want("")
	if st := r.Status(); st.Complete() || st.CompleteAfter != start+4*roster.Time(time.Minute)+roster.Time(lateness) {
		t.Errorf("%+v: complete before an unknown machine must have been heard", st)
	}
	says(10, 5, "b", "b", lateness+time.Minute)
	if st := r.Status(); !st.Complete() {
		t.Errorf("%+v", st)
	}
}

// unsettled returns the machines that a loss concerns, all of them by gaps of sources.
func unsettled(t *testing.T, r *roster.Roster) string {
	t.Helper()
	var list []string
	for v := range r.Machines("") {
		if !v.Settled() {
			list = append(list, v.Name())
		}
		if v.Settled() == v.ConcernedBy(roster.SourceGap) || v.ConcernedBy(roster.Gap) || v.ConcernedBy(roster.SourceRecreated) {
			t.Errorf("%s: settled %v, concerned by a gap of a source %v", v.Name(), v.Settled(), v.ConcernedBy(roster.SourceGap))
		}
	}
	if n := r.Status().Unsettled; n != len(list) {
		t.Errorf("%d unsettled, want %v", n, list)
	}
	return strings.Join(list, " ")
}

// TestSourceManyConcerned: sources beyond those that have a bit of their own share one.
func TestSourceManyConcerned(t *testing.T) {
	r := roster.New(settings())
	for i := range uint64(80) {
		fold(r, from(i+1, fmt.Sprintf("s%02d", i), "x", 1))
	}
	fold(r, from(81, "s79", "x", 3))
	if n := r.Status().Unsettled; n != 80-63 {
		t.Errorf("%d unsettled", n)
	}
	fold(r, from(82, "s00", "x", 3))
	if n := r.Status().Unsettled; n != 80-63+1 {
		t.Errorf("%d unsettled", n)
	}
}

// TestHeardAtSite: a machine was heard when its site heard it, as far as its event tells.
func TestHeardAtSite(t *testing.T) {
	r := roster.New(settings())
	want := func(m roster.Message, want roster.Time) {
		t.Helper()
		fold(r, m)
		r.Machine("a", func(v roster.View) {
			if v.Heard() != want {
				t.Errorf("heard %s, want %s", v.Heard(), want)
			}
		})
	}
	m := from(10, "a", "x", 1)
	m.Event.Date -= hour
	want(m, m.Event.Date)
	m = from(11, "a", "x", 2)
	m.Event.Date += roster.Time(5 * time.Minute)
	want(m, m.Receipt)
	late := from(12, "a", "x", 3)
	late.Event.Date -= hour
	want(late, m.Receipt)
	local := from(13, "a", "", 0)
	local.Event.Date -= hour
	want(local, local.Receipt)
}

// site is a source, as the oracle sees it. Each creation of its stream is a life; now is the
// index of the current one.
type site struct {
	lives     []*life
	now       int
	recreated uint64 // the place of the message that showed last that the site was created anew
}

// life is one life of a site's stream.
type life struct {
	stored      []uint64 // the sequences that it did not lose
	sent        int      // how many of them the hub has sourced
	first, last uint64   // the sequences that arrived first, and the greatest one
}

// next lets something happen at the site, and returns the sequence that the hub sources next.
func (s *site) next(t *rapid.T, loses bool) uint64 {
	switch rapid.SampledFrom([]string{"", "", "", "", "recreated", "restored", "repeated"}).Draw(t, "site") {
	case "recreated":
		if len(s.lives) < 5 {
			s.lives = append(s.lives, &life{})
			s.now = len(s.lives) - 1
		}
	case "restored": // an earlier life goes on
		s.now = rapid.IntRange(0, len(s.lives)-1).Draw(t, "life")
	case "repeated": // the hub goes back, and sources some once more
		l := s.lives[s.now]
		l.sent -= rapid.IntRange(0, min(l.sent, 4)).Draw(t, "back")
	}
	l := s.lives[s.now]
	if l.sent == len(l.stored) {
		sequence := uint64(1)
		if n := len(l.stored); n > 0 {
			sequence = l.stored[n-1] + 1
		}
		if loses {
			sequence += uint64(rapid.SampledFrom([]int{0, 0, 0, 1, 30}).Draw(t, "lost at the site"))
		}
		l.stored = append(l.stored, sequence)
	}
	l.sent++
	return l.stored[l.sent-1]
}

// arrived records that a message of the present life is at a place of the hub.
func (s *site) arrived(place, sequence uint64) {
	l := s.lives[s.now]
	if l.last == 0 {
		if s.heard() {
			s.recreated = place
		}
		l.first = sequence
	}
	l.last = max(l.last, sequence)
}

func (s *site) heard() bool {
	return slices.ContainsFunc(s.lives, func(l *life) bool { return l.last > 0 })
}

// lost returns how many messages the site lost of those between others that arrived.
func (s *site) lost() (n uint64) {
	for _, l := range s.lives {
		for sequence := l.first; sequence < l.last; sequence++ {
			if !slices.Contains(l.stored, sequence) && sequence > l.first {
				n++
			}
		}
	}
	return n
}

// TestSourcesOracle: whatever sites lose, however often they are created anew, restored or sourced
// once more, and whatever the stream of events loses after that, what a source misses is never
// more than what it lost, exactly that if the stream lost nothing, and nothing if the site lost
// nothing; a new creation is told once. Reading in parts, and restoring, change nothing.
func TestSourcesOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sites := map[string]*site{"a": {lives: []*life{{}}}, "b": {lives: []*life{{}}}, "c": {lives: []*life{{}}}}
		sitesLose, hubLoses := rapid.Bool().Draw(t, "sites lose"), rapid.Bool().Draw(t, "hub loses")
		r, parts := roster.New(settings()), roster.New(settings())
		var all []roster.Message
		for place := range uint64(rapid.IntRange(1, 60).Draw(t, "messages")) {
			name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "source")
			s := sites[name]
			sequence := s.next(t, sitesLose)
			if hubLoses && place > 0 && rapid.IntRange(0, 3).Draw(t, "lost at the hub") == 0 {
				continue
			}
			s.arrived(place+1, sequence)
			all = append(all, from(place+1, name, fmt.Sprint("life", s.now), sequence))
			fold(parts, all[len(all)-1])
			if rapid.IntRange(0, 9).Draw(t, "restart") == 0 {
				parts = restore(t, parts)
				fold(parts, all[max(0, len(all)-3):]...) // a rewind
			}
		}
		fold(r, all...)
		st := r.Status()
		for _, got := range st.Sources() {
			s := sites[got.Name]
			lost := s.lost()
			if got.Missing > lost || !hubLoses && got.Missing != lost || (got.Missing > 0) != (got.Gap > 0) || got.Recreated != s.recreated {
				t.Fatalf("%+v, want %d missing, recreated %d", got, lost, s.recreated)
			}
			delete(sites, got.Name)
		}
		for name, s := range sites {
			if s.heard() {
				t.Fatalf("%s is no source", name)
			}
		}
		if !bytes.Equal(encode(t, r), encode(t, parts)) {
			t.Fatal("another roster when it is read in parts")
		}
	})
}
