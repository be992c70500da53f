package stream

import (
	"bytes"
	"cmp"
	"maps"
	"reflect"
	"slices"

	"rollcall/internal/roster"
)

// oracle computes what a roster must be after a log, as the script that rollcall
// replaced did: sort the accepted events by date, fold them one by one into machine →
// sessions.
type oracle struct {
	settings roster.Settings
	newest   map[string]roster.Time
	resets   map[string]roster.Stamp
	accepted []*roster.Event // in the order of their places
	// accounted are the fates; accepted events are all counted as superseded.
	accounted             roster.Fates
	losses                roster.Losses
	heard                 map[string]roster.Time // by machine: the newest receipt accepted
	receipt               roster.Time            // the newest receipt read
	firstReceiptAfterLoss roster.Time            // the same, once a message was read after the last loss
	nothingReadSince      bool                   // none was yet
	sources               map[string]*sourceOracle
	order                 []*sourceOracle            // by their first messages
	through               map[string]map[string]bool // by machine: the sources whose losses may concern it
	explained             uint64                     // what would be missing of sources had the stream lost nothing
	unspoken              int                        // messages whose source may not speak for their machine
}

func newOracle(settings roster.Settings, log []entry) *oracle {
	o := &oracle{settings: settings, newest: map[string]roster.Time{}, resets: map[string]roster.Stamp{}, heard: map[string]roster.Time{}, sources: map[string]*sourceOracle{}, through: map[string]map[string]bool{}}
	for _, e := range log {
		switch {
		case e.unread && e.place+e.lost > 1:
			o.accounted[roster.Lost] += e.lost
			o.lose(roster.Recreated, e.place+e.lost-1)
		case e.unread:
		case e.lost > 0:
			o.accounted[roster.Lost] += e.lost
			o.lose(e.why, e.place+e.lost-1)
		case e.m != nil:
			o.read(e)
		}
	}
	return o
}

func (o *oracle) lose(why roster.Loss, place uint64) { o.losses[why], o.nothingReadSince = place, true }

func (o *oracle) read(e entry) {
	event := &e.m.event
	if o.receipt = max(o.receipt, e.m.receipt); o.nothingReadSince {
		o.firstReceiptAfterLoss, o.nothingReadSince = o.receipt, false
	}
	o.readSource(e)
	newest, known := o.newest[event.Machine]
	may := o.may(e.m.from.Name, event.Machine)
	if !may {
		o.unspoken++
	}
	refused := e.m.refused || !may || event.Date > e.m.receipt.Add(o.settings.MaxSkew) ||
		known && event.Date < newest.Add(-o.settings.AllowedLateness)
	if refused && e.m.receipt > e.judged {
		o.accounted[roster.DeadLettered]++
		return
	}
	o.accounted[roster.Superseded]++
	if refused {
		return
	}
	o.newest[event.Machine] = max(newest, event.Date)
	o.accepted = append(o.accepted, event)
	heard := e.m.receipt
	if e.m.life != nil { // it may have waited at its site
		heard = min(heard, event.Date)
	}
	o.heard[event.Machine] = max(o.heard[event.Machine], heard)
	o.concern(event.Machine, e.m.from.Name, !known)
	stamp := roster.Stamp{Date: event.Date, Place: e.place}
	if event.Type >= roster.Boot && stamp.After(o.resets[event.Machine]) {
		o.resets[event.Machine] = stamp
	}
}

// unsettled counts the machines heard within the allowed lateness that are not settled
// since the last loss, and reports whether the roster is complete.
func (o *oracle) unsettled() (machines int, complete bool) {
	if o.losses == (roster.Losses{}) {
		return 0, true
	}
	last := slices.Max(o.losses[:roster.SourceGap])
	completeAfter := roster.Time(0)
	if last > 0 {
		completeAfter = o.firstReceiptAfterLoss.Add(o.settings.AllowedLateness)
	}
	for _, s := range o.order {
		if s.resumed > 0 {
			completeAfter = max(completeAfter, s.resumed.Add(o.settings.AllowedLateness))
		}
	}
	for machine, heard := range o.heard {
		reset := o.resets[machine]
		settled := last == 0 || !o.nothingReadSince && reset.Place > last && reset.Date > o.firstReceiptAfterLoss.Add(o.settings.MaxSkew)
		if heard >= o.receipt.Add(-o.settings.AllowedLateness) && !(settled && o.settledSources(machine)) {
			machines++
		}
	}
	return machines, !o.nothingReadSince && machines == 0 && o.receipt > completeAfter
}

type sessionKey struct{ id, user string }

// fold returns who is on: machine → session → user.
func (o *oracle) fold() map[string]map[sessionKey]string {
	events := slices.Clone(o.accepted)
	slices.SortStableFunc(events, func(a, b *roster.Event) int { return cmp.Compare(a.Date, b.Date) })
	machines := map[string]map[sessionKey]string{}
	for _, e := range events {
		on := machines[e.Machine]
		if on == nil {
			on = map[sessionKey]string{}
			machines[e.Machine] = on
		}
		foldOne(on, e)
	}
	return machines
}

