package lease

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// The TTLs of tests: with the short one a lease is soon taken from a holder that is gone;
// with the long one no machine is so slow that a holder loses it.
const (
	shortTTL = time.Second
	longTTL  = 20 * time.Second
)

// cluster is a NATS server, and instances that share a lease.
type cluster struct {
	*testing.T
	server *kit.Server
	js     jetstream.JetStream
	log    *kit.Output
	number int
}

func newCluster(t *testing.T, options ...func(*server.Options)) *cluster {
	t.Helper()
	c := &cluster{T: t, server: kit.StartServer(t, options...), log: &kit.Output{}}
	c.js = kit.JetStream(t, kit.Conn(t, c.server.URL))
	return c
}

// config returns the configuration of a new instance.
func (c *cluster) config(ttl time.Duration, options ...nats.Option) Config {
	c.Helper()
	c.number++
	return Config{
		JetStream: kit.JetStream(c, kit.Conn(c, c.server.URL, options...)), Subjects: subjects(c),
		Instance: fmt.Sprint("i", c.number), TTL: ttl, Log: slog.New(slog.NewTextHandler(c.log, nil)),
	}
}

func subjects(t testing.TB) rollcallv1.Subjects {
	t.Helper()
	s, err := rollcallv1.NewSubjects(rollcallv1.DefaultSubject)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// instance is a running lease.
type instance struct {
	*Lease
	// kill ends it without a release, and returns when it has ended.
	kill func()
}

func run(t *testing.T, l *Lease) instance {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	kill := func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run ended with %v", err)
		}
		done <- nil
	}
	t.Cleanup(kill)
	return instance{l, kill}
}

// start starts an instance.
func (c *cluster) start(ttl time.Duration) instance {
	c.Helper()
	return run(c.T, New(c.config(ttl)))
}

// free makes the lease free, so that the next instance takes it at once.
func (c *cluster) free() {
	c.Helper()
	if err := Prepare(c.Context(), c.js, 1, kit.Logger(c)); err != nil {
		c.Fatal(err)
	}
	c.put(`{"instance":"earlier","renewal":1,"released":true}`)
}

func (c *cluster) kv() jetstream.KeyValue {
	c.Helper()
	kv, err := c.js.KeyValue(c.Context(), Bucket)
	if err != nil {
		c.Fatal(err)
	}
	return kv
}

func (c *cluster) put(raw string) {
	c.Helper()
	if _, err := c.kv().Put(c.Context(), Key(subjects(c)), []byte(raw)); err != nil {
		c.Fatal(err)
	}
}

// awaitActive waits until an instance is active, and returns the term.
func (c *cluster) awaitActive(i instance) (term uint64) {
	c.Helper()
	kit.Eventually(c, func() bool { term = i.Term(); return term != 0 }, i.Instance+" is active")
	return term
}

// neverBoth requires, until the test ends, that never two instances are active.
func (c *cluster) neverBoth(a, b instance) {
	kit.Run(c, func(ctx context.Context) error {
		for ctx.Err() == nil {
			term := a.Term()
			if b.Valid() && term != 0 && a.Term() == term {
				return fmt.Errorf("%s and %s are both active", a.Instance, b.Instance)
			}
			pause(ctx, 100*time.Microsecond)
		}
		return nil
	})
}

