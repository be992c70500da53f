package roster

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
)

// numbering is which of the numbers of a machine's events were seen.
type numbering struct {
	// origins are those heard last, the latest of them last.
	origins []origin
	// left counts the missing events of origins that are no longer among them.
	left uint64
}

// The numbers of a machine's events count what never arrived; they decide nothing. An
// event is seen when it was accepted, or refused as future, late or limit while its
// machine was known.
const (
	// maxOrigins is how many origins a machine has; another one takes the place of the
	// one that was heard longest ago.
	maxOrigins = 4
	// maxGaps is how many gaps an origin has; of the oldest of more only the size is
	// kept.
	maxGaps = 32
	// window is how many events an agent publishes before it waits for the first to be
	// stored. So the first of an origin to be seen is one of its first window+1, unless
	// its machine was forgotten since.
	window = 64
	// maxMissing is where counts of missing events end: a forged number must not make
	// sums overflow.
	maxMissing = 1 << 40
)

// origin is one counter of a machine's events.
type origin struct {
	name    string
	highest uint64 // the greatest number seen
	newest  Time   // the newest date seen
	gaps    []gap  // the numbers below highest that were not seen, in order
	older   uint64 // how many were in older gaps
	reused  uint64 // how often a number was seen again with a newer date
}

// gap is a run of numbers.
type gap struct{ from, to uint64 }

func (g gap) size() uint64 { return add(g.to-g.from, 1) }

// add adds counts, up to maxMissing.
func add(a, b uint64) uint64 { return min(min(a, maxMissing)+min(b, maxMissing), maxMissing) }

// clone returns a copy.
func (n *numbering) clone() *numbering {
	if n == nil {
		return nil
	}
	c := *n
	c.origins = slices.Clone(n.origins)
	for i := range c.origins {
		c.origins[i].gaps = slices.Clone(c.origins[i].gaps)
	}
	return &c
}

// missing returns how many events are missing, at most maxMissing.
func (n *numbering) missing() uint64 {
	if n == nil {
		return 0
	}
	sum := n.left
	for i := range n.origins {
		sum = add(sum, n.origins[i].missing())
	}
	return sum
}

func (o *origin) missing() uint64 {
	n := o.older
	for _, g := range o.gaps {
		n = add(n, g.size())
	}
	return n
}

// see notes that a message's event was seen.
func (m *machine) see(e *Event) {
	if e.Number == 0 || e.Origin == "" {
		return
	}
	if m.numbers == nil {
		m.numbers = new(numbering)
	}
	m.numbers.origin(e.Origin, e.Number).see(e.Number, e.Date)
}

// origin returns an origin of which a number was seen, as the last one of the list.
func (n *numbering) origin(name string, number uint64) *origin {
	i := slices.IndexFunc(n.origins, func(o origin) bool { return o.name == name })
	switch last := len(n.origins) - 1; {
	case i < 0:
		n.begin(name, number)
	case i < last:
		o := n.origins[i]
		copy(n.origins[i:], n.origins[i+1:])
		n.origins[last] = o
	}
	return &n.origins[len(n.origins)-1]
}

// begin adds an origin. What is below its first number is missing only if it is one of the
// first: an origin that was forgotten and comes back has lost nothing.
func (n *numbering) begin(name string, number uint64) {
	if len(n.origins) == maxOrigins {
		n.left = add(n.left, n.origins[0].missing())
		n.origins = slices.Delete(n.origins, 0, 1)
	}
	o := origin{name: strings.Clone(name), highest: number - 1, newest: math.MinInt64}
	//guard:true "an origin that was forgotten and comes back has lost nothing" TestMissing
	if number <= window+1 {
		o.highest = 0
	}
	n.origins = append(n.origins, o)
}

// see notes that a number was seen.
func (o *origin) see(number uint64, date Time) {
	i, inGap := slices.BinarySearchFunc(o.gaps, number, func(g gap, number uint64) int {
		switch {
		case g.to < number:
			return -1
		case g.from > number:
			return 1
		}
		return 0
	})
	switch {
	case number > o.highest:
		if number > o.highest+1 {
			o.gaps = append(o.gaps, gap{o.highest + 1, number - 1})
		}
		o.highest = number
	//guard:false "a missing event that arrives is not missing any more" TestMissing
	case inGap:
		o.fill(i, number)
	//guard:false "a folder restored from a copy is detected" TestMissing
	case date > o.newest:
		o.reused = add(o.reused, 1)
	}
	if len(o.gaps) > maxGaps {
		o.older = add(o.older, o.gaps[0].size())
		o.gaps = slices.Delete(o.gaps, 0, 1)
	}
	o.newest = max(o.newest, date)
}