func foldOne(on map[sessionKey]string, e *roster.Event) {
	who := e.Session
	switch e.Type {
	case roster.Login:
		on[keyOf(who)] = who.User
	case roster.Logout:
		maps.DeleteFunc(on, func(s sessionKey, user string) bool {
			return who.ID != "" && s.id == who.ID || who.ID == "" && user == who.User
		})
	default:
		clear(on)
		for _, s := range e.Sessions {
			on[keyOf(s)] = s.User
		}
	}
}

func keyOf(s roster.Session) sessionKey {
	if s.ID != "" {
		return sessionKey{id: s.ID}
	}
	return sessionKey{user: s.User}
}

// shownBy returns what the roster's views show, in the form of the oracle.
func shownBy(r *roster.Roster) map[string]map[sessionKey]string {
	machines := map[string]map[sessionKey]string{}
	cut := r.Cut()
	defer cut.Close()
	for v := range cut.All() {
		machines[v.Name()] = map[sessionKey]string{}
		for _, s := range v.AppendSessions(nil) {
			machines[v.Name()][keyOf(s)] = s.User
		}
	}
	return machines
}

// heardBy returns when the roster says that machines were heard.
func heardBy(r *roster.Roster) map[string]roster.Time {
	heard := map[string]roster.Time{}
	cut := r.Cut()
	defer cut.Close()
	for v := range cut.All() {
		heard[v.Name()] = v.Heard()
	}
	return heard
}

func encodingOf(r *roster.Roster) []byte {
	var b bytes.Buffer
	enc := r.Encode()
	defer enc.Close()
	enc.WriteTo(&b) //nolint:errcheck // a buffer never fails
	return b.Bytes()
}

// checkRoster checks that the roster is what the oracle computes, and byte for byte
// that of a process which folded the same log without a crash.
func (s *service) checkRoster() {
	w, st := s.w, s.roster.Status()
	o := newOracle(w.settings, s.log)
	got := st.Fates
	got[roster.Superseded] += got[roster.Applied]
	got[roster.Applied] = 0
	if got != o.accounted {
		w.fail("fates are %v, want %v", got, o.accounted)
	}
	if st.Losses != o.losses {
		w.fail("losses are %v, want %v", st.Losses, o.losses)
	}
	if n, complete := o.unsettled(); st.Unsettled != n || st.Complete() != complete {
		w.fail("%d machines are unsettled, complete %v; want %d, %v", st.Unsettled, st.Complete(), n, complete)
	}
	s.checkSources(o)
	if got := heardBy(s.roster); !maps.Equal(got, o.heard) {
		w.fail("machines were heard at %v, want %v", got, o.heard)
	}
	if got, want := shownBy(s.roster), o.fold(); !reflect.DeepEqual(got, want) {
		w.fail("the roster shows %v, want %v", got, want)
	}
	if !bytes.Equal(encodingOf(s.roster), encodingOf(s.replayed())) {
		w.fail("the roster's encoding is not that of an undisturbed process")
	}
}

// replayed returns the roster of a new process that folds the same log.
func (s *service) replayed() *roster.Roster {
	r := roster.New(s.w.settings)
	for _, e := range s.log {
		b := roster.Batch{End: r.Status().Position}
		switch {
		case e.unread:
			b.End.Place += e.lost
			b.Missing, b.Unread = e.why, true
		case e.lost > 0:
			b.End.Place += e.lost
			b.Missing = e.why
		default:
			b.End.Place, b.End.Judged = e.place, e.judged
			b.Messages = []roster.Message{{Place: e.place, Receipt: e.m.receipt, Event: e.m.event, Source: e.m.from}}
			if e.m.refused {
				b.Messages[0].Refusal = &roster.Refusal{Reason: roster.Malformed}
			}
		}
		r.Fold(&b)
	}
	return r
}

// checkRead checks that every message that the stream ever had was folded or reported
// as lost.
func (s *service) checkRead() {
	folded := map[roster.Time]bool{} // by receipt, which is the same in a copy
	lost := map[uint64]bool{}
	for _, e := range s.log {
		if e.m != nil {
			folded[e.m.receipt] = true
		}
		for _, receipt := range e.receipts {
			folded[receipt] = true // a copy may still have it
		}
		for i := range e.lost {
			if slices.Contains(s.w.stream.lineage, e.created) {
				lost[e.seq+i] = true
			}
		}
	}
	for _, m := range s.w.stream.history {
		if m != nil && !folded[m.receipt] && !lost[m.seq] && m.seq > s.unverifiable {
			s.w.fail("sequence %d of incarnation %d was neither read nor reported as lost", m.seq, s.w.stream.id)
			return
		}
	}
}
