package stream

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// simSite is a site, whose stream the stream of events sources.
type simSite struct {
	name  string
	room  int // how many messages its stream keeps
	lives []*simLife
	now   *simLife // the present one of the lives
}

// simLife is one life of a site's stream: created anew, it begins another one.
type simLife struct {
	site   *simSite
	id     string // as the server tells it
	stored []*simMessage
	first  int    // the index of the first of these that it still has
	last   uint64 // the last sequence
}

// newSimSites draws the sites of a world; half of the worlds have none.
func newSimSites(rng *rand.Rand) (sites []*simSite) {
	for i := range rng.IntN(2) * (1 + rng.IntN(3)) {
		s := &simSite{name: []string{"fra", "ber", "ham"}[i], room: []int{20, 200, 1 << 30}[rng.IntN(3)]}
		s.recreate()
		sites = append(sites, s)
	}
	return sites
}

// TestSimulatedSites is TestSimulation with sites in every world, and with short streams.
func TestSimulatedSites(t *testing.T) {
	warmUp(t)
	c := &coverage{n: map[string]float64{}}
	withSites := func(w *world) {
		for w.maxPublish = 100; len(w.sites) == 0; {
			w.sites = newSimSites(w.rng)
		}
	}
	if *simSeed > 0 {
		simulate(t, *simSeed, c, kit.Logger(t), withSites)
		return
	}
	for seed := uint64(1); seed <= 80 && !t.Failed(); seed++ {
		simulate(t, seed, c, slog.New(slog.DiscardHandler), withSites)
	}
	for what, n := range c.n {
		if strings.HasPrefix(what, "site: ") || strings.Contains(what, "source") {
			t.Logf("%6.0f %s", n, what)
		}
	}
}

// recreate creates the site's stream anew.
func (s *simSite) recreate() {
	s.now = &simLife{site: s, id: fmt.Sprintf("%08d", len(s.lives))} // as of every site
	s.lives = append(s.lives, s.now)
}

// maxLives is how many lives a site has at most: fewer than the roster remembers.
const maxLives = 8

// simSpeakers is the list of who may speak for whom in some worlds: "ber" and "ham" speak for
// nobody. simSpeaks says the same to the oracle.
const simSpeakers = "fra=host-0.* host-1.* fresh-*,local=host-*"

var simSpeaks = map[string]map[string]bool{
	"fra": {"host-0": true, "host-1": true, "fresh": true},
	"":    {"host-0": true, "host-1": true, "host-2": true, "host-3": true},
}

// sourceOne lets something happen at a site, and returns the next message that the stream of
// events sources from there, to be stored.
func (w *world) sourceOne() *simMessage {
	s := w.sites[w.rng.IntN(len(w.sites))]
	lost := w.happen(s)
	l := s.now
	at := w.stream.taken[l]
	if at < l.first {
		w.count("site: removed before it was sourced")
		at = l.first
	}
	if at == len(l.stored) {
		l.last += lost + 1
		m := w.message()
		m.life, m.at = l, at
		m.from = roster.Sourced{Name: s.name, Creation: l.id, Sequence: l.last}
		l.stored = append(l.stored, m)
		l.first = max(l.first, len(l.stored)-s.room)
	}
	w.stream.taken[l] = at + 1
	m := *l.stored[at]
	m.receipt = w.receive()
	return &m
}

// happen draws what happens at a site before a message is sourced, and returns how many
// messages the site loses.
func (w *world) happen(s *simSite) (lost uint64) {
	switch w.rng.IntN(300) {
	case 0:
		if len(s.lives) < maxLives {
			w.count("site: created anew")
			s.recreate()
		}
	case 1:
		w.count("site: an earlier life goes on")
		s.now = s.lives[w.rng.IntN(len(s.lives))]
	case 2, 3:
		w.count("site: sourced once more")
		taken := w.stream.taken
		taken[s.now] -= w.rng.IntN(1 + min(taken[s.now], 9))
	case 4:
		s.now.first += w.rng.IntN(1 + len(s.now.stored) - s.now.first)
	case 5, 6, 7, 8:
		w.count("site: messages lost")
		return []uint64{1, 2, 30}[w.rng.IntN(3)]
	}
	return 0
}

// sourcedUpTo sets what a stream has sourced to what its messages say.
func (l *simStream) sourcedUpTo() {
	clear(l.taken)
	for _, m := range l.history {
		if m != nil && m.life != nil {
			l.taken[m.life] = m.at + 1
		}
	}
}

// sourceOracle is what must be known of one source.
type sourceOracle struct {
	roster.Source
	resumed roster.Time // the receipt of the message that showed the last loss
	lives   map[string]*lifeOracle
}

// lifeOracle is the greatest sequence read of one life of a source, and how many messages the
// stream of events had lost by then.
type lifeOracle struct{ greatest, lost uint64 }

