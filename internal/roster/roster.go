// Package roster is the domain: events, the fold that makes a roster of them,
// the fates of messages and the position, and the views that others read.
//
// # The fold
//
// A roster is machine → sessions → users. Every fact in it is a register, which
// keeps the event with the greatest [Stamp] (date, then place). So the roster
// equals the accepted events sorted by stamp and folded one by one, whatever the
// order, the batches and the repetitions in which they arrived. Per machine:
//
//	register       meaning                          raised by
//	sessions[id]   the user who is on, or nobody    login, logout with session, present
//	cleared[user]  the user is off this machine     logout without session
//	reset          everybody before it is off       boot, shutdown, present
//	newest         the newest date accepted         every accepted event
//	heard          when it was last heard           every accepted event
//	floor          logins dated before it are late  eviction (evict.go)
//	refused        the last event over a limit      an event refused because of a limit
//	every          how often it lists who is on     with reset: present
//
// It is heard at the receipt; an event that another stream had first (source.go) may have
// waited there, so its date counts if it is earlier.
//
// Beside them, a machine has the numbers of its events that were not seen (origin.go), and
// the sources through which it was heard.
//
// A session is open when its register has a user, and its stamp is not below
// reset and is above that user's cleared. A closed register (one that has nothing
// open) is dropped when it is not above reset, or is dated before newest minus the
// allowed lateness or before the floor: it can no longer decide any event that is
// still accepted. For this to be exact, a stamp below reset raises nothing,
// whether or not the register that it would have raised still exists.
//
// # Who owns what
//
// [Roster.Fold] is the only writer; concurrent calls wait for each other. Readers
// run concurrently with it: each machine has a lock (one of a fixed number of
// shards), held for one event or one read, so nobody sees half of an event. The
// users have one lock, which the fold holds for a batch. The position, the fates
// and the totals change together at the end of a batch; [Roster.Status] returns
// them together. A [Cut] shows all machines as they were at one position.
//
// Registers and indexes refer to machines and users by number: a number is
// smaller than a pointer, and the garbage collector doesn't scan it.
//
// The roster copies every string that it keeps: the strings of an Event may
// point into a buffer that the caller reuses.
package roster

import (
	"container/heap"
	"iter"
	"math"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
)

// Settings are what the fold depends on besides the events: two rosters with equal
// settings that read the same messages are equal.
type Settings struct {
	// MaxSkew is how far an event may be dated after its receipt.
	MaxSkew time.Duration `json:"max_skew"`
	// AllowedLateness is how far an event may be dated before the newest date
	// accepted from its machine.
	AllowedLateness time.Duration `json:"allowed_lateness"`
	// MaxMachines bounds the machines that reports show; MaxSessions and
	// MaxSessionsPerMachine bound the open sessions. The same numbers bound the
	// hidden machines and the closed registers, which are counted separately.
	// 0 means no bound.
	MaxMachines           int `json:"max_machines"`
	MaxSessions           int `json:"max_sessions"`
	MaxSessionsPerMachine int `json:"max_sessions_per_machine"`
	// Sources says which source of the stream may speak for which machines: see
	// [ParseSpeakers]. "": all for all.
	Sources string `json:"sources,omitzero"`
}

// DefaultSettings are the service's own defaults.
func DefaultSettings() Settings {
	return Settings{
		MaxSkew:               10 * time.Minute,
		AllowedLateness:       720 * time.Hour,
		MaxMachines:           1_000_000,
		MaxSessions:           20_000_000,
		MaxSessionsPerMachine: 10_000,
	}
}

// shards is how many locks the machines share.
const shards = 256

// Roster is the folded state of all machines. Make one with New or Restore.
type Roster struct {
	settings Settings
	speakers *Speakers // of the settings

	fold sync.Mutex // held for a batch; its holder may write
	cuts []preserver
	// registers counts the sessions and clearings of all machines; exact says
	// that none of them has expired (see evict.go).
	registers int
	exact     bool

	locks    [shards]sync.Mutex // each guards the machines of its shard
	fleet    directory
	recent   recentHeap // used by the fold only
	people   people
	packing  []byte // reused by the fold, which alone uses it
	prefetch prefetcher
	// Used by the fold only: the sources of the status are not shared yet; the unsettled
	// machines must be counted again at the end of the batch.
	sourcesOwned, recountDue bool
	lastCreation             int // that of the last message of a source

	statusMu sync.Mutex
	status   Status
}

