package roster

import (
	"slices"
	"strings"
)

// Sourced says from where a message is that the stream of events took from another stream,
// its source. It is zero if the message was published to the stream itself.
type Sourced struct {
	// Name is the source's, as the server writes it; "": none.
	Name string
	// Creation identifies one life of the source: created anew, it has another. It may be
	// empty: an old server does not tell.
	Creation string
	Sequence uint64 // in the source; 0: an old server does not tell
}

// The proof of sources: the sequences of a source's messages have no gaps, or messages of it
// are missing. What is missing has no places, so it has no fates either.
const (
	// maxSources is how many sources are proven; messages of more are folded only.
	maxSources = 4096
	// maxCreations is how many creations of a source are known; of more, the one that was
	// known first is forgotten.
	maxCreations = 16
	// ownBits is how many sources have a bit of their own in machine.through; all others
	// share the last one.
	ownBits = 63
)

// Source is what was read of one source.
type Source struct {
	Name string
	// Missing is how many of its messages never arrived, as far as is known.
	Missing uint64
	// Gap and Recreated are the places of the last messages that showed that messages are
	// missing, and that the source was created anew; 0: none, or accepted.
	Gap, Recreated uint64
	// resumed is the receipt of the later of these messages.
	resumed Time
}

// loss is the place of the last loss; 0: none.
func (s *Source) loss() uint64 { return max(s.Gap, s.Recreated) }

// creation is one life of a source.
type creation struct {
	source   int // its index
	id       string
	sequence uint64 // the greatest
	lost     uint64 // the places lost when its last message was read
}

// sources is what was read of all sources. It is not written to once a status has it.
type sources struct {
	list      []Source   // in the order of their first messages
	creations []creation // of each source in the order of their first messages
}

// Sources returns what was read of the sources, in the order of their first messages.
func (st *Status) Sources() []Source {
	if st.sources == nil {
		return nil
	}
	return slices.Clone(st.sources.list)
}

// bitOf returns the bit of a source in machine.through.
func bitOf(source int) uint64 { return 1 << min(source, ownBits) }

// ownSources returns the sources of a status that the fold may write to.
func (r *Roster) ownSources(st *Status) *sources {
	if !r.sourcesOwned {
		c := new(sources)
		if st.sources != nil {
			*c = *st.sources
			c.list, c.creations = slices.Clone(c.list), slices.Clone(c.creations)
		}
		st.sources, r.sourcesOwned = c, true
	}
	return st.sources
}

// prove checks that a message is the next one of its source, and records what is missing before
// it. One that was judged in an earlier incarnation of the stream, or is in a copy of what was,
// is no new creation.
func (r *Roster) prove(st *Status, m *Message, judged bool) {
	s := r.ownSources(st)
	i, known := r.findCreation(s, &m.Source)
	if i < 0 {
		return
	}
	c := &s.creations[i]
	source := &s.list[c.source]
	switch {
	//guard:false "what was sourced once more explains nothing that is missing" TestSourceHole
	//guard:drop judged "what was judged before creates no source anew" TestSourceReadAgain
	//guard:false "what was sourced once more is not missing, in any schedule" ./internal/stream:TestSimulatedSites
	case known && m.Source.Sequence <= c.sequence && (judged || m.Source.Creation != ""):
		return
	//guard:false "a source that was created anew is noticed" TestSourceRecreated
	case known && m.Source.Sequence <= c.sequence:
		m.Recreated = true // it does not say so itself
	case known:
		m.Missing = c.missing(m.Source.Sequence, st.Fates[Lost])
	default:
		//guard:drop judged "a creation that was judged before is not news" TestSourceReadAgain
		//guard:false "a source that was created anew is told, in any schedule" ./internal/stream:TestSimulatedSites
		m.Recreated = !judged && s.isRecreated(i)
	}
	//guard:set st.Fates[Lost] c.lost "what the hub lost before explains nothing that is missing now" ./internal/stream:TestSimulatedSites
	c.sequence, c.lost = m.Source.Sequence, st.Fates[Lost]
	source.Missing = add(source.Missing, m.Missing)
	if m.Missing > 0 {
		r.recordSourceLoss(st, SourceGap, &source.Gap, source, m)
	}
	if m.Recreated {
		r.recordSourceLoss(st, SourceRecreated, &source.Recreated, source, m)
	}
}

// findCreation returns the creation that a message is of, and whether it was known; else it adds it.
// It returns -1 if there are too many sources.
func (r *Roster) findCreation(s *sources, m *Sourced) (at int, known bool) {
	if s.isOf(r.lastCreation, m) {
		return r.lastCreation, true
	}
	source, latest := -1, -1
	for i := range s.creations {
		if s.list[s.creations[i].source].Name != m.Name {
			continue
		}
		if source, latest = s.creations[i].source, i; s.isOf(i, m) {
			r.lastCreation = i
			return i, true
		}
	}
	switch {
	case source < 0 && len(s.list) == maxSources:
		return -1, false
	case source < 0:
		source = len(s.list)
		s.list = append(s.list, Source{Name: strings.Clone(m.Name)})
	case m.Creation == "":
		return latest, true
	//guard:false "an upgrade of the servers is no new creation" TestSourceUpgrade
	case s.creations[latest].id == "":
		s.creations[latest].id = strings.Clone(m.Creation)
		return latest, m.Sequence > s.creations[latest].sequence
	}
	s.forget(source)
	s.creations = append(s.creations, creation{source: source, id: strings.Clone(m.Creation)})
	r.lastCreation = len(s.creations) - 1
	//guard:true "the first message of a source is its base, in any schedule" ./internal/stream:TestSimulatedSites
	return r.lastCreation, false
}

