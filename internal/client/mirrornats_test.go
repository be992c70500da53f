package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/api"
	"rollcall/internal/changes"
	"rollcall/internal/query"
	"rollcall/internal/report"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// storm is a service on one NATS server and mirrors on another, with a relay between them
// that loses, repeats and reorders messages.
type storm struct {
	t        *testing.T
	random   *rand.Rand
	subjects rollcallv1.Subjects
	source   report.Source
	inside   *kit.Server // of the service
	outside  *kit.Server // of the mirrors
	asked    atomic.Int64
	calm     atomic.Bool
	conn     *nats.Conn // the publisher's
	stop     func()     // stops the publisher
}

const stormSilence = 400 * time.Millisecond

func newStorm(t *testing.T, seed uint64) *storm {
	t.Helper()
	s := &storm{t: t, random: rand.New(rand.NewPCG(seed, 1)), subjects: subjects(t), inside: kit.StartServer(t), outside: kit.StartServer(t)}
	settings := roster.DefaultSettings()
	settings.AllowedLateness = 1500 * time.Millisecond
	s.source = report.Source{
		Roster: roster.New(settings), Stream: "EVENTS", CaughtUp: func() bool { return true }, SilentAfter: stormSilence,
	}
	questions := query.New(query.Config{Source: s.source, Conn: kit.Conn(t, s.inside.URL), Subjects: s.subjects, Version: "1.0.0", Log: kit.Logger(t)})
	s.background(questions.Run)
	s.relay(seed)
	s.publish()
	return s
}

// background runs a part until the test ends.
func (s *storm) background(run func(context.Context) error) {
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
}

// publish publishes changes, as a new process, until stop is called.
func (s *storm) publish() {
	s.conn = kit.Conn(s.t, s.inside.URL)
	p := changes.NewPublisher(changes.Config{
		Roster: s.source.Roster, CaughtUp: s.source.CaughtUp, Conn: s.conn, Subjects: s.subjects,
		Instance: nuid.Next(), Silent: s.source.SilentAt,
		Interval: 10 * time.Millisecond, Beat: 50 * time.Millisecond, Log: kit.Logger(s.t), Registry: prometheus.NewRegistry(),
	})
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
	s.t.Cleanup(s.stop)
}

// relay forwards messages out, not all of them as they are while it is not calm, and
// questions in.
func (s *storm) relay(seed uint64) {
	in, out := kit.Conn(s.t, s.inside.URL), kit.Conn(s.t, s.outside.URL)
	messages := make(chan *nats.Msg, 10_000)
	for _, subject := range []string{s.subjects.Changes(), s.subjects.AllChanges()} {
		if _, err := in.ChanSubscribe(subject, messages); err != nil {
			s.t.Fatal(err)
		}
	}
	_, err := out.Subscribe(s.subjects.Query("report"), func(m *nats.Msg) {
		s.asked.Add(1)
		answer, err := in.RequestMsg(&nats.Msg{Subject: m.Subject, Data: m.Data}, 10*time.Second)
		if err == nil {
			err = m.RespondMsg(&nats.Msg{Header: answer.Header, Data: answer.Data})
		}
		if err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
			s.t.Log(err)
		}
	})
	if err == nil {
		err = errors.Join(in.Flush(), out.Flush())
	}
	if err != nil {
		s.t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(seed, 2))
	s.background(func(ctx context.Context) error {
		var late *nats.Msg
		for {
			var m *nats.Msg
			select {
			case <-ctx.Done():
				return nil
			case m = <-messages:
			}
			forward := []*nats.Msg{m}
			if fate := random.IntN(12); !s.calm.Load() {
				switch {
				case fate < 2:
					forward = nil
				case fate == 2:
					forward = append(forward, m)
				case fate == 3 && late == nil:
					forward, late = nil, m
				case late != nil:
					forward, late = append(forward, late), nil
				}
			}
			for _, m := range forward {
				if err := out.Publish(m.Subject, m.Data); err != nil {
					return err
				}
			}
		}
	})
}

