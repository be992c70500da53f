package roster_test

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/roster"
)

// tight returns settings with limits that histories of a few machines reach.
func tight(t *rapid.T) roster.Settings {
	s := settings()
	s.MaxMachines = rapid.IntRange(1, 4).Draw(t, "machines at most")
	s.MaxSessionsPerMachine = rapid.IntRange(1, 4).Draw(t, "sessions of a machine at most")
	s.MaxSessions = rapid.IntRange(2, 9).Draw(t, "sessions at most")
	return s
}

// crowd draws a history of more machines, some of which are silent for long.
func crowd(t *rapid.T) []roster.Message {
	messages := history(t, rapid.Bool().Draw(t, "ties"))
	fleet := rapid.SampledFrom([]int{1, 2, 9}).Draw(t, "fleet")
	later := roster.Time(0)
	for i := range messages {
		if rapid.IntRange(0, 29).Draw(t, "pause") == 0 {
			later += 11 * hour
		}
		m := &messages[i]
		m.Receipt += later
		if rapid.IntRange(0, 14).Draw(t, "an older copy") == 0 {
			m.Receipt -= roster.Time(rapid.IntRange(0, 24).Draw(t, "hours")) * hour
		}
		m.Event.Date += later
		m.Event.Machine = fmt.Sprintf("m%d", rapid.IntRange(0, fleet-1).Draw(t, "machine"))
	}
	return messages
}

// TestEviction: with small limits, each message is refused for the reason that the
// oracle gives, and the roster is what the accepted events fold to.
func TestEviction(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := tight(t)
		r, o := roster.New(s), newEvictOracle(s)
		for _, m := range crowd(t) {
			known, open := o.machines[m.Event.Machine] != nil, r.Status().Sessions
			want := o.read(m)
			got := fold(r, m)[0]
			if reason := reasonOf(got.Refusal); reason != want {
				t.Fatalf("message %d, %+v: refused for %q, want %q (%v)", m.Place, m.Event, reason, want, got.Refusal)
			}
			if opens := m.Event.Type == roster.Login || len(m.Event.Sessions) > 0; want == roster.Limit && known && !opens {
				t.Fatalf("message %d: an event that only ends sessions is refused because of a limit: %+v", m.Place, m.Event)
			}
			if want == roster.Limit && r.Status().Sessions != open {
				t.Fatalf("message %d: refused, but it changed who is on", m.Place)
			}
			checkEviction(t, r, o, s)
		}
	})
}

func reasonOf(refusal *roster.Refusal) roster.Reason {
	if refusal == nil {
		return ""
	}
	return refusal.Reason
}

// checkEviction compares a roster with the oracle, and its registers with their
// ceilings.
func checkEviction(t *rapid.T, r *roster.Roster, o *evictOracle, s roster.Settings) {
	t.Helper()
	if got, want := seen(r), o.plain().fold(); !reflect.DeepEqual(got, want) {
		t.Fatalf("roster is\n%v, want\n%v", got, want)
	}
	if got, want := changedOf(r), o.plain().changed(); !reflect.DeepEqual(got, want) {
		t.Fatalf("changed are %v, want %v", got, want)
	}
	st, limited := r.Status(), map[string]bool{}
	shown := 0
	for v := range r.Machines("") {
		shown++
		if v.Limited() {
			limited[v.Name()] = true
		}
	}
	for name := range o.limited() {
		r.Machine(name, func(v roster.View) {
			if !v.Limited() {
				t.Fatalf("%s is not limited", name)
			}
			limited[name] = true
		})
	}
	if !reflect.DeepEqual(limited, o.limited()) || st.Limited != len(limited) {
		t.Fatalf("limited are %v, %d, want %v", limited, st.Limited, o.limited())
	}
	if hidden := len(o.hidden()); st.Hidden != hidden || shown != st.Machines-hidden || st.Machines != len(o.machines) {
		t.Fatalf("%d machines, %d hidden, %d shown; want %d, %d", st.Machines, st.Hidden, shown, len(o.machines), hidden)
	}
	if st.Hidden > s.MaxMachines {
		t.Fatalf("%d hidden machines, at most %d", st.Hidden, s.MaxMachines)
	}
	counted, there := r.RegisterCounts()
	if most := s.MaxSessions + s.MaxSessions; counted != there || there > most {
		t.Fatalf("%d registers counted, want %d, at most %d", counted, there, most)
	}
}

// TestEvictionLeavesNoTrace: with limits in effect, dropping expired registers at
// once or lazily, snapshots at any place, and any batches give the same bytes and
// the same refusals.
func TestEvictionLeavesNoTrace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := tight(t)
		messages := crowd(t)
		plain := roster.New(s)
		var want []string
		for _, m := range messages {
			want = append(want, fmt.Sprint(fold(plain, m)[0].Refusal))
		}
		other := roster.New(s)
		var got []string
		for at := 0; at < len(messages); {
			n := rapid.IntRange(1, len(messages)-at).Draw(t, "batch")
			for _, m := range fold(other, messages[at:at+n]...) {
				got = append(got, fmt.Sprint(m.Refusal))
			}
			at += n
			switch rapid.IntRange(0, 2).Draw(t, "then") {
			case 0:
				other = restore(t, other)
			case 1:
				other.ExpireAll()
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("refused:\n%q\nwant:\n%q", got, want)
		}
		if !bytes.Equal(encode(t, plain), encode(t, other)) {
			t.Fatalf("%v\n%v\n%x\n%x", seen(plain), seen(other), encode(t, plain), encode(t, other))
		}
		if a, b := plain.Status(), other.Status(); a != b {
			t.Fatalf("status is %+v, want %+v", b, a)
		}
	})
}

