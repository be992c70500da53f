package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/api"
	"rollcall/internal/client"
	"rollcall/internal/roster"
	"rollcall/internal/test/demo/fleet"
	"rollcall/internal/wire"
)

// live is the fleet as it goes on: people come and go, and each machine lists who is on
// once in a while. Its methods are called by one goroutine.
type live struct {
	f      *fleet.Fleet
	nc     *nats.Conn
	js     jetstream.JetStream
	others chan *nats.Msg // events of other publishers

	r        *rand.Rand
	open     [][]roster.Session
	number   map[string]int // of a machine, by name
	usual    int            // how many sessions there were at the start
	sessions int
	arrivals int
	encoded  []byte

	order  []int         // machines, in the order in which they list who is on
	listed int           // how many have, since the start
	lists  []roster.Time // when each machine has listed who is on
	start  time.Time
}

// newLive asks the service who is on.
func newLive(ctx context.Context, f *fleet.Fleet, s *store) (*live, error) {
	l := &live{
		f: f, r: rand.New(rand.NewPCG(f.Seed, 1<<60)), others: make(chan *nats.Msg, 1000),
		open: make([][]roster.Session, f.Len()), number: make(map[string]int, f.Len()), order: make([]int, f.Len()),
		lists: make([]roster.Time, f.Len()),
	}
	for machine := range f.Len() {
		l.number[f.Name(machine)] = machine
		l.order[f.Len()-1-f.Turn(machine)] = machine
	}
	var err error
	if l.nc, err = s.connect(nats.NoEcho()); err != nil {
		return nil, err
	}
	if err := l.prepare(ctx, s.kept); err != nil {
		l.nc.Close()
		return nil, err
	}
	return l, nil
}

func (l *live) prepare(ctx context.Context, kept bool) (err error) {
	l.js, err = jetstream.New(l.nc, jetstream.WithPublishAsyncMaxPending(1000), jetstream.WithPublishAsyncErrHandler(
		func(_ jetstream.JetStream, m *nats.Msg, err error) {
			log.Warn("event not stored", "subject", m.Subject, "err", err)
		}))
	if err != nil {
		return err
	}
	for _, subject := range subjects.AllEvents() {
		if _, err := l.nc.ChanSubscribe(subject, l.others); err != nil {
			return err
		}
	}
	if err := l.ask(ctx); err != nil {
		return err
	}
	l.usual, l.start = l.sessions, l.f.Now
	if kept { // the machines have said nothing since
		l.start = time.Now()
		for machine := range l.f.Len() {
			if err := l.list(machine); err != nil {
				return err
			}
		}
	}
	return nil
}

// ask asks the service who is on.
func (l *live) ask(ctx context.Context) error {
	for data, err := range client.Pages(ctx, l.nc, subjects.Query("sessions"), api.SessionsRequest{}) {
		if err != nil {
			return fmt.Errorf("asking who is on: %w", err)
		}
		answer, err := api.Decode[api.SessionsAnswer](data)
		if err != nil {
			return err
		}
		for _, m := range answer.Machines {
			machine, known := l.number[m.Name]
			if !known {
				continue
			}
			for _, s := range m.Sessions {
				l.open[machine] = append(l.open[machine], roster.Session{
					User: s.User, ID: s.ID, Since: roster.TimeOf(s.Since), Terminal: s.Terminal, Remote: s.Remote, Service: s.Service,
				})
				l.sessions++
			}
		}
	}
	return nil
}

func (l *live) close() {
	select {
	case <-l.js.PublishAsyncComplete():
	case <-time.After(5 * time.Second):
	}
	l.nc.Close()
}

// run publishes events until the context is done, or stdin ends.
func (l *live) run(ctx context.Context, rate float64, c *console) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	due, last, paused := 0.0, time.Now(), false
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-l.others:
			if err := l.fold(m); err != nil {
				return err
			}
		case line, more := <-c.lines:
			if !more {
				return nil
			}
			switch line {
			case "pause", "resume":
				paused = line == "pause"
				c.answer(line, 0, nil)
			default:
				go c.run(ctx, line)
			}
		case now := <-tick.C:
			if !paused {
				due += rate * now.Sub(last).Seconds()
			}
			last = now
			for ; due >= 1; due-- {
				if err := l.change(); err != nil {
					return err
				}
			}
			if err := l.listDue(now); err != nil {
				return err
			}
		}
	}
}

