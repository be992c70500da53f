package roster_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/roster"
)

func boot(machine string) roster.Event { return roster.Event{Type: roster.Boot, Machine: machine} }

// TestSettled: a loss concerns a machine until a boot, shutdown or present dated
// after it, and it concerns unknown machines.
func TestSettled(t *testing.T) {
	f := feed{r: roster.New(settings())}
	unsettled := func(want int, complete bool) {
		t.Helper()
		st := f.r.Status()
		if st.Unsettled != want || st.Complete() != complete {
			t.Errorf("%d machines unsettled, complete %v; want %d, %v", st.Unsettled, st.Complete(), want, complete)
		}
		if again := restore(t, f.r).Status(); again != st {
			t.Errorf("restored status %+v, want %+v", again, st)
		}
	}
	minute := roster.Time(time.Minute)
	f.send(boot("web"))
	f.send(boot("db"))
	unsettled(0, true)
	settlesAfter := func(want roster.Time) {
		t.Helper()
		if st := f.r.Status(); st.SettlesAfter() != want {
			t.Errorf("settles after %v, want %v", st.SettlesAfter(), want)
		}
	}
	settlesAfter(0)
	f.place += 5
	f.send(login("web", "lane", "")) // the first message after the loss
	after := start + roster.Time(f.place)*roster.Time(time.Second)
	settlesAfter(after + 10*minute)
	unsettled(2, false)
	f.send(dated(after+10*minute, boot("web"))) // may be of before the loss
	unsettled(2, false)
	f.send(dated(after+11*minute, boot("web")))
	unsettled(1, false)
	f.send(dated(after+12*minute, boot("web")))
	unsettled(1, false)
	f.send(dated(after+13*minute, login("new", "lane", ""))) // which may have been there before
	unsettled(2, false)
	f.send(dated(after+13*minute, boot("newer")))
	unsettled(2, false)
	f.send(dated(after+5*minute, boot("db"))) // out of its spool
	unsettled(2, false)
	f.send(dated(after+14*minute, boot("new")))
	f.send(dated(after+14*minute, roster.Event{Type: roster.Present, Machine: "db"}))
	unsettled(0, false) // a machine that nobody has heard of would have spoken by
	if st := f.r.Status(); st.CompleteAfter != after+roster.Time(lateness) {
		t.Errorf("complete after %v, want %v", st.CompleteAfter, after+roster.Time(lateness))
	}
	f.send(dated(after+10*hour, boot("web")))
	unsettled(0, false)
	f.send(dated(after+10*hour+1, boot("web")))
	unsettled(0, true)
	f.send(dated(after+11*hour, login("newest", "lane", "")))
	unsettled(1, false)
}

// TestUnsettledOfOneMachine: an answer about one machine is complete if that machine
// is settled.
func TestUnsettledOfOneMachine(t *testing.T) {
	f := feed{r: roster.New(settings())}
	f.place += 5
	f.send(login("web", "lane", ""))
	f.send(dated(start+hour, boot("db")))
	for name, want := range map[string]bool{"web": false, "db": true} {
		f.r.Machine(name, func(v roster.View) {
			if v.Settled() != want {
				t.Errorf("%s settled: %v", name, v.Settled())
			}
		})
	}
}

// TestSilentMachinesDontCount: a machine that is no longer heard does not keep the
// roster incomplete.
func TestSilentMachinesDontCount(t *testing.T) {
	f := feed{r: roster.New(settings())}
	f.send(login("off", "lane", ""))
	f.place += 5
	f.send(boot("web"))
	f.send(dated(start+10*hour-1, boot("web")))
	if st := f.r.Status(); st.Unsettled != 1 || st.Complete() {
		t.Errorf("%d unsettled, want the machine that is off", st.Unsettled)
	}
	f.send(dated(start+11*hour, boot("web")))
	if st := f.r.Status(); st.Unsettled != 0 || !st.Complete() {
		t.Errorf("%d unsettled, complete %v", st.Unsettled, st.Complete())
	}
}