// Status is the position, the fates of all messages up to it, and the totals, all
// from the same moment.
type Status struct {
	Position Position
	Fates    Fates
	// Receipt is the newest receipt read.
	Receipt Time
	// Losses has the place of the last loss of each kind that was not accepted. It
	// is zero when every event is accounted for.
	Losses Losses
	// Machines counts the machines in the roster; Hidden, those of them that
	// reports no longer show; Users, the users who are on at least one machine;
	// Several, those who are on more than one; Sessions, the open sessions.
	Machines, Hidden, Users, Several, Sessions int
	// Unsettled counts the machines heard within the allowed lateness that a loss
	// concerns. CompleteAfter is the receipt after which the roster is complete if
	// no such machine is left; 0 while nothing was read after the last loss.
	Unsettled     int
	CompleteAfter Time
	// Missing counts the events that never arrived, as far as their numbers tell: it falls
	// only when one arrives.
	Missing uint64
	// Limited counts the machines that had events refused because of a limit since
	// their last boot, shutdown or present.
	Limited int

	settling
	firstReceiptAfterLoss Time   // the newest receipt when reading resumed after the last loss; 0: not yet
	fleetFloor            Time   // see evictHidden
	leftMissing           uint64 // of Missing, those of machines that are not in the roster
	accepted              uint64 // see Accept
}

// New returns an empty roster.
func New(s Settings) *Roster {
	return &Roster{settings: s, speakers: speakersOf(s), status: Status{settling: settling{skew: s.MaxSkew}}}
}

// Settings returns the roster's settings.
func (r *Roster) Settings() Settings { return r.settings }

// Status returns the position, fates and totals as the last batch left them.
func (r *Roster) Status() Status {
	r.statusMu.Lock()
	defer r.statusMu.Unlock()
	return r.status
}

// Fold judges and folds the messages of a batch in order, gives each its fate,
// and moves the position to the batch's end. Every place up to the end without a
// message is lost. A message whose place already has a fate is folded again, which
// changes nothing, but not counted again.
func (r *Roster) Fold(b *Batch) {
	r.fold.Lock()
	defer r.fold.Unlock()
	r.people.mu.Lock()
	defer r.people.mu.Unlock()
	// Only the holder of fold writes status, so reading it needs no lock.
	st := r.status
	r.sourcesOwned, r.recountDue = false, false
	var hints []prefetched
	for i := range b.Messages {
		if i%prefetchWindow == 0 {
			hints = r.prefetch.load(r, b.Messages[i:min(i+prefetchWindow, len(b.Messages))])
		}
		m := &b.Messages[i]
		//guard:false "a message read again is not counted again" ^(TestSameBytes|TestPositionNeverGoesBack)$
		again := m.Place <= st.Position.Place
		if !again {
			//guard:drop "the fates add up to the position" TestFates
			r.countLost(&st, m.Place-1, b.Missing)
		}
		machine := r.judge(&st, m, &hints[i%prefetchWindow], b.End.Judged, again)
		if !again {
			r.recordFate(&st, machine, m)
		}
	}
	r.countLost(&st, b.End.Place, b.Missing)
	//guard:true "the position never goes back" TestPositionNeverGoesBack
	if b.End.Place >= st.Position.Place {
		st.Position = b.End
	}
	if b.Unread {
		r.recordLoss(&st, Recreated, st.Position.Place)
	}
	if r.recountDue {
		r.recountUnsettled(&st)
	}
	r.statusMu.Lock()
	r.status = st
	r.statusMu.Unlock()
}

// countLost gives the fate lost to every place without a fate, up to and including
// through.
func (r *Roster) countLost(st *Status, through uint64, why Loss) {
	if through <= st.Position.Place {
		return
	}
	st.Fates.add(Lost, through-st.Position.Place)
	st.Position.Place = through
	r.recordLoss(st, why, through)
}