// isOf reports whether there is a creation i, and a message is of it.
func (s *sources) isOf(i int, m *Sourced) bool {
	if i >= len(s.creations) {
		return false
	}
	c := &s.creations[i]
	//guard:drop m.Creation "each creation of a source is proven by itself, in any schedule" ./internal/stream:TestSimulatedSites
	//guard:drop m.Name "each source is proven by itself, in any schedule" ./internal/stream:TestSimulatedSites
	return c.id == m.Creation && s.list[c.source].Name == m.Name
}

// forget forgets the first creation of a source that has too many.
func (s *sources) forget(source int) {
	first, count := -1, 0
	for i := range s.creations {
		if s.creations[i].source == source {
			if count++; first < 0 {
				first = i
			}
		}
	}
	if count >= maxCreations {
		s.creations = slices.Delete(s.creations, first, first+1)
	}
}

// isRecreated reports whether a new creation follows another of the same source.
func (s *sources) isRecreated(i int) bool {
	c := &s.creations[i]
	if c.sequence > 0 {
		return true // an upgraded server told its creation, and the sequence went back
	}
	for j := range s.creations {
		if j != i && s.creations[j].source == c.source {
			return true
		}
	}
	return false
}

// missing returns how many messages are missing between the last one of a creation and one
// with this sequence. Places that the stream of events lost meanwhile may have been theirs:
// a source is never said to have lost what others have, and of two faults at a time, only
// the other one may be reported, which concerns more machines.
func (c *creation) missing(sequence, lost uint64) uint64 {
	step := sequence - c.sequence - 1
	//guard:set min(step,lost-c.lost) 0 "what the hub lost is not counted again" TestSourceHole
	//guard:set min(step,lost-c.lost) 0 "what the hub lost is not counted again, in any schedule" ./internal/stream:TestSimulatedSites
	return step - min(step, lost-c.lost)
}

// recordSourceLoss records a loss of a source that a message shows: at is the place of the
// last such loss.
func (r *Roster) recordSourceLoss(st *Status, why Loss, at *uint64, source *Source, m *Message) {
	if m.Place <= st.accepted {
		return
	}
	*at, source.resumed = m.Place, m.Receipt
	st.Losses[why] = m.Place
	r.deriveSettling(st)
	r.recountDue = true
}

// acceptSources accepts the losses of sources up to a place.
func (r *Roster) acceptSources(st *Status, place uint64) {
	if st.sources == nil {
		return
	}
	r.sourcesOwned = false
	s := r.ownSources(st)
	r.sourcesOwned = false
	for i := range s.list {
		for _, at := range []*uint64{&s.list[i].Gap, &s.list[i].Recreated} {
			if *at <= place {
				*at = 0
			}
		}
	}
}

// hear notes through which source a machine was heard. A machine that was never heard before
// may lack events that any source lost which may speak for it.
func (r *Roster) hear(st *Status, m *machine, from *Sourced, isNew bool) {
	if st.sources == nil {
		return
	}
	//guard:false "a loss of a source concerns the machines that were heard through it" ./internal/stream:TestSimulatedSites
	if i := r.sourceOf(st.sources, from); i >= 0 {
		m.through |= bitOf(i)
	}
	//guard:false "a machine that is heard first after a loss may have had sessions" TestSourceLossConcerns
	//guard:false "a machine that is heard first after a loss of a source may lack events, in any schedule" ./internal/stream:TestSimulatedSites
	if isNew {
		for i := range st.sources.list {
			//guard:drop r.speakers.May(st.sources.list[i].Name,m.name) "a source loses nothing of machines that it may not speak for" TestSourceLossOfItsOwn
			//guard:drop r.speakers.May(st.sources.list[i].Name,m.name) "a source loses nothing of machines that it may not speak for, in any schedule" ./internal/stream:TestSimulatedSites
			if st.sources.list[i].loss() > 0 && r.speakers.May(st.sources.list[i].Name, m.name) {
				m.through |= bitOf(i)
			}
		}
	}
}

// sourceOf returns the index of a message's source, or -1.
func (r *Roster) sourceOf(s *sources, m *Sourced) int {
	if m.Sequence == 0 {
		return -1
	}
	if s.isOf(r.lastCreation, m) {
		return s.creations[r.lastCreation].source
	}
	return slices.IndexFunc(s.list, func(o Source) bool { return o.Name == m.Name })
}

// settlesSources reports whether no loss of a source concerns a machine.
func (s *settling) settlesSources(m *machine) bool {
	if s.sources == nil || m.through == 0 {
		return true
	}
	for i := range s.sources.list {
		if source := &s.sources.list[i]; m.through&bitOf(i) != 0 && !s.settlesSource(source, m.reset) {
			return false
		}
	}
	return true
}

// settlesSource reports whether a reset settles its machine after the losses of a source.
func (s *settling) settlesSource(source *Source, reset Stamp) bool {
	return source.loss() == 0 || reset.Place > source.loss() && reset.Date > source.resumed.Add(s.skew)
}

// unsettledBy reports whether a loss of one kind, of a source, concerns the machine.
func (s *settling) unsettledBy(why Loss, m *machine) bool {
	if s.sources == nil {
		return false
	}
	for i := range s.sources.list {
		source := &s.sources.list[i]
		at := source.Gap
		if why == SourceRecreated {
			at = source.Recreated
		}
		if at > 0 && m.through&bitOf(i) != 0 && !s.settlesSource(source, m.reset) {
			return true
		}
	}
	return false
}