// event folds an event, received now, with a number.
func (s *storm) event(numbers map[string]uint64) {
	machine := fmt.Sprintf("m%02d", s.random.IntN(30))
	e := roster.Event{Machine: machine, Date: roster.TimeOf(time.Now()), Origin: "o"}
	user := []string{"chris", "jordan", "lane"}[s.random.IntN(3)]
	switch s.random.IntN(10) {
	case 0:
		e.Type = roster.Shutdown
	case 1, 2:
		e.Type, e.Sessions = roster.Present, []roster.Session{{User: user}}
	case 3, 4, 5:
		e.Type, e.Session.User = roster.Logout, user
	default:
		e.Type, e.Session.User = roster.Login, user
	}
	numbers[machine]++
	if s.random.IntN(5) == 0 {
		numbers[machine]++ // one is missing
	}
	e.Number = numbers[machine]
	s.fold(e)
}

func (s *storm) fold(e roster.Event) {
	at := s.source.Roster.Status().Position
	at.Place++
	s.source.Roster.Fold(&roster.Batch{Messages: []roster.Message{{Place: at.Place, Receipt: roster.TimeOf(time.Now()), Event: e}}, End: at})
}

// disturb restarts the publisher, or breaks a connection.
func (s *storm) disturb() {
	switch s.random.IntN(3) {
	case 0:
		s.stop()
		s.publish()
	case 1:
		if client, err := s.conn.GetClientID(); err == nil {
			_ = s.inside.NATS().DisconnectClientByID(client)
		}
	default:
		if c, err := s.outside.NATS().Connz(nil); err == nil && len(c.Conns) > 0 {
			_ = s.outside.NATS().DisconnectClientByID(c.Conns[s.random.IntN(len(c.Conns))].Cid)
		}
	}
}

// reflection is what a mirror's callbacks told.
type reflection struct {
	mu        sync.Mutex
	machines  map[string]api.Machine
	on        map[string][]string
	receiving bool
	heads     int
}

// watch runs a mirror until the test ends.
func (s *storm) watch(machines string, whole bool) *reflection {
	r := &reflection{machines: map[string]api.Machine{}, on: map[string][]string{}}
	w := Watch{
		Subjects: s.subjects, Machines: machines, Retry: true,
		Changed: func(d *Difference) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.on[d.Machine] = d.Users; len(d.Users) == 0 {
				delete(r.on, d.Machine)
			}
			return nil
		},
		Head:      func(api.Head) { r.mu.Lock(); r.heads++; r.mu.Unlock() },
		Receiving: func(ok bool, _ string) { r.mu.Lock(); r.receiving = ok; r.mu.Unlock() },
	}
	if whole {
		w.Machine = func(u *Update) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.machines[u.Name] = u.Machine; u.Gone {
				delete(r.machines, u.Name)
			}
			return nil
		}
	}
	m := NewMirror(w)
	m.pause = 5 * time.Millisecond
	conn := kit.Conn(s.t, s.outside.URL, m.Options()...)
	s.background(func(ctx context.Context) error { return m.Run(ctx, conn) })
	return r
}

// shown returns what a report shows of the machines with a prefix. Of when each was last
// heard it says what known says, if that is earlier.
func (s *storm) shown(prefix string, known map[string]api.Machine) map[string]api.Machine {
	machines, is := map[string]api.Machine{}, s.source.SilentAt(time.Now())
	for v := range s.source.Roster.Machines("") {
		if !strings.HasPrefix(v.Name(), prefix) {
			continue
		}
		m := api.Machine{
			Name: v.Name(), Heard: v.Heard().Time(), Silent: is(v.Heard(), v.Every()), Incomplete: v.Incomplete(),
			Missing: v.Missing(), Changed: v.Changed(), Users: v.AppendUsers([]string{}),
		}
		if heard := known[m.Name].Heard; heard.Before(m.Heard) {
			m.Heard = heard
		}
		machines[m.Name] = m
	}
	return machines
}

// equals reports whether a mirror of the machines with a prefix told what a report shows.
func (s *storm) equals(r *reflection, prefix string, whole bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	want := s.shown(prefix, r.machines)
	on := map[string][]string{}
	for name, m := range want {
		if len(m.Users) > 0 {
			on[name] = m.Users
		}
	}
	return r.receiving && r.heads > 0 && maps.EqualFunc(r.on, on, slices.Equal) && (!whole || reflect.DeepEqual(r.machines, want))
}

