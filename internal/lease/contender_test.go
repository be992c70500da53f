package lease

import (
	"strings"
	"testing"
	"time"
)

// actor drives a contender whose two clocks agree.
type actor struct {
	*testing.T
	c   *contender
	now moment
}

func newActor(t *testing.T) *actor {
	a := &actor{T: t, now: moment{mono: time.Hour, wall: 2 * time.Hour}}
	a.c = newContender("me", simTTL, a.now)
	return a
}

func (a *actor) later(d time.Duration) { a.now.mono += d; a.now.wall += d }

// want requires the next step.
func (a *actor) want(action action) step {
	a.Helper()
	s := a.c.next(a.now, 0)
	if s.action != action {
		a.Fatalf("next is %v, want %v", s, action)
	}
	return s
}

// reads requires that the key is read next, and answers.
func (a *actor) reads(revision uint64, raw string) {
	a.Helper()
	a.want(read)
	var bytes []byte
	if raw != "" {
		bytes = []byte(raw)
	}
	a.c.didRead(a.now, newEntry(revision, bytes))
}

// writes requires that the key is written next, and answers that it is stored.
func (a *actor) writes(revision uint64) step {
	a.Helper()
	s := a.want(update)
	if s.revision != revision {
		a.Errorf("writes at revision %d, want %d", s.revision, revision)
	}
	a.c.stored(a.now, s, newEntry(revision+1, a.own(s)))
	return s
}

// own returns what a step of this instance writes.
func (a *actor) own(s step) []byte {
	v := value{Instance: "me", Renewal: s.renewal, Released: s.released}
	raw, err := v.encode()
	if err != nil {
		a.Fatal(err)
	}
	return raw
}

// wantActive requires that the instance is active, or not.
func (a *actor) wantActive(want bool) {
	a.Helper()
	g := a.c.grant()
	if got := g.termAt(a.now); got != 0 != want {
		a.Errorf("active in term %d, want active: %t", got, want)
	}
}

// TestForeignValues: what no instance has written is taken like the lease of an unknown
// holder, once it has stood still.
func TestForeignValues(t *testing.T) {
	for name, raw := range map[string]string{
		"no JSON":         "hostile",
		"empty":           " ",
		"a list":          "[]",
		"another object":  `{"released":true}`,
		"no renewal":      `{"instance":"x","released":true}`,
		"no instance":     `{"renewal":1,"released":true}`,
		"a long instance": `{"instance":"` + strings.Repeat("x", maxInstance+1) + `","renewal":1,"released":true}`,
		"a wrong type":    `{"instance":"x","renewal":"1","released":true}`,
		"a long TTL":      `{"instance":"x","renewal":1,"ttl_ms":3600001,"released":true}`,
		"a longer TTL":    `{"instance":"x","renewal":1,"ttl_ms":9223372036854775807,"released":true}`,
		"a negative TTL":  `{"instance":"x","renewal":1,"ttl_ms":-1,"released":true}`,
		"a name twice":    `{"instance":"x","renewal":1,"released":true,"released":true}`,
		"oversized":       `{"instance":"x","renewal":1,"released":true,"more":"` + strings.Repeat("x", maxValue) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			a := newActor(t)
			a.reads(7, raw)
			if a.c.key.err == nil {
				t.Error("it has no error")
			}
			a.later(patience(simTTL) - 1)
			a.reads(7, raw)
			a.want(wait)
			a.later(1)
			a.writes(7)
			a.wantActive(true)
		})
	}
}

// TestNewerValue: what a newer version adds to the value does no harm.
func TestNewerValue(t *testing.T) {
	e := newEntry(1, []byte(`{"instance":"x","renewal":3,"state":{"place":1},"ttl_ms":5000,"more":[1]}`))
	if e.err != nil || e.Instance != "x" || e.Renewal != 3 || e.ttl() != 5*time.Second || string(e.State) != `{"place":1}` {
		t.Errorf("%+v", e)
	}
}

// TestTakenFrom: an instance that reads the value of another is not active any more, even
// if it might be by the time.
func TestTakenFrom(t *testing.T) {
	for name, raw := range map[string]string{
		"another": `{"instance":"x","renewal":1}`,
		"foreign": "hostile",
		"missing": "",
	} {
		t.Run(name, func(t *testing.T) {
			a := newActor(t)
			a.reads(1, `{"instance":"y","renewal":1,"released":true}`)
			a.writes(1)
			a.wantActive(true)
			a.later(renewEvery(simTTL))
			a.want(update)
			a.c.failed(a.now)
			a.wantActive(true)
			a.reads(5, raw)
			a.wantActive(false)
			if s := a.want(wait); s.at > a.now.mono+readEvery(simTTL) {
				t.Errorf("waits until %v, now is %v", s.at, a.now.mono)
			}
		})
	}
}