// readSource applies the rule to a message: in each life of a source, a step by more than one is
// so many messages missing, less those that the stream of events has lost since; the first message
// of a source, and what was sourced or read once more, says nothing; a life after the first one
// that was never seen is a loss of unknown size.
func (o *oracle) readSource(e entry) {
	from := &e.m.from
	if from.Sequence == 0 {
		return
	}
	s := o.sources[from.Name]
	if s == nil {
		s = &sourceOracle{Source: roster.Source{Name: from.Name}, lives: map[string]*lifeOracle{}}
		o.sources[from.Name], o.order = s, append(o.order, s)
	}
	l, lost := s.lives[from.Creation], o.accounted[roster.Lost]
	switch {
	case l == nil:
		if len(s.lives) > 0 && e.m.receipt > e.judged {
			s.Recreated, s.resumed = e.place, e.m.receipt
			o.losses[roster.SourceRecreated] = e.place
		}
		l = new(lifeOracle)
		s.lives[from.Creation] = l
	case from.Sequence <= l.greatest:
		return
	default:
		step := from.Sequence - l.greatest - 1
		explained := min(step, lost-l.lost)
		o.explained += explained
		if step > explained {
			s.Missing += step - explained
			s.Gap, s.resumed = e.place, e.m.receipt
			o.losses[roster.SourceGap] = e.place
		}
	}
	l.greatest, l.lost = from.Sequence, lost
}

// may reports whether the source of a message may speak for its machine.
func (o *oracle) may(source, machine string) bool {
	return o.settings.Sources == "" || simSpeaks[source][machine[:min(len(machine), len("fresh"))]] || simSpeaks[source][machine[:min(len(machine), len("host-0"))]]
}

// concern notes which losses of sources may concern the machine of an accepted event: those of
// the sources that it was heard through, and if it was never heard before, all before it of those
// that may speak for it.
func (o *oracle) concern(machine, source string, isNew bool) {
	if o.through[machine] == nil {
		o.through[machine] = map[string]bool{}
	}
	o.through[machine][source] = true
	for _, s := range o.order {
		if isNew && max(s.Gap, s.Recreated) > 0 && o.may(s.Name, machine) {
			o.through[machine][s.Name] = true
		}
	}
}

// settledSources reports whether no loss of a source concerns a machine.
func (o *oracle) settledSources(machine string) bool {
	for _, s := range o.order {
		loss, reset := max(s.Gap, s.Recreated), o.resets[machine]
		if loss > 0 && o.through[machine][s.Name] && (reset.Place <= loss || reset.Date <= s.resumed.Add(o.settings.MaxSkew)) {
			return false
		}
	}
	return true
}

// checkSources checks what the roster says of the sources: by the rule, and by what the sites
// know. What is missing of a source is never more than what was never delivered, and exactly what
// its site lost where the stream of events lost nothing.
func (s *service) checkSources(o *oracle) {
	w, st := s.w, s.roster.Status()
	got := st.Sources()
	if len(got) != len(o.order) {
		w.fail("%d sources, want %d", len(got), len(o.order))
		return
	}
	never, lost := s.neverDelivered()
	for i, is := range got {
		want := o.order[i].Source
		if is.Name != want.Name || is.Missing != want.Missing || is.Gap != want.Gap || is.Recreated != want.Recreated {
			w.fail("source %+v, want %+v", is, want)
		}
		if is.Missing > never[is.Name] || w.harmless && is.Missing != lost[is.Name] {
			w.fail("%d messages of %s are missing, but %d were never delivered, and it lost %d", is.Missing, is.Name, never[is.Name], lost[is.Name])
		}
		w.countIf(is.Missing > 0, "messages of a source are missing")
		w.countIf(is.Recreated > 0, "a source was created anew")
	}
	w.countIf(o.explained > 0, "missing of a source, as the stream lost it")
	w.countIf(o.unspoken > 0, "refused: not a machine of its source")
}

// countIf counts something if it happened.
func (w *world) countIf(happened bool, what string) {
	if happened {
		w.count(what)
	}
}

// neverDelivered returns how many messages of each source were not delivered before a later one
// of the same life was, though an earlier one was; and how many of them the site itself lost.
func (s *service) neverDelivered() (never, lost map[string]uint64) {
	never, lost = map[string]uint64{}, map[string]uint64{}
	first, greatest := map[*simLife]uint64{}, map[*simLife]uint64{}
	for _, e := range s.log {
		if e.m == nil || e.m.life == nil {
			continue
		}
		l, sequence := e.m.life, e.m.from.Sequence
		if first[l] == 0 {
			first[l], greatest[l] = sequence, sequence
		}
		if sequence > greatest[l] {
			never[l.site.name] += sequence - greatest[l] - 1
			greatest[l] = sequence
		}
	}
	for l, last := range greatest {
		lost[l.site.name] += last - first[l] + 1
		for _, m := range l.stored {
			if m.from.Sequence >= first[l] && m.from.Sequence <= last {
				lost[l.site.name]--
			}
		}
	}
	return never, lost
}