// judge gives a message its fate, folds it if it is accepted, and returns its
// machine, or nil if the machine is new or the message was not decoded. A message
// received no later than judged got its fate in an earlier incarnation of the
// stream, so it is not dead-lettered again. Its number was seen then, and so was that of a
// message that is read again.
func (r *Roster) judge(st *Status, m *Message, hint *prefetched, judged Time, again bool) (machine *machine) {
	r.advanceReceipt(st, m.Receipt)
	if st.firstReceiptAfterLoss == 0 && st.loss > 0 && m.Place > st.loss {
		r.recordResumed(st)
	}
	m.Missing, m.Recreated = 0, false
	//guard:drop again "a message read again proves nothing" TestSourceReadAgain
	//guard:false "what is missing of a source is counted" ./internal/stream:TestSimulatedSites
	if m.Source.Sequence > 0 && !again {
		r.prove(st, m, m.Receipt <= judged)
	}
	if m.Marker {
		m.Fate = Superseded
		return nil
	}
	if m.Refusal == nil {
		m.Refusal = r.speakers.refuse(&m.Source, m.Event.Machine)
	}
	if m.Refusal == nil {
		if machine = hint.machine; machine == nil || machine.name != m.Event.Machine || machine.heard == removed {
			machine = r.fleet.find(m.Event.Machine, hint.machineHash)
		}
		m.Refusal = r.refuse(st, machine, m)
	}
	//guard:set m.Receipt<=judged false "a number is seen once" TestMissingJudgedBefore
	again = again || m.Receipt <= judged
	if m.Refusal != nil {
		if machine != nil && !again {
			r.see(st, machine, &m.Event)
		}
		m.Fate = DeadLettered
		//guard:false "nothing is dead-lettered twice" ./internal/ingest:TestJudgedBefore
		if m.Receipt <= judged {
			m.Fate = Superseded
		}
		return machine
	}
	m.Fate = Superseded
	if r.accept(st, machine, m, hint, again) {
		m.Fate = Applied
	}
	return machine
}

// recordFate counts the fate of a message and moves the position to it.
func (r *Roster) recordFate(st *Status, machine *machine, m *Message) {
	st.Fates.add(m.Fate, 1)
	st.Position.Place = m.Place
	//guard:false "a refusal because of a limit is reported" ^TestLimits$
	if m.Refusal != nil && m.Refusal.Reason == Limit {
		r.recordLimited(st, machine, Stamp{m.Event.Date, m.Place})
	}
}

// accept folds an accepted message into its machine (nil: a new one), and reports
// whether it raised a register other than newest, heard and changed.
func (r *Roster) accept(st *Status, m *machine, msg *Message, hint *prefetched, again bool) bool {
	e := &msg.Event
	since := r.hiddenBefore(st.Receipt)
	var was standing
	isNew := m == nil
	if isNew {
		//guard:set strings.Clone(...) e.Machine "a caller may reuse its buffer" TestStringsAreCopied
		m = r.fleet.add(machine{name: strings.Clone(e.Machine), changed: unchanged, ended: math.MaxInt64}, hint.machineHash, len(r.cuts))
		st.Machines++
	} else {
		was = r.standingOf(st, m, since)
	}
	lock := r.lock(m)
	lock.Lock()
	defer lock.Unlock()
	r.preserve(m)
	r.people.event++
	f := folding{r: r, st: st, m: m, stamp: Stamp{e.Date, msg.Place}, hint: hint}
	before := m.registerCount()
	raised := f.apply(e)
	if !again {
		m.see(e)
	}
	m.newest = max(m.newest, e.Date)
	m.heard = max(m.heard, heardAt(msg))
	r.hear(st, m, &msg.Source, isNew)
	if e.Type == Login || e.Type == Logout {
		//guard:set max(...) e.Date "the date of the last login or logout never goes back" ^(TestOracle|TestAnyOrder)$
		m.changed = max(m.changed, e.Date)
	}
	m.expire(r, r.exact)
	r.registers += m.registerCount() - before
	r.evict(st, m)
	is := r.standingOf(st, m, since)
	if is.recent && !was.recent {
		heap.Push(&r.recent, recentMachine{m.heard, m.number})
	}
	st.recount(was, is)
	//guard:drop "a change of what reports show of a machine is in the feed" TestFeedFields
	r.people.feed.touch(m, r.people.event, was.display, is.display)
	return raised
}