// TestHandOver: the first instance creates the bucket; the second one takes the lease as
// soon as the first has released it, and sees its state.
func TestHandOver(t *testing.T) {
	c := newCluster(t)
	c.free()
	config := c.config(longTTL)
	config.State = func() jsontext.Value { return jsontext.Value(`{"place":7}`) }
	a := run(t, New(config))
	term := c.awaitActive(a)
	<-a.Changed()
	b := c.start(longTTL)
	c.neverBoth(a, b)
	kit.Eventually(t, func() bool { return b.Holder().Instance == a.Instance }, "the second sees the first")
	if h := b.Holder(); h.Own || h.Released || h.Err != nil || string(h.State) != `{"place":7}` {
		t.Errorf("it sees %+v", h)
	}
	if h := a.Holder(); !h.Own || h.Instance != a.Instance {
		t.Errorf("the first sees %+v", h)
	}
	if b.Valid() || a.Term() != term {
		t.Errorf("terms %d and %d, want %d and none", a.Term(), b.Term(), term)
	}
	began := time.Now()
	if err := a.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if a.Valid() {
		t.Error("it is active after it has released the lease")
	}
	<-a.Changed()
	if got := c.awaitActive(b); got <= term {
		t.Errorf("term %d after %d", got, term)
	}
	if took := time.Since(began); took > longTTL/2 {
		t.Errorf("the lease was handed over in %v", took)
	}
	<-b.Changed()
	if err := a.Release(t.Context()); err != nil {
		t.Errorf("releasing it again: %v", err)
	}
	for _, message := range []string{`"this instance is active" instance=i1`, `"another instance holds the lease" holder=i1`, `it ends" instance=i1`} {
		if !c.log.Has(message) {
			t.Errorf("the log lacks %s:\n%s", message, c.log)
		}
	}
}

// TestRenewal: the holder renews the lease in the same term, for much longer than a TTL;
// without a renewal it would end.
func TestRenewal(t *testing.T) {
	c := newCluster(t)
	c.free()
	a := c.start(shortTTL)
	c.awaitActive(a)
	var first uint64
	kit.Eventually(t, func() bool {
		e, err := c.kv().Get(t.Context(), Key(subjects(t)))
		if err != nil {
			t.Fatal(err)
		}
		v, err := decodeValue(e.Value())
		if err != nil || v.Instance != a.Instance {
			t.Fatalf("%s: %v", e.Value(), err)
		}
		if first == 0 {
			first = v.Renewal
		}
		return v.Renewal >= first+8
	}, "it was renewed eight times")
	c.awaitActive(a)
}

// TestKill: the lease of a holder that is gone is taken.
func TestKill(t *testing.T) {
	c := newCluster(t)
	a := c.start(shortTTL) // the key is missing at first
	term := c.awaitActive(a)
	b := c.start(shortTTL)
	c.neverBoth(a, b)
	kit.Eventually(t, func() bool { return b.Holder().Instance == a.Instance }, "the second sees the first")
	a.kill()
	if a.Valid() {
		t.Error("it is active after its end")
	}
	if err := a.Release(t.Context()); err == nil {
		t.Error("it claims to have released the lease")
	}
	began := time.Now()
	if got := c.awaitActive(b); got <= term {
		t.Errorf("term %d after %d", got, term)
	}
	t.Logf("taken in %v", time.Since(began))
}

// TestKeyChanged: when somebody deletes the key or writes to it, there is one active
// instance again, in a new term.
func TestKeyChanged(t *testing.T) {
	for name, change := range map[string]func(c *cluster) error{
		"deleted": func(c *cluster) error { return c.kv().Delete(c.Context(), Key(subjects(c))) },
		"purged":  func(c *cluster) error { return c.kv().Purge(c.Context(), Key(subjects(c))) },
		"emptied": func(c *cluster) error {
			s, err := c.js.Stream(c.Context(), stream)
			if err != nil {
				return err
			}
			return s.Purge(c.Context())
		},
		"foreign": func(c *cluster) error { c.put("hostile"); return nil },
		"empty":   func(c *cluster) error { c.put(""); return nil },
		"large":   func(c *cluster) error { c.put(strings.Repeat("x", maxValue+1)); return nil },
		"another": func(c *cluster) error { c.put(`{"instance":"other","renewal":1}`); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			c.free()
			a := c.start(shortTTL)
			before := c.awaitActive(a)
			b := c.start(shortTTL)
			c.neverBoth(a, b)
			if err := change(c); err != nil {
				t.Fatal(err)
			}
			kit.Eventually(t, func() bool { return a.Term() > before || b.Term() > before }, "one is active in a new term")
			foreign := name == "foreign" || name == "empty" || name == "large"
			if got := c.log.Has("no instance has written the lease's value"); got != foreign {
				t.Errorf("the log says that the value is foreign: %t, want %t\n%s", got, foreign, c.log)
			}
		})
	}
}