// TestHoldBack: a standby that its caller holds back takes the lease later, or not at all.
func TestHoldBack(t *testing.T) {
	for name, raw := range map[string]string{
		"live":     `{"instance":"x","renewal":1}`,
		"released": `{"instance":"x","renewal":1,"released":true}`,
		"missing":  "",
	} {
		for _, delay := range []time.Duration{simTTL, Forever, Forever + 1} {
			t.Run(name, func(t *testing.T) {
				a := newActor(t)
				a.reads(1, raw)
				need := patience(simTTL)
				if name == "released" {
					need = 0
				}
				a.later(need + simTTL - 1)
				if s := a.c.next(a.now, delay); s.action != read {
					t.Errorf("%v: next is %v, want a read", delay, s)
				}
				a.later(1)
				want := update
				if delay >= Forever {
					want = wait
				}
				if s := a.c.next(a.now, delay); s.action != want {
					t.Errorf("%v: next is %v, want %v", delay, s, want)
				}
			})
		}
	}
}

// TestReleaseInDoubt: an instance that ends while it does not know whether it has taken the
// lease reads the key, and releases the lease if it has.
func TestReleaseInDoubt(t *testing.T) {
	for name, stored := range map[string]bool{"stored": true, "not stored": false} {
		t.Run(name, func(t *testing.T) {
			a := newActor(t)
			released := `{"instance":"y","renewal":1,"released":true}`
			a.reads(1, released)
			s := a.want(update)
			a.c.release(a.now)
			a.c.failed(a.now)
			if !stored {
				a.reads(1, released)
				a.want(end)
				return
			}
			a.reads(2, string(a.own(s)))
			a.wantActive(false)
			if s := a.writes(2); !s.released {
				t.Error("it does not release the lease")
			}
			a.wantActive(false)
			a.want(end)
		})
	}
}

// TestReleaseTwice: a release whose answer is lost is not written again, and one that was
// refused is tried again.
func TestReleaseTwice(t *testing.T) {
	a := newActor(t)
	a.reads(1, "")
	a.later(patience(simTTL))
	a.writes(1)
	a.later(renewEvery(simTTL))
	late := a.want(update)
	a.c.release(a.now)
	a.c.failed(a.now)
	a.reads(2, string(a.own(step{renewal: 1})))
	a.want(update)
	a.c.failed(a.now) // the late renewal came first
	a.reads(3, string(a.own(late)))
	s := a.want(update)
	if s.revision != 3 || !s.released {
		t.Fatalf("next is %+v, want a release at revision 3", s)
	}
	a.c.failed(a.now)
	a.reads(4, string(a.own(s)))
	a.want(end)
}

// TestEndsAtOnce: a standby that has never tried to take the lease has nothing to release.
func TestEndsAtOnce(t *testing.T) {
	a := newActor(t)
	a.c.release(a.now)
	a.want(end)
	a = newActor(t)
	a.reads(1, `{"instance":"y","renewal":1}`)
	a.c.release(a.now)
	a.want(end)
}

// TestTerms: a term begins when the lease is taken, not when it is renewed, and is greater
// than all before.
func TestTerms(t *testing.T) {
	a := newActor(t)
	a.reads(3, "")
	a.later(patience(simTTL))
	a.writes(3)
	a.later(renewEvery(simTTL))
	a.writes(4)
	wantTerm(t, a, 4)
	a.later(2 * simTTL) // paused: nobody took it meanwhile
	a.wantActive(false)
	a.writes(5)
	wantTerm(t, a, 4)
	a.later(2 * simTTL)
	a.want(update)
	a.c.failed(a.now)
	a.reads(9, `{"instance":"x","renewal":1,"released":true}`)
	a.writes(9)
	wantTerm(t, a, 10)
}

func wantTerm(t *testing.T, a *actor, want uint64) {
	t.Helper()
	g := a.c.grant()
	if got := g.termAt(a.now); got != want {
		t.Errorf("term %d, want %d", got, want)
	}
}
