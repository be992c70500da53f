// Package roster is the domain: events, the fold that makes a roster of them,
// the fates of messages and the position, and the views that others read.
//
// # The fold
//
// A roster is machine → sessions → users. Every fact in it is a register, which
// takes the event with the greater [Stamp] (date, then place) and never goes
// back. So the roster is always what one gets by sorting the accepted events by
// stamp and folding them one by one, whatever the order, the batches and the
// repetitions they came in. Per machine:
//
//	sessions[id]   the user who is on, or nobody    login, logout with session, present
//	cleared[user]  the user is off this machine     logout without session
//	reset          everybody before it is off       boot, shutdown, present
//	newest         the newest date accepted         every accepted event
//	heard          the newest receipt accepted      every accepted event
//	floor          what opens before it is late     want of room (room.go)
//	refused        the last that had no room        an event refused for want of room
//
// A session is open when its register holds a user and its stamp is not below
// reset and is above cleared of that user. A register that holds nothing open is
// forgotten when it is not above reset, or is dated before newest minus the
// allowed lateness or before the floor: no event that is still accepted could
// have been decided by it. To keep that exact, a stamp below reset raises
// nothing, whether or not the register that it would have raised is still
// remembered.
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
// Machines and users have numbers, by which registers and indexes refer to them:
// a number takes little space, and the garbage collector doesn't scan it.
//
// The roster copies every string that it keeps: the strings of an Event may
// point into a buffer that its reader uses again.
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

// Settings are what the fold depends on besides the events. Two rosters with the
// same settings that read the same messages are equal.
type Settings struct {
	// MaxSkew is how far an event may be dated after its receipt.
	MaxSkew time.Duration `json:"max_skew"`
	// AllowedLateness is how far an event may be dated before the newest date
	// accepted from its machine.
	AllowedLateness time.Duration `json:"allowed_lateness"`
	// MaxMachines bounds the machines that reports show; MaxSessions and
	// MaxSessionsPerMachine bound the open sessions. As many hidden machines, and
	// as many registers that hold nothing open, are remembered besides. 0 is no
	// bound.
	MaxMachines           int `json:"max_machines"`
	MaxSessions           int `json:"max_sessions"`
	MaxSessionsPerMachine int `json:"max_sessions_per_machine"`
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

	fold sync.Mutex // held for a batch; whoever holds it may write
	cuts []preserver
	// remembered counts the sessions and clearings of all machines; exact says
	// that none of them may be forgotten (see room.go).
	remembered int
	exact      bool

	locks    [shards]sync.Mutex // each guards the machines of its shard
	fleet    directory
	lately   recentHeap // the fold's
	people   people
	packing  []byte // the fold's buffer, reused
	prefetch prefetcher

	statusMu sync.Mutex
	status   Status
}

// Status is what a reader gets in one piece: the position, the fates of all
// messages up to there, and the totals.
type Status struct {
	Position Position
	Fates    Fates
	// Receipt is the newest receipt read.
	Receipt Time
	// Losses has, for each reason, the place of the last loss, unless it was
	// accepted. It is empty when every event is accounted for.
	Losses Losses
	// Machines counts the machines in the roster; Hidden, those of them that no
	// report shows any more; Users, those who are on somewhere; Several, those
	// who are on more than one machine; Sessions, the open sessions.
	Machines, Hidden, Users, Several, Sessions int
	// Unsettled counts the machines heard within the allowed lateness that a loss
	// concerns. CompleteAfter is the receipt after which the losses are over if
	// no such machine is left; 0 while nothing was read after the last loss.
	Unsettled     int
	CompleteAfter Time
	// Limited counts the machines that had events refused for want of room since
	// their last boot, shutdown or present.
	Limited int

	settling
	resumed    Time   // the newest receipt when reading resumed after the last loss; 0: not yet
	fleetFloor Time   // see forgetHidden
	accepted   uint64 // see Accept
}

