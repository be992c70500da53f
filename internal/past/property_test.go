package past

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/roster"
)

const hour = roster.Time(time.Hour)

func settings(lateness time.Duration) roster.Settings {
	return roster.Settings{MaxSkew: 10 * time.Minute, AllowedLateness: lateness}
}

// session draws a session of a few users and ids, so that they meet.
func session(t *rapid.T, needUser bool) roster.Session {
	s := roster.Session{ID: rapid.SampledFrom([]string{"", "", "1", "2"}).Draw(t, "id")}
	if needUser || s.ID == "" || rapid.Bool().Draw(t, "named") {
		s.User = rapid.SampledFrom([]string{"alice", "bob", "carol"}).Draw(t, "user")
	}
	return s
}

// event draws an event of one of a few machines, one of which is spelt
// differently in its subject, and one in two ways.
func event(t *rapid.T, date roster.Time) roster.Event {
	e := roster.Event{
		Date:    date,
		Type:    rapid.SampledFrom([]roster.Type{1, 1, 1, 1, 2, 2, 2, 3, 4, 5, 5}).Draw(t, "type"),
		Machine: rapid.SampledFrom(machines).Draw(t, "machine"),
	}
	switch e.Type {
	case roster.Login:
		e.Session = session(t, true)
		e.Session.Terminal = rapid.SampledFrom([]string{"", "pts/0", "tty1"}).Draw(t, "terminal")
		e.Session.Remote = rapid.SampledFrom([]string{"", "10.0.0.7"}).Draw(t, "remote")
	case roster.Logout:
		e.Session = session(t, false)
	case roster.Present:
		for range rapid.IntRange(0, 4).Draw(t, "sessions") {
			s := session(t, true)
			if slices.ContainsFunc(e.Sessions, func(o roster.Session) bool { return nameOf(o) == nameOf(s) }) {
				continue
			}
			s.Since = rapid.SampledFrom([]roster.Time{0, date - hour, date + hour}).Draw(t, "since")
			s.Service = rapid.SampledFrom([]string{"", "sshd"}).Draw(t, "service")
			e.Sessions = append(e.Sessions, s)
		}
	}
	return e
}

var machines = []string{"web", "mail.example.com", "a b*c"}

// fill sends a random history, hostile messages among it: with ties or without,
// some events late, too late, ahead or too far ahead.
func (w *world) fill(t *rapid.T) {
	ties := rapid.Bool().Draw(t, "ties")
	now := roster.TimeOf(time.Now())
	now -= now % hour
	for i := range rapid.IntRange(1, 50).Draw(t, "messages") {
		date := now - 20*hour + roster.Time(i)*hour/4 - roster.Time(rapid.IntRange(0, 14*60).Draw(t, "age"))*roster.Time(time.Minute)
		if ties {
			date -= date % (2 * hour)
		} else {
			date += roster.Time(i)
		}
		switch rapid.IntRange(0, 19).Draw(t, "odd") {
		case 0:
			date = roster.TimeOf(time.Now().Add(5 * time.Minute)) // ahead
		case 1:
			date = now + 100*hour // refused
		case 2:
			w.raw(w.subjects.Events(), rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "junk"))
			continue
		case 3:
			w.raw(w.subjects.EventsOf("web"), []byte(`{"date":"2026-11-22T20:59:00Z","type":"boot","machine":"other"}`))
			continue
		case 4:
			w.raw(w.subjects.Events()+".%zz", []byte(`{"date":"2026-11-22T20:59:00Z","type":"boot","machine":"web"}`))
			continue
		}
		e := event(t, date)
		subjects := append(w.subjects.AllEventsOf(e.Machine), w.subjects.Events())
		w.sendTo(rapid.SampledFrom(subjects).Draw(t, "subject"), e)
	}
}

// moment draws one at, just before or just after some event.
func (w *world) moment(t *rapid.T, name string) roster.Time {
	var dates []roster.Time
	for _, m := range w.oracle.accepted {
		dates = append(dates, m.Event.Date-1, m.Event.Date, m.Event.Date+1)
	}
	return rapid.SampledFrom(append(dates, roster.TimeOf(time.Now()))).Draw(t, name)
}

// about draws whom a question is about: a machine that is known, or a user, or
// both, or nothing.
func (w *world) about(t *rapid.T) (q Question) {
	known := slices.Sorted(maps.Keys(w.oracle.newest))
	if len(known) > 0 && rapid.Bool().Draw(t, "about a machine") {
		q.Machine = rapid.SampledFrom(known).Draw(t, "which")
	}
	if rapid.Bool().Draw(t, "about a user") {
		q.User = rapid.SampledFrom([]string{"alice", "bob", "nobody"}).Draw(t, "who")
	}
	return q
}

// wantOn narrows what the oracle says to what a question is about.
func wantOn(all map[string]map[sessionName]roster.Session, q Question) map[string]map[sessionName]roster.Session {
	want := map[string]map[sessionName]roster.Session{}
	for machine, sessions := range all {
		if q.Machine != "" && q.Machine != machine {
			continue
		}
		kept := map[sessionName]roster.Session{}
		for n, s := range sessions {
			if q.User == "" || s.User == q.User {
				kept[n] = s
			}
		}
		if len(kept) > 0 || q.User == "" {
			want[machine] = kept
		}
	}
	if q.Machine != "" && q.User == "" && len(want) == 0 {
		want[q.Machine] = map[sessionName]roster.Session{}
	}
	return want
}

