package agent

import (
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/roster"
)

// TestClock: whatever the clock went through, half an hour after it is right exactly those
// are on who are, and events are accepted.
func TestClock(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, rt)
		defer w.config.Spool.Close()
		ahead := rapid.SampledFrom([]time.Duration{
			0, 0, 0, 2 * time.Second, -2 * time.Second, 5 * time.Minute, -5 * time.Minute, 8 * time.Minute, -8 * time.Minute,
			9*time.Minute + 30*time.Second, -9*time.Minute - 30*time.Second, 20 * time.Minute, -20 * time.Minute, 2 * time.Hour, -2 * time.Hour,
			40 * 24 * time.Hour, -40 * 24 * time.Hour, 20 * 365 * 24 * time.Hour, -20 * 365 * 24 * time.Hour,
		})
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"login", "login", "logout", "wait", "set", "boot", "stop", "start", "right"}).Draw(rt, "step") {
			case "login":
				w.login()
			case "logout":
				if on := slices.Sorted(maps.Keys(w.logind.sessions)); len(on) > 0 {
					w.logout(rapid.SampledFrom(on).Draw(rt, "who"))
				}
			case "wait":
				w.wait(rapid.SampledFrom([]time.Duration{time.Second, 10 * time.Minute, time.Hour}).Draw(rt, "time"))
			case "set":
				w.set(ahead.Draw(rt, "ahead"))
			case "boot":
				w.boot(ahead.Draw(rt, "ahead"))
			case "stop":
				w.agent = nil
			case "start":
				w.start()
			case "right":
				w.right(rt.Name())
			}
		}
		w.right("at the end")
	})
}

// right sets the clock right, and checks that half an hour later all is right.
func (w *world) right(what string) {
	w.set(0)
	if w.agent == nil {
		w.start()
	}
	w.wait(31 * time.Minute)
	w.check(what + ", later")
	w.login()
	w.check(what + ", after a login")
}

// stays returns what the history has of each stay: the session, how long after the true
// beginning of the world it began and ended, and what ended it.
func (w *world) stays(t *testing.T) (stays []string) {
	all, _ := staysOf(t, w.stream)
	minutes := func(at roster.Time) string {
		return at.Time().Sub(time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)).Truncate(time.Minute).String()
	}
	for _, s := range all {
		text := s.Session.ID + " from " + minutes(s.Session.Since)
		if s.Ended != 0 {
			text += " to " + minutes(s.Ended)
		}
		stays = append(stays, text+" "+s.How.String())
	}
	return stays
}

// TestClockSet: a clock that is set, or that was wrong at a boot, keeps no stay open, and
// divides none that was accepted; a boot that was told with a wrong date is told again.
// Session 1 is from before that boot, session 2 from ten minutes after it.
func TestClockSet(t *testing.T) {
	for name, c := range map[string]struct {
		before time.Duration // by how much the clock is ahead in the life before
		booted time.Duration // and after the boot, until it is set right
		paused time.Duration // for how long the virtual machine is paused meanwhile
		want   []string
	}{
		"right":                     {0, 0, 0, []string{"1 from 1h0m0s to 2h0m0s boot", "2 from 2h10m0s open"}},
		"set by NTP":                {0, -10 * time.Second, 0, []string{"1 from 1h0m0s to 2h0m0s boot", "2 from 2h10m0s open"}},
		"set back a little":         {0, 5 * time.Minute, 0, []string{"1 from 1h0m0s to 2h5m0s boot", "2 from 2h15m0s open"}},
		"paused":                    {0, 0, 8 * time.Hour, []string{"1 from 1h0m0s to 2h0m0s boot", "2 from 2h10m0s open"}},
		"in local time at the boot": {0, 2 * time.Hour, 0, []string{"1 from 1h0m0s to 2h0m0s boot", "2 from 2h20m0s open"}},
		// What was told with a date of three weeks ago stays where it was told.
		"three weeks behind at the boot": {0, -21 * 24 * time.Hour, 0, []string{"2 from -501h49m0s to 0s boot", "1 from 1h0m0s to 2h0m0s boot", "2 from 2h0m0s open"}},
		"a year ahead before":            {365 * 24 * time.Hour, 0, 0, []string{"2 from 2h10m0s open"}},
		"a year ahead before, and yet":   {365 * 24 * time.Hour, 365 * 24 * time.Hour, 0, []string{"2 from 2h20m0s open"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, t)
			w.set(c.before)
			w.wait(time.Hour)
			w.login()
			w.wait(time.Hour)
			w.boot(c.booted)
			w.start()
			w.wait(10 * time.Minute)
			w.login()
			w.wait(10 * time.Minute)
			w.real, w.bootedAt = w.real.Add(c.paused), w.bootedAt.Add(c.paused)
			w.set(0)
			w.wait(31 * time.Minute)
			w.check("at the end")
			if got := w.stays(t); !slices.Equal(got, c.want) {
				t.Errorf("the stays are %q, want %q", got, c.want)
			}
		})
	}
}

// TestClockInBacklog: a clock that was set back while the agent was away makes it list once
// who is on, as at each start, and not at each record that it missed.
func TestClockInBacklog(t *testing.T) {
	w := newWorld(t, t)
	w.set(2 * time.Hour)
	w.login()
	w.agent = nil
	w.set(0)
	for range 3 {
		w.logout(w.login())
	}
	stored := len(w.stream)
	w.start()
	w.check("after the start")
	lists := 0
	for _, m := range w.stream[stored:] {
		if m.Event.Type == roster.Present {
			lists++
		}
	}
	if lists != 1 {
		t.Errorf("%d lists, want 1", lists)
	}
}