// New returns an empty roster.
func New(s Settings) *Roster {
	return &Roster{settings: s}
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
// and moves the position to the batch's end. Every place up to the end that has
// no message is lost. A message whose place already has its fate is folded again,
// which changes nothing, and not counted again.
func (r *Roster) Fold(b *Batch) {
	r.fold.Lock()
	defer r.fold.Unlock()
	r.people.mu.Lock()
	defer r.people.mu.Unlock()
	// Only the holder of fold writes status, so reading it needs no lock.
	st := r.status
	var seen []prefetched
	for i := range b.Messages {
		if i%ahead == 0 {
			seen = r.prefetch.look(r, b.Messages[i:min(i+ahead, len(b.Messages))])
		}
		m := &b.Messages[i]
		//guard:false "a message read again is not counted again" ^(TestSameBytes|TestPositionStays)$
		again := m.Place <= st.Position.Place
		if !again {
			//guard:drop "the fates add up to the position" TestFates
			r.lose(&st, m.Place-1, b.Missing)
		}
		machine := r.judge(&st, m, &seen[i%ahead], b.End.Judged)
		if !again {
			r.judged(&st, machine, m)
		}
	}
	r.lose(&st, b.End.Place, b.Missing)
	//guard:true "the position never goes back" TestPositionStays
	if b.End.Place >= st.Position.Place {
		st.Position = b.End
	}
	if b.Unread {
		r.lost(&st, Recreated, st.Position.Place)
	}
	r.statusMu.Lock()
	r.status = st
	r.statusMu.Unlock()
}

// lose gives the fate lost to every place without a fate, up to and including
// through.
func (r *Roster) lose(st *Status, through uint64, why Loss) {
	if through <= st.Position.Place {
		return
	}
	st.Fates.count(Lost, through-st.Position.Place)
	st.Position.Place = through
	r.lost(st, why, through)
}

// judge gives a message its fate, folds it if it is accepted, and returns its
// machine, or nil if that is new or the message was not decoded. A message
// received no later than judged had its fate in an earlier incarnation of the
// stream: it is not refused again.
func (r *Roster) judge(st *Status, m *Message, seen *prefetched, judged Time) (machine *machine) {
	r.received(st, m.Receipt)
	if st.resumed == 0 && st.loss > 0 && m.Place > st.loss {
		r.resume(st)
	}
	if m.Marker {
		m.Fate = Superseded
		return nil
	}
	if m.Refusal == nil {
		if machine = seen.machine; machine == nil || machine.name != m.Event.Machine || machine.heard == gone {
			machine = r.fleet.find(m.Event.Machine, seen.machineHash)
		}
		m.Refusal = r.refuse(st, machine, m)
	}
	if m.Refusal != nil {
		m.Fate = DeadLettered
		//guard:false "nothing is dead-lettered twice" ./internal/ingest:TestJudgedBefore
		if m.Receipt <= judged {
			m.Fate = Superseded
		}
		return machine
	}
	m.Fate = Superseded
	if r.accept(st, machine, m, seen) {
		m.Fate = Applied
	}
	return machine
}

// judged counts the fate of a message and moves the position to it.
func (r *Roster) judged(st *Status, machine *machine, m *Message) {
	st.Fates.count(m.Fate, 1)
	st.Position.Place = m.Place
	//guard:false "a refusal for want of room is told" ^TestLimits$
	if m.Refusal != nil && m.Refusal.Reason == Limit {
		r.refusedForRoom(st, machine, Stamp{m.Event.Date, m.Place})
	}
}

// accept folds an accepted message into its machine, nil if that is new, and
// reports whether it raised a register other than newest and heard.
func (r *Roster) accept(st *Status, m *machine, msg *Message, seen *prefetched) bool {
	e := &msg.Event
	since := r.hiddenBefore(st.Receipt)
	var was standing
	if m == nil {
		//guard:set strings.Clone(...) e.Machine "a reader may use its buffer again" TestStringsAreCopied
		m = r.fleet.add(machine{name: strings.Clone(e.Machine), ended: math.MaxInt64}, seen.machineHash, len(r.cuts))
		st.Machines++
	} else {
		was = r.standingOf(st, m, since)
	}
	lock := r.lock(m)
	lock.Lock()
	defer lock.Unlock()
	r.preserve(m)
	r.people.event++
	f := folding{r: r, st: st, m: m, stamp: Stamp{e.Date, msg.Place}, seen: seen}
	before := m.remembered()
	raised := f.apply(e)
	m.newest = max(m.newest, e.Date)
	m.heard = max(m.heard, msg.Receipt)
	m.tidy(r, r.exact)
	r.remembered += m.remembered() - before
	r.makeRoom(st, m)
	is := r.standingOf(st, m, since)
	if is.lately && !was.lately {
		heap.Push(&r.lately, heard{m.heard, m.number})
	}
	st.count(was, is)
	return raised
}

// Machines yields the machines that a report shows, in byte order of their names,
// beginning after the name given ("" for all). Each is seen between two events of
// its own, not all at one position: for that, see Cut. The view is valid, and the
// machine locked, only while the loop's body runs: be brief, and do not call the
// roster from it.
func (r *Roster) Machines(after string) iter.Seq[View] {
	return func(yield func(View) bool) {
		r.fleet.looking.Add(1)
		defer r.fleet.looking.Add(-1)
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

// Machine shows one machine, hidden or not, and reports whether it is in the
// roster. See Machines for how long the view is valid.
func (r *Roster) Machine(name string, show func(View)) bool {
	r.fleet.looking.Add(1)
	defer r.fleet.looking.Add(-1)
	m := r.fleet.lookup(name)
	if m == nil {
		return false
	}
	st := r.Status()
	lock := r.lock(m)
	lock.Lock()
	defer lock.Unlock()
	if m.heard == gone {
		return false
	}
	show(r.view(m, &st))
	return true
}

// User returns the open sessions of one user on all machines, by machine, then
// session. Its cost depends on the user's own sessions, not on the fleet.
func (r *Roster) User(name string) []Stay {
	r.fleet.looking.Add(1)
	defer r.fleet.looking.Add(-1)
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

// lock is the lock of a machine's shard.
func (r *Roster) lock(m *machine) *sync.Mutex { return &r.locks[m.number%shards] }

// hiddenBefore is the receipt before which a machine with nobody on it is no
// longer shown.
func (r *Roster) hiddenBefore(receipt Time) Time {
	return receipt.Add(-r.settings.AllowedLateness)
}