// fill removes a number from gap i.
func (o *origin) fill(i int, number uint64) {
	g := o.gaps[i]
	var rest []gap
	if g.from < number {
		rest = append(rest, gap{g.from, number - 1})
	}
	if number < g.to {
		rest = append(rest, gap{number + 1, g.to})
	}
	o.gaps = slices.Replace(o.gaps, i, i+1, rest...)
}

// see notes that a message that was refused by the fold was seen.
func (r *Roster) see(st *Status, m *machine, e *Event) {
	lock := r.lock(m)
	lock.Lock()
	defer lock.Unlock()
	r.preserve(m)
	since := r.hiddenBefore(st.Receipt)
	was := r.standingOf(st, m, since)
	m.see(e)
	is := r.standingOf(st, m, since)
	st.recount(was, is)
	//guard:drop "a machine that lacks events is in the feed" TestFeedFields
	r.people.feed.touch(m, r.people.event, was.display, is.display)
}

// leaveMissing keeps the missing events of a machine that leaves the roster.
func (st *Status) leaveMissing(n uint64) {
	n = min(n, math.MaxInt64-st.Missing)
	st.Missing += n
	st.leftMissing += n
}

// Origin is one counter of a machine's events: that of an agent's folder.
type Origin struct {
	Name string
	// Number is the greatest that was seen, and Date the newest date.
	Number uint64
	Date   Time
	// Missing is how many of the numbers up to Number were not seen, at most 2^40.
	Missing uint64
	// Reused counts events with a number that an earlier event had: the agent's folder was
	// restored from a copy, or is used twice.
	Reused uint64
}

// Missing returns how many numbers of the machine's events were never seen, at most 2^40.
func (v View) Missing() uint64 { return v.m.numbers.missing() }

// Origins returns the origins of the machine's events that were heard last, in the order of
// their names.
func (v View) Origins() []Origin {
	if v.m.numbers == nil {
		return nil
	}
	var list []Origin
	for i := range v.m.numbers.origins {
		o := &v.m.numbers.origins[i]
		list = append(list, Origin{o.name, o.highest, o.newest, o.missing(), o.reused})
	}
	slices.SortFunc(list, func(a, b Origin) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// appendNumbering appends which numbers were seen; see Encoding.
func appendNumbering(b []byte, a *numbering, newest Time) []byte {
	b = binary.AppendUvarint(b, a.left)
	b = binary.AppendUvarint(b, uint64(len(a.origins)))
	for i := range a.origins {
		o := &a.origins[i]
		b = appendTime(appendString(b, o.name), o.newest, newest)
		for _, n := range [...]uint64{o.highest, o.older, o.reused, uint64(len(o.gaps))} {
			b = binary.AppendUvarint(b, n)
		}
		last := uint64(0)
		for _, g := range o.gaps {
			b = binary.AppendUvarint(b, g.from-last)
			b = binary.AppendUvarint(b, g.to-g.from)
			last = g.to
		}
	}
	return b
}

// errNumbering says that numbers are not as appendNumbering writes them.
var errNumbering = errors.New("origins: not in the form that is written")

// numbering decodes which numbers were seen.
func (f *fields) numbering(newest Time) *numbering {
	a := &numbering{left: f.uvarint()}
	n := f.uvarint()
	if n > maxOrigins || a.left > maxMissing {
		f.fail(errNumbering)
	}
	for ; n > 0 && f.err == nil; n-- {
		o := f.origin(newest)
		//guard:false "no origin is restored twice" TestRestoreRefuses
		if slices.ContainsFunc(a.origins, func(other origin) bool { return other.name == o.name }) {
			f.fail(errNumbering)
		}
		a.origins = append(a.origins, o)
	}
	return a
}

func (f *fields) origin(newest Time) origin {
	o := origin{name: strings.Clone(f.text()), newest: f.time(newest), highest: f.uvarint(), older: f.uvarint(), reused: f.uvarint()}
	n := f.uvarint()
	if o.name == "" || o.highest == 0 || n > maxGaps || o.older > maxMissing || o.reused > maxMissing {
		f.fail(errNumbering)
	}
	last := uint64(0)
	for ; n > 0 && f.err == nil; n-- {
		from, size := f.uvarint(), f.uvarint()
		g := gap{last + from, last + from + size}
		//guard:false "gaps are restored in order, and below the highest number" TestRestoreRefuses
		if from == 0 || g.from < last || g.to < g.from || g.to >= o.highest {
			f.fail(errNumbering)
		}
		o.gaps = append(o.gaps, g)
		last = g.to
	}
	return o
}