// TestServerRestart: the lease survives a restart of the server, and a holder that had
// lost it meanwhile gets it back, or another one gets it.
func TestServerRestart(t *testing.T) {
	c := newCluster(t)
	c.free()
	a := c.start(shortTTL)
	c.awaitActive(a)
	b := c.start(shortTTL)
	c.neverBoth(a, b)
	c.server.Stop()
	kit.Eventually(t, func() bool { return !a.Valid() && !b.Valid() }, "none is active without a server")
	kit.Eventually(t, func() bool { return c.log.Has("it could not renew the lease in time") }, "the log has the cause")
	c.server.Start()
	kit.Eventually(t, func() bool { return a.Valid() || b.Valid() }, "one is active")
}

// TestSuspended: an instance whose machine was suspended is not active when it goes on: its
// monotonic clock stood still, and the wall clock did not.
func TestSuspended(t *testing.T) {
	c := newCluster(t)
	c.free()
	l := New(c.config(longTTL))
	var suspended atomic.Int64
	l.clocks = func() moment {
		now := readClocks()
		now.wall += time.Duration(suspended.Load())
		return now
	}
	a := run(t, l)
	term := c.awaitActive(a)
	suspended.Store(int64(2 * longTTL))
	if a.Valid() {
		t.Error("it is active")
	}
	if got := c.awaitActive(a); got != term {
		t.Errorf("term %d after %d, but nobody else took it", got, term)
	}
}

// TestState: a state that is none is not written, and the lease is.
func TestState(t *testing.T) {
	for name, state := range map[string]string{
		"no JSON":   "{",
		"two":       "{} {}",
		"oversized": `"` + strings.Repeat("x", MaxState) + `"`,
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			c.free()
			config := c.config(longTTL)
			config.State = func() jsontext.Value { return jsontext.Value(state) }
			a := run(t, New(config))
			c.awaitActive(a)
			if h := a.Holder(); h.State != nil {
				t.Errorf("the state is %s", h.State)
			}
			if !c.log.Has("the lease is written without a state") {
				t.Errorf("the log says %s", c.log)
			}
		})
	}
}

// TestHeldBack: a standby that its caller holds back does not take the lease until it is
// let go.
func TestHeldBack(t *testing.T) {
	c := newCluster(t)
	c.free()
	config := c.config(shortTTL)
	var free atomic.Bool
	asked := make(chan Holder, 1000)
	var l *Lease
	config.HoldBack = func(h Holder) time.Duration {
		asked <- l.Holder() // it may ask
		if free.Load() {
			return 0
		}
		return Forever
	}
	l = New(config)
	a := run(t, l)
	kit.Eventually(t, func() bool { h := <-asked; return h.Released && h.Instance == "earlier" }, "it is asked about the holder")
	if a.Valid() {
		t.Error("it is active")
	}
	free.Store(true)
	c.awaitActive(a)
}

// TestDenied: without a permission no instance is active, and the log says which one it
// needs.
func TestDenied(t *testing.T) {
	for name, denied := range map[string]string{
		"writing": "$KV." + Bucket + ".rollcall.active",
		"reading": "$JS.API.STREAM.MSG.GET." + stream,
		"opening": "$JS.API.STREAM.INFO." + stream,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, func(o *server.Options) {
				o.Users = []*server.User{
					{Username: "admin", Password: "p"},
					{Username: "u", Password: "p", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{denied}}}},
				}
				o.NoAuthUser = "admin"
			})
			c.free()
			a := run(t, New(c.config(shortTTL, nats.UserInfo("u", "p"))))
			kit.Eventually(t, func() bool { return c.log.Has("let this login publish to " + denied) }, "the log says what is denied")
			if a.Valid() {
				t.Error("it is active")
			}
		})
	}
}