func wantStays(all []Stay, q Question) []Stay {
	return sortStays(slices.DeleteFunc(all, func(s Stay) bool {
		return q.Machine != "" && q.Machine != s.Machine || q.User != "" && q.User != s.Session.User
	}))
}

// TestOracle: the past of random histories is what their sorted events fold to.
func TestOracle(t *testing.T) {
	l := newLand(t)
	rapid.Check(t, func(r *rapid.T) {
		w := l.world(r, t, settings(10*time.Hour))
		defer w.close(t)
		w.fill(r)
		w.read(r, t)
		w.check(r, t, 1)
	})
}

// TestExpired: also when the stream has lost its beginning, with what the
// roster remembers.
func TestExpired(t *testing.T) {
	l := newLand(t)
	rapid.Check(t, func(r *rapid.T) {
		w := l.world(r, t, settings(1000*time.Hour))
		defer w.close(t)
		w.base = rapid.SampledFrom([]uint64{0, 7}).Draw(r, "base")
		w.fill(r)
		w.read(r, t)
		first := rapid.Uint64Range(1, w.sent+1).Draw(r, "first")
		w.purge(r, t, first)
		w.check(r, t, w.base+first)
	})
}

// TestFewRecords: also when a history does not fit in memory at once, unless
// the answer says that it is too large, or that something came too late.
func TestFewRecords(t *testing.T) {
	l := newLand(t)
	compared := 0
	rapid.Check(t, func(r *rapid.T) {
		few := rapid.IntRange(30, 60).Draw(r, "records")
		w := l.world(r, t, settings(1000*time.Hour), func(c *Config) { c.MaxRecords = few })
		defer w.close(t)
		w.fill(r)
		w.read(r, t)
		first := rapid.Uint64Range(1, w.sent+1).Draw(r, "first")
		w.purge(r, t, first)
		events := w.oracle.events(first)
		for range 3 {
			q := w.about(r)
			q.To = w.moment(r, "at")
			for _, q.Stays = range []bool{false, true} {
				a, err := w.Ask(t.Context(), q)
				switch {
				case errors.Is(err, ErrTooLarge):
					continue
				case err != nil || !a.Done:
					r.Fatalf("%+v: %+v, %v", q, a, err)
				case a.Unplaced == 0:
					compared++
					w.compare(r, a, q, events)
				}
				a.Take(a.Rows())
			}
		}
	})
	if compared == 0 {
		t.Error("no answer was compared")
	}
}

// check asks some questions of a stream that begins at a place.
func (w *world) check(r *rapid.T, t *testing.T, first uint64) {
	events := w.oracle.events(first)
	for range 3 {
		q := w.about(r)
		q.To = w.moment(r, "at")
		w.compare(r, w.ask(r, t, q), q, events)
		q.Stays, q.From = true, min(q.To, w.moment(r, "from"))
		w.compare(r, w.ask(r, t, q), q, events)
	}
	w.checkPresent(r, t)
}

// compare compares an answer with the oracle's.
func (w *world) compare(r *rapid.T, a *Answer, q Question, events []roster.Message) {
	if !q.Stays {
		want := wantOn(w.whole(events, q.To), q)
		if got := onOf(a.On); !reflect.DeepEqual(got, want) {
			r.Fatalf("%+v:\n%v, want\n%v", q, got, want)
		}
		return
	}
	want := wantStays(w.oracle.stays(events, q.From, q.To), q)
	if got := sortStays(a.Stays); len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
		r.Fatalf("%+v:\n%v, want\n%v", q, got, want)
	}
}

// whole is what the oracle says of a moment: from the events that count or, of
// machines that have no later one, from all there were.
func (w *world) whole(events []roster.Message, at roster.Time) map[string]map[sessionName]roster.Session {
	want, all := w.oracle.on(events, at), w.oracle.on(inOrder(w.oracle.accepted), at)
	for machine, newest := range w.oracle.newest {
		if newest <= at {
			want[machine] = all[machine]
		}
	}
	return want
}

// checkPresent: the past at the greatest date read, and beyond it, is the
// roster.
func (w *world) checkPresent(r *rapid.T, t *testing.T) {
	for _, at := range []roster.Time{w.oracle.greatest(), roster.MaxDate} {
		if got, want := w.ask(r, t, Question{To: at}).On, w.present(); len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
			r.Fatalf("at %v:\n%v, want\n%v", at, got, want)
		}
	}
	open := map[string]int{}
	for _, s := range w.ask(r, t, Question{Stays: true, To: roster.MaxDate}).Stays {
		if s.How == Open {
			open[s.Machine]++
		}
	}
	for v := range w.roster.Machines("") {
		if n := len(v.AppendSessions(nil)); n != open[v.Name()] {
			r.Fatalf("%s: %d stays are open, want %d", v.Name(), open[v.Name()], n)
		}
	}
}