// heardAt returns when a machine was heard, as far as one of its events tells: at its receipt;
// at its date, if that is earlier and it may have waited at a site.
func heardAt(m *Message) Time {
	//guard:false "a machine was heard when its site heard it" TestHeardAtSite
	//guard:false "a machine was heard when its site heard it, in any schedule" ./internal/stream:TestSimulatedSites
	if m.Source.Sequence > 0 {
		return min(m.Receipt, m.Event.Date)
	}
	return m.Receipt
}

// Machines yields the machines that a report shows, in byte order of their names,
// starting after the given name ("" for all). Each view lies between two events of
// its machine, but they do not share one position: for that, see Cut. The machine
// is locked, and the view valid, only while the loop's body runs: be brief, and do
// not call the roster from it.
func (r *Roster) Machines(after string) iter.Seq[View] {
	return func(yield func(View) bool) {
		r.fleet.readers.Add(1)
		defer r.fleet.readers.Add(-1)
		machines := r.fleet.ordered()
		i := sort.Search(len(machines), func(i int) bool { return machines[i].name > after })
		st := r.Status()
		for _, m := range machines[i:] {
			if !r.show(m, &st, yield) {
				return
			}
		}
	}
}

// ByNumber yields all machines, hidden ones included, with the numbers of [Change], in no
// particular order: a quick pass over the whole fleet. The rules of Machines apply.
func (r *Roster) ByNumber() iter.Seq2[uint32, View] {
	return func(yield func(uint32, View) bool) {
		r.fleet.readers.Add(1)
		defer r.fleet.readers.Add(-1)
		st := r.Status()
		for n := range r.fleet.last() {
			if !r.yieldNumber(n+1, &st, yield) {
				return
			}
		}
	}
}

func (r *Roster) yieldNumber(n uint32, st *Status, yield func(uint32, View) bool) bool {
	m := r.fleet.machines.At(n)
	lock := &r.locks[n%shards]
	lock.Lock()
	defer lock.Unlock()
	return m.heard == removed || yield(n, r.view(m, st))
}

func (r *Roster) show(m *machine, st *Status, yield func(View) bool) bool {
	lock := r.lock(m)
	lock.Lock()
	defer lock.Unlock()
	v := r.view(m, st)
	return !v.Shown() || yield(v)
}

// view returns a view of a machine that the caller has locked, or of a copy.
func (r *Roster) view(m *machine, st *Status) View {
	return View{m, &r.people, r.hiddenBefore(st.Receipt), st.settling}
}

// Machine calls show with a view of one machine, hidden or not, and reports
// whether it is in the roster. The view is valid until show returns; see Machines.
func (r *Roster) Machine(name string, show func(View)) bool {
	r.fleet.readers.Add(1)
	defer r.fleet.readers.Add(-1)
	m := r.fleet.lookup(name)
	if m == nil {
		return false
	}
	st := r.Status()
	lock := r.lock(m)
	lock.Lock()
	defer lock.Unlock()
	if m.heard == removed {
		return false
	}
	show(r.view(m, &st))
	return true
}

// User returns the open sessions of one user on all machines, by machine, then
// session ID. Its cost depends on the machines that the user is on, not on the
// fleet. It waits for the batch that is being folded.
func (r *Roster) User(name string) []Stay {
	r.fleet.readers.Add(1)
	defer r.fleet.readers.Add(-1)
	var stays []Stay
	var open []Session
	for _, n := range r.people.machines(name) {
		m := r.fleet.machines.At(n)
		lock := r.lock(m)
		lock.Lock()
		open = View{m: m, people: &r.people}.AppendSessions(open[:0])
		lock.Unlock()
		for _, s := range open {
			if s.User == name {
				stays = append(stays, Stay{Machine: m.name, Session: s})
			}
		}
	}
	slices.SortStableFunc(stays, func(a, b Stay) int { return strings.Compare(a.Machine, b.Machine) })
	return stays
}

// lock returns the lock of the machine's shard.
func (r *Roster) lock(m *machine) *sync.Mutex { return &r.locks[m.number%shards] }

// hiddenBefore returns the receipt before which a machine with nobody on it is no
// longer shown.
func (r *Roster) hiddenBefore(receipt Time) Time {
	return receipt.Add(-r.settings.AllowedLateness)
}