// TestLosses: after random histories with losses, and snapshots at any place, the
// unsettled machines are those of the oracle.
func TestLosses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := settings()
		s.MaxMachines = rapid.SampledFrom([]int{1, 2, 3, 1000}).Draw(t, "machines at most")
		s.MaxSessions, s.MaxSessionsPerMachine = 1000, 1000
		r, o := roster.New(s), lossOracle{evictOracle: newEvictOracle(s)}
		skipped := uint64(0)
		for _, m := range crowd(t) {
			m.Place += skipped
			switch rapid.IntRange(0, 15).Draw(t, "loss") {
			case 0:
				m.Place += 3
				skipped += 3
				o.lose(m.Place - 1)
			case 1:
				r = restore(t, r)
			}
			o.read(m)
			fold(r, m)
			o.check(t, r)
		}
	})
}

// lossOracle implements the definition of losses directly.
type lossOracle struct {
	*evictOracle
	last           uint64 // the place of the last loss
	known, pending bool   // there was one; nothing was read since
	first          roster.Time
}

func (o *lossOracle) lose(place uint64) { o.last, o.known, o.pending = place, true, true }

func (o *lossOracle) read(m roster.Message) {
	refused := o.evictOracle.read(m)
	if o.pending {
		o.first, o.pending = o.receipt, false
	}
	if refused == roster.Limit { // only machines that are not there are refused here
		o.lose(m.Place)
	}
}

func (o *lossOracle) settled(m *evictMachine) bool {
	reset, _ := m.registers()
	return !o.known || !o.pending && reset.Place > o.last && reset.Date > o.first+roster.Time(o.settings.MaxSkew)
}

func (o *lossOracle) check(t *rapid.T, r *roster.Roster) {
	st := r.Status()
	unsettled := 0
	for name, m := range o.machines {
		r.Machine(name, func(v roster.View) {
			if v.Settled() != o.settled(m) {
				t.Fatalf("%s settled: %v, want %v", name, v.Settled(), o.settled(m))
			}
		})
		if m.heard >= o.receipt-roster.Time(o.settings.AllowedLateness) && !o.settled(m) {
			unsettled++
		}
	}
	complete := !o.known || !o.pending && unsettled == 0 && o.receipt > o.first+roster.Time(o.settings.AllowedLateness)
	if st.Unsettled != unsettled || st.Complete() != complete {
		t.Fatalf("%d unsettled, complete %v; want %d, %v", st.Unsettled, st.Complete(), unsettled, complete)
	}
}

// TestAcceptOneOfTwo: an operator accepts one loss; a later one remains.
func TestAcceptOneOfTwo(t *testing.T) {
	f := feed{r: roster.New(settings())}
	f.send(login("web", "lane", ""))
	f.place += 5
	f.send(login("db", "lane", ""))
	place := f.place
	f.place += 5
	f.send(dated(start+hour, login("mail", "lane", "")))
	f.r.Accept(place)
	if st := f.r.Status(); st.Unsettled != 3 || st.Losses[roster.Gap] != 12 {
		t.Errorf("%d unsettled, losses %v", st.Unsettled, st.Losses)
	}
	f.r.Accept(f.place)
	if st := f.r.Status(); st.Unsettled != 0 || !st.Complete() || st.Losses != (roster.Losses{}) || fmt.Sprint(st.CompleteAfter) != fmt.Sprint(roster.Time(0)) {
		t.Errorf("status %+v", st)
	}
}

// TestSettlesAfterUnknown: while no message was read after a loss, no date settles a
// machine.
func TestSettlesAfterUnknown(t *testing.T) {
	r := roster.New(settings())
	r.Fold(&roster.Batch{End: roster.Position{Place: 5}, Missing: roster.Gap})
	if st := r.Status(); st.SettlesAfter() != 0 || st.Complete() {
		t.Errorf("settles after %v, complete %v", st.SettlesAfter(), st.Complete())
	}
}
