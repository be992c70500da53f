package history

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"rollcall/internal/roster"
)

// TestHistory: whatever happens to the service, the stream and the history, and
// whatever order events arrive in, every stay of every machine is as the events that
// were accepted, or refused because of a limit, tell, at all moments at which the history
// does not say that it may lack some. Where nothing was lost or so refused, it says so of
// none.
func TestHistory(t *testing.T) {
	n, kept := 0, 0
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		if n++; n%share != 0 {
			return
		}
		path := filepath.Join(dir, fmt.Sprint(n))
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(path)
		s := newSim(t, path)
		defer func() {
			s.wantPreparedOnce()
			s.history.Close()
		}()
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"publish", "publish", "fold", "fold", "fold", "write", "write", "save", "save", "count", "count", "kill", "purge", "recreate", "remove"}).Draw(t, "step") {
			case "publish":
				s.publish()
			case "fold":
				s.fold(rapid.IntRange(1, 9).Draw(t, "messages"))
			case "write":
				s.write()
				s.checkFleet()
			case "save":
				s.save()
			case "count":
				s.count(s.now - minute*roster.Time(rapid.IntRange(0, 60).Draw(t, "count from")))
			case "kill":
				s.kill()
			case "purge":
				s.purge()
			case "remove":
				// Where the roster has lost events, or the settings changed, only the file
				// knows of it.
				if !s.changed && !s.ahead {
					s.remove()
				}
			case "recreate":
				if rapid.IntRange(0, 3).Draw(t, "really") == 0 {
					s.recreate()
				}
			}
		}
		s.finish()
		from := s.now - 60*minute
		s.count(from)
		s.publish()
		s.finish()
		s.count(from)
		s.check()
		kept += s.kept
		s.checkFleet()
	})
	if kept == 0 {
		t.Error("no question how many were on was answered by what was counted before")
	}
}

// checkFleet compares two answers about the fleet at one moment: one that may have been kept
// since an earlier call, and one that is read now.
func (s *sim) checkFleet() {
	const at = 110 * minute
	var got, want []string
	err := s.history.View(s.Context(), func(v *View) error {
		show := func(list *[]string) func(string, []string) bool {
			return func(name string, users []string) bool {
				*list = append(*list, fmt.Sprint(name, users))
				return true
			}
		}
		if err := s.history.FleetAt(v, at, "", show(&got)); err != nil {
			return err
		}
		f, err := v.Fleet(at, "", at.Add(-s.live.Settings().AllowedLateness))
		if err != nil {
			return err
		}
		return f.Machines(v, "", show(&want))
	})
	if err != nil || !slices.Equal(got, want) {
		s.Fatalf("the fleet is %v, %v; want %v", got, err, want)
	}
}

// finish lets everything catch up.
func (s *sim) finish() {
	for before := roster.MaxDate; ; {
		s.fold(9)
		s.write()
		if at := s.live.Status().Position; roster.Time(at.Place) == before && at.Proof.Created == s.created && len(s.history.queue) == 0 && !s.history.behind {
			return
		} else {
			before = roster.Time(at.Place)
		}
		if s.live.Status().Position.Proof.Stream == "" {
			return
		}
	}
}

// check compares the history with what was told.
func (s *sim) check() {
	for _, name := range slices.Sorted(maps.Keys(s.told)) {
		s.checkMachine(name)
	}
	if !s.ahead {
		s.checkOpen()
	}
	if n, err := number(s.history.w.c, "select count(*) from ended"); err != nil || n != s.history.Status().Stays {
		s.Fatalf("%d stays have ended, %v; the status says %d", n, err, s.history.Status().Stays)
	}
	problems, err := number(s.history.w.c, "select count(*) from pragma_integrity_check where integrity_check <> 'ok'")
	if err != nil || problems != 0 {
		s.Fatalf("%d problems, %v", problems, err)
	}
}

func (s *sim) checkMachine(name string) {
	var got []Stay
	var gaps []Gap
	var doubts []roster.Time
	var kept roster.Time
	err := s.history.View(s.Context(), func(v *View) error {
		id, err := v.machineID(name)
		if err != nil {
			return err
		}
		if id == 0 && v.Loss == 0 && len(s.told[name]) > 0 {
			s.Fatalf("%s is unknown, and nothing was lost", name)
		}
		if id == 0 {
			got = nil
			gaps = []Gap{{Until: endOfTime}}
			return nil
		}
		kept = v.Kept
		span := &Span{Filter: Filter{Machines: []string{name}}, To: roster.MaxDate, Limit: 1 << 30}
		list, _, err := v.Stays(span)
		if err != nil {
			return err
		}
		for _, m := range list {
			got = append(got, m.Stay)
		}
		if gaps, err = v.GapsOf(name, 0, roster.MaxDate); err != nil {
			return err
		}
		doubts, err = (&rows{c: v.c, machine: id}).doubts()
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	o := oracle{doubts: doubts}
	limited := false
	for i := range s.told[name] {
		o.events = append(o.events, s.told[name][i].Event)
		limited = limited || s.told[name][i].limited
	}
	sortEvents(o.events)
	want := o.stays()
	s.checkMarks(name, &o, gaps)
	if len(gaps) > 0 && !s.lost && !limited {
		s.Fatalf("%s: gaps %v, and nothing was lost", name, gaps)
	}
	if len(gaps) == 0 && kept == 0 {
		if !slices.Equal(sorted(got), sorted(want)) {
			s.Fatalf("%s: got\n%+v\nwant\n%+v", name, got, want)
		}
		return
	}
	// A present that was lost may have told that somebody is on for longer than that.
	longest := 30 * minute
	if s.ahead {
		longest += 40 * minute // it judged others by an older date
	}
	for at := kept; at < s.now+5*minute; at += minute {
		if slices.ContainsFunc(gaps, func(g Gap) bool { return g.From-longest <= at && at < g.Until }) {
			continue
		}
		if g, w := on(got, at), on(want, at); !slices.Equal(g, w) {
			s.Fatalf("%s at %v: got %+v, want %+v; gaps %+v; all\n%+v\nwant\n%+v", name, at, g, w, gaps, sorted(got), sorted(want))
		}
	}
}

// checkOpen compares who is on in the history with who is in the roster.
func (s *sim) checkOpen() {
	h := s.history
	if !h.reconciled || h.w.differs || h.Position().Place != s.live.Status().Position.Place {
		return // it agrees with the roster at the next event
	}
	for name := range s.told {
		var got, want []string
		s.live.Machine(name, func(v roster.View) {
			for _, on := range v.AppendSessions(nil) {
				want = append(want, fmt.Sprint(on.User, " ", on.ID))
			}
		})
		err := h.View(s.Context(), func(v *View) error {
			open, err := v.OpenOn(name)
			for _, m := range open {
				got = append(got, fmt.Sprint(m.Session.User, " ", m.Session.ID))
			}
			return err
		})
		slices.Sort(got)
		slices.Sort(want)
		if err != nil || !slices.Equal(got, want) {
			s.Fatalf("%s: open %v, %v; the roster has %v", name, got, err, want)
		}
	}
}

// on returns who was on at a moment, without the details, which a lost event may have
// told.
func on(stays []Stay, at roster.Time) []string {
	var list []string
	for i := range stays {
		if stays[i].On(at) {
			list = append(list, fmt.Sprint(stays[i].Session.User, " ", stays[i].Session.ID))
		}
	}
	slices.Sort(list)
	return list
}