// TestMirrorStorm: whatever happens to messages, connections and the service: once all is
// calm, mirrors have what a report shows, and need to ask for no other.
func TestMirrorStorm(t *testing.T) {
	seeds := 3
	if kit.Full() {
		seeds = 30
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			checkStorm(t, uint64(seed))
		})
	}
}

func checkStorm(t *testing.T, seed uint64) {
	s := newStorm(t, seed)
	numbers := map[string]uint64{}
	mirrors := []struct {
		machines, prefix string
		whole            bool
		r                *reflection
	}{{"", "", true, nil}, {"m1*", "m1", true, nil}, {"", "", false, nil}}
	for i := range mirrors {
		mirrors[i].r = s.watch(mirrors[i].machines, mirrors[i].whole)
	}
	for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end); {
		for range s.random.IntN(20) {
			s.event(numbers)
		}
		if s.random.IntN(20) == 0 {
			s.disturb()
		}
		time.Sleep(time.Duration(s.random.IntN(15)) * time.Millisecond)
	}
	s.calm.Store(true)
	// Half of the machines go on sending events, so the others become silent, and those
	// with nobody on are gone.
	s.background(func(ctx context.Context) error {
		for ctx.Err() == nil {
			for i := range 15 {
				s.fold(roster.Event{Type: roster.Logout, Machine: fmt.Sprintf("m%02d", 2*i), Date: roster.TimeOf(time.Now()), Session: roster.Session{User: "nobody"}})
			}
			time.Sleep(100 * time.Millisecond)
		}
		return nil
	})
	whole := func() bool {
		for _, m := range mirrors {
			if !s.equals(m.r, m.prefix, m.whole) {
				return false
			}
		}
		return true
	}
	kit.Eventually(t, whole, "the mirrors have what a report shows")
	kit.Eventually(t, func() bool {
		before := s.asked.Load()
		time.Sleep(300 * time.Millisecond)
		return s.asked.Load() == before
	}, "nobody asks for a report")
	before := s.asked.Load()
	time.Sleep(settled) // machines fall silent and are gone
	kit.Eventually(t, whole, "the mirrors still have what a report shows")
	if after := s.asked.Load(); after != before {
		t.Errorf("%d reports were asked for while all was calm", after-before)
	}
}

// settled is how long it takes until machines that are not heard are silent and gone.
const settled = 2 * time.Second

// TestMirrorLost: after the connection was lost, the state is not up to date before it was
// requested again, whatever arrives.
func TestMirrorLost(t *testing.T) {
	server := kit.StartServer(t)
	source := report.Source{Roster: kit.Seed(), Stream: "EVENTS", CaughtUp: func() bool { return true }}
	questions := query.New(query.Config{Source: source, Conn: kit.Conn(t, server.URL), Subjects: subjects(t), Version: "1.0.0", Log: kit.Logger(t)})
	s := &storm{t: t}
	s.background(questions.Run)
	var receiving atomic.Bool
	m := NewMirror(Watch{Subjects: subjects(t), Retry: true, Receiving: func(ok bool, _ string) { receiving.Store(ok) }})
	m.pause = 5 * time.Millisecond
	conn := kit.Conn(t, server.URL, m.Options()...)
	s.background(func(ctx context.Context) error { return m.Run(ctx, conn) })
	kit.Eventually(t, receiving.Load, "it receives")
	server.Stop()
	kit.Eventually(t, func() bool { return !receiving.Load() }, "the loss is noticed")
	for range 3 { // the last but one was handled when all are taken
		m.messages <- message(t, m.Subjects.Changes(), api.Beat{When: time.Now(), Place: 6, Since: 6})
	}
	kit.Eventually(t, func() bool { return len(m.messages) == 0 }, "beats are handled")
	if receiving.Load() {
		t.Error("it receives while the connection is lost")
	}
	server.Start()
	kit.Eventually(t, receiving.Load, "it receives again")
}