// TestEvictionAllowsALogin: after any history, a machine with fewer than the limit
// of open sessions accepts a login dated above its floor and horizon.
func TestEvictionAllowsALogin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := tight(t)
		s.MaxSessions = 0
		r, o := roster.New(s), newEvictOracle(s)
		o.settings.MaxSessions = 1 << 30
		for _, m := range crowd(t) {
			o.read(m)
			fold(r, m)
		}
		for name, m := range o.machines {
			if m.open() >= s.MaxSessionsPerMachine {
				continue
			}
			place := r.Status().Position.Place + 1
			e := dated(max(m.floor, m.newest()-roster.Time(s.AllowedLateness)), login(name, "zoe", "new"))
			if got := fold(r, roster.Message{Place: place, Receipt: max(o.receipt, e.Date), Event: e})[0]; got.Refusal != nil {
				t.Fatalf("%s, with %d on: %v", name, m.open(), got.Refusal)
			}
		}
	})
}

// TestChurn: one machine with ever new sessions, and a fleet of short-lived
// machines, stay within the ceilings.
func TestChurn(t *testing.T) {
	s := settings()
	s.MaxMachines, s.MaxSessions, s.MaxSessionsPerMachine = 100, 1000, 50
	f := feed{r: roster.New(s)}
	for i := range 30_000 {
		at := start + roster.Time(i)*roster.Time(time.Second)
		machine := fmt.Sprintf("pod%d", i/10)
		if i%3 == 0 {
			machine = "busy"
		}
		user, id := fmt.Sprintf("user%d", i), fmt.Sprint(i)
		if i%7 == 0 {
			id = ""
		}
		f.send(dated(at, login(machine, user, id)))
		f.send(dated(at+1, logout(machine, user, id)))
		if i%100 == 0 { // time for machines to be hidden
			f.send(dated(at, roster.Event{Type: roster.Boot, Machine: "busy"}))
		}
	}
	st := f.r.Status()
	if st.Machines > 2*s.MaxMachines || st.Sessions != 0 {
		t.Errorf("%d machines, want at most %d; %d sessions", st.Machines, 2*s.MaxMachines, st.Sessions)
	}
	if _, there := f.r.RegisterCounts(); there > s.MaxSessions {
		t.Errorf("%d registers", there)
	}
	if n := f.r.Names(); n > s.MaxSessions {
		t.Errorf("%d names", n)
	}
}

// TestCutKeepsEvicted: a cut shows machines and registers that are evicted while it
// is read; later readers do not.
func TestCutKeepsEvicted(t *testing.T) {
	for name, most := range map[string]int{"machines": 100, "machines, and registers": 6} {
		t.Run(name, func(t *testing.T) { cutKeepsEvicted(t, most) })
	}
}

func cutKeepsEvicted(t *testing.T, maxSessions int) {
	s := settings()
	s.MaxMachines, s.MaxSessions, s.MaxSessionsPerMachine = 2, maxSessions, 100
	f := feed{r: roster.New(s)}
	f.send(dated(start, login("a", "lane", "1")))
	f.send(dated(start+1, logout("a", "lane", "1")))
	f.send(dated(start+1, boot("b")))
	later := start + 11*hour
	f.send(dated(later, login("c", "lane", "1"))) // a and b are hidden
	want := encode(t, f.r)
	cut := f.r.Encode()
	defer cut.Close()
	f.send(dated(later+1, boot("d")))
	for i := range 20 {
		f.send(dated(later+2+roster.Time(i), logout([]string{"c", "d"}[i%2], "", fmt.Sprint(i))))
	}
	f.send(dated(later+11*hour, login("c", "lane", "1")))   // d is hidden, and a is evicted
	f.send(dated(later+11*hour+1, login("e", "lane", "1"))) // must not take the place of a in the cut
	var got bytes.Buffer
	if _, err := cut.WriteTo(&got); err != nil || !bytes.Equal(got.Bytes(), want) {
		t.Errorf("the cut is not what the roster was when it began: %v", err)
	}
	if f.r.Machine("a", func(roster.View) {}) {
		t.Error("a is not evicted")
	}
	var names []string
	for v := range f.r.Machines("") {
		names = append(names, v.Name())
	}
	if fmt.Sprint(names) != "[c e]" {
		t.Errorf("machines are %v", names)
	}
}

// TestEvictedWhileRead: while machines are added and evicted, all kinds of readers see
// each machine under its own name, in order.
func TestEvictedWhileRead(t *testing.T) {
	s := settings()
	s.MaxMachines = 5
	f := feed{r: roster.New(s)}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			at := start + roster.Time(i)*hour
			name := fmt.Sprintf("m%03d", i%1000)
			f.send(dated(at, login(name, name, "")))
			f.send(dated(at+1, logout(name, name, "")))
		}
	}()
	for range 2000 {
		last := ""
		for v := range f.r.Machines("") {
			if v.Name() <= last {
				t.Fatalf("%s after %s", v.Name(), last)
			}
			last = v.Name()
			for _, user := range v.AppendUsers(nil) {
				if user != last {
					t.Fatalf("%s is on %s", user, last)
				}
			}
		}
		f.r.Machine(last, func(v roster.View) {
			if v.Name() != last {
				t.Fatalf("%s under the name of %s", v.Name(), last)
			}
		})
		names := map[string]bool{}
		for _, v := range f.r.ByNumber() {
			if names[v.Name()] {
				t.Fatalf("%s twice", v.Name())
			}
			names[v.Name()] = true
			for _, user := range v.AppendUsers(nil) {
				if user != v.Name() {
					t.Fatalf("%s is on %s", user, v.Name())
				}
			}
		}
		f.r.User(last)
		f.r.OnSeveral([]string{last})
	}
	close(stop)
	<-done
}