// change is one login or logout, rarely a boot. There stay about as many sessions as at
// the start.
func (l *live) change() error {
	if l.f.Len() == 0 {
		return nil
	}
	machine := l.r.IntN(l.f.Len())
	if _, silent := l.f.Silent(machine); silent {
		return nil
	}
	if l.r.IntN(1000) == 0 {
		return l.publish(machine, roster.Event{Type: roster.Boot})
	}
	if l.r.IntN(2*l.usual+2) > l.sessions {
		return l.login(machine)
	}
	for range 1000 {
		if _, silent := l.f.Silent(machine); !silent && len(l.open[machine]) > 0 {
			s := l.open[machine][l.r.IntN(len(l.open[machine]))]
			if !fleet.IsAccount(s.User) || l.r.IntN(10) == 0 {
				return l.publish(machine, roster.Event{Type: roster.Logout, Session: roster.Session{User: s.User, ID: s.ID}})
			}
		}
		machine = l.r.IntN(l.f.Len())
	}
	return nil
}

// login lets somebody log in who is not on that machine.
func (l *live) login(machine int) error {
	l.arrivals++
	s := l.f.Arrival(l.r, machine, 500+l.arrivals%90_000)
	if slices.ContainsFunc(l.open[machine], func(o roster.Session) bool { return o.User == s.User || o.ID == s.ID && s.ID != "" }) {
		return nil
	}
	return l.publish(machine, roster.Event{Type: roster.Login, Session: s})
}

// listDue lets the machines list who is on whose turn it is.
func (l *live) listDue(now time.Time) error {
	period := l.f.Period().Seconds()
	for due := int(now.Sub(l.start).Seconds() / period * float64(l.f.Len())); l.listed < due; l.listed++ {
		if err := l.list(l.order[l.listed%len(l.order)]); err != nil {
			return err
		}
	}
	return nil
}

func (l *live) list(machine int) error {
	if _, silent := l.f.Silent(machine); silent {
		return nil
	}
	return l.publish(machine, roster.Event{Type: roster.Present, Sessions: l.open[machine]})
}

// publish publishes an event of a machine, dated now. If it is not stored, the log says so.
func (l *live) publish(machine int, e roster.Event) error {
	e.Date, e.Machine = roster.TimeOf(time.Now()), l.f.Name(machine)
	l.encoded = wire.AppendJSON(nil, &e)
	if _, err := l.js.PublishAsync(subjects.EventsOf(e.Machine), l.encoded, jetstream.WithStallWait(time.Minute)); err != nil {
		return fmt.Errorf("publishing an event: %w", err)
	}
	if e.Type == roster.Present {
		l.lists[machine] = e.Date
	}
	l.apply(machine, &e)
	return nil
}

// fold applies another publisher's event, so that the next list of its machine has it. If
// the machine has listed who is on meanwhile, it does so again: its list denied the event.
func (l *live) fold(m *nats.Msg) error {
	var e roster.Event
	if wire.NewDecoder(subjects).Decode(m.Subject, m.Header.Get("Content-Type"), m.Data, &e) != nil {
		return nil
	}
	machine, known := l.number[e.Machine]
	if !known {
		return nil
	}
	l.apply(machine, &e)
	if l.lists[machine] < e.Date {
		return nil
	}
	return l.list(machine)
}

func (l *live) apply(machine int, e *roster.Event) {
	open := l.open[machine]
	l.sessions -= len(open)
	switch e.Type {
	case roster.Login:
		open = slices.DeleteFunc(open, func(s roster.Session) bool { return same(s, e.Session) })
		e.Session.Since = e.Date
		open = append(open, e.Session)
	case roster.Logout:
		open = slices.DeleteFunc(open, func(s roster.Session) bool {
			return e.Session.ID == "" && s.User == e.Session.User || e.Session.ID != "" && s.ID == e.Session.ID
		})
	case roster.Boot, roster.Shutdown:
		open = nil
	case roster.Present:
		open = slices.Clone(e.Sessions)
		for i := range open {
			if open[i].Since == 0 {
				open[i].Since = e.Date
			}
		}
	}
	l.open[machine] = open
	l.sessions += len(open)
}

// same reports whether a login belongs to a session.
func same(a, b roster.Session) bool {
	return a.ID == b.ID && (a.ID != "" || a.User == b.User)
}
