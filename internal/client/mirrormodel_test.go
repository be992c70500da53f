package client

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"pgregory.net/rapid"

	"rollcall/internal/api"
)

// plainService is a service as the contract describes it: it keeps the machines in a map,
// and publishes and answers in small steps, between which events come in.
type plainService struct {
	t        *rapid.T
	mirror   *Mirror
	machines map[string]*plainMachine
	place    uint64
	now      time.Time

	instance int
	number   uint64
	since    uint64
	previous map[string]uint64
	pending  map[string]bool // changed since the last tick
	told     map[string]bool // silent, of the machines that watchers were told of
	differs  map[string]bool // a change told otherwise than told

	// The messages on their way. While calm, none is lost, repeated or late.
	queue []*nats.Msg
	calm  bool
	first bool // a message was sent
}

type plainMachine struct {
	users      map[string]bool
	heard      time.Time
	changed    time.Time
	incomplete bool
	missing    uint64
}

const (
	plainSilence = time.Minute
	plainHidden  = 5 * time.Minute
)

var plainNames = []string{"a", "b", "c", "d", "e"}

// step lets a moment pass: no two steps are at the same time.
func (s *plainService) step() { s.now = s.now.Add(time.Millisecond) }

func (s *plainService) isShown(name string) bool {
	m := s.machines[name]
	return m != nil && (len(m.users) > 0 || s.now.Sub(m.heard) <= plainHidden)
}

func (m *plainMachine) isSilent(at time.Time) bool { return at.Sub(m.heard) > plainSilence }

// shown returns the machines that reports show, in order.
func (s *plainService) shown() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(s.machines)), func(name string) bool { return !s.isShown(name) })
}

// row returns a machine as a report shows it at a time.
func (s *plainService) row(name string, when time.Time) api.Machine {
	m := s.machines[name]
	return api.Machine{
		Name: name, Heard: m.heard, Silent: m.isSilent(when), Incomplete: m.incomplete, Missing: m.missing,
		Changed: m.changed, Users: append([]string{}, slices.Sorted(maps.Keys(m.users))...),
	}
}

// event lets an event of a machine come in.
func (s *plainService) event() {
	s.step()
	s.place++
	name := rapid.SampledFrom(plainNames).Draw(s.t, "machine")
	was := s.isShown(name)
	m := s.machines[name]
	if m == nil {
		m = &plainMachine{users: map[string]bool{}}
		s.machines[name] = m
	}
	m.heard = s.now
	user := rapid.SampledFrom([]string{"x", "y", "z"}).Draw(s.t, "user")
	switch rapid.IntRange(0, 6).Draw(s.t, "event") {
	case 0, 1:
		m.users[user], m.changed = true, s.now
	case 2, 3:
		delete(m.users, user)
		m.changed = s.now
	case 4:
		m.missing++
	case 5:
		m.incomplete = !m.incomplete
	default: // only heard
		if was {
			return
		}
	}
	s.pending[name] = true
}

// maybe lets an event come in, or not.
func (s *plainService) maybe() {
	if s.step(); !s.calm && rapid.IntRange(0, 3).Draw(s.t, "meanwhile") == 0 {
		s.event()
	}
}

// send sends a message, which may be lost, repeated or late. The first one arrives: before
// it nobody can know which number is next.
func (s *plainService) send(subject string, content any) {
	msg := message(s.t, subject, content)
	fate := 0
	if s.first && !s.calm {
		fate = rapid.IntRange(0, 9).Draw(s.t, "fate")
	}
	s.first = true
	switch fate {
	case 1, 2: // lost
	case 3:
		s.queue = append(s.queue, msg, msg)
	case 4:
		at := rapid.IntRange(0, len(s.queue)).Draw(s.t, "late")
		s.queue = slices.Insert(s.queue, max(at, len(s.queue)-3), msg)
	default:
		s.queue = append(s.queue, msg)
	}
}

func (s *plainService) next() (instance string, number uint64) {
	s.number++
	return fmt.Sprint(s.instance), s.number
}

// tick publishes the changes.
func (s *plainService) tick() {
	s.step()
	place, pending, when := s.place, s.pending, s.now
	s.pending = map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(pending)) {
		s.maybe()
		m := s.row(name, when)
		c := api.Change{
			Machine: name, When: when, Place: place, Previous: max(s.previous[name], s.since),
			Users: m.Users, Heard: m.Heard, Changed: m.Changed, Silent: m.Silent, Incomplete: m.Incomplete, Missing: m.Missing,
		}
		c.Instance, c.Number = s.next()
		s.previous[name] = place
		if told, is := s.told[name]; is && told != m.Silent {
			s.differs[name] = true
		} else if !is {
			s.told[name] = m.Silent
		}
		s.send(s.mirror.Subjects.ChangesOf(name), c)
	}
}

// beat publishes a beat in one or more messages. After a restart, reports may have told of
// machines of which no change did.
func (s *plainService) beat(restarted bool) {
	s.step()
	b, at := api.Beat{Place: s.place, Since: s.since}, s.now
	for _, name := range plainNames {
		s.maybe()
		told, is := s.told[name]
		switch {
		case !is && !(restarted && s.isShown(name)):
			continue
		case is && !s.isShown(name):
			b.Gone = append(b.Gone, name)
			delete(s.told, name)
			delete(s.differs, name)
			continue
		}
		now := s.machines[name].isSilent(at)
		switch {
		case is && (now != told || s.differs[name]) && now:
			b.Silent = append(b.Silent, name)
		case is && (now != told || s.differs[name]):
			b.Heard = append(b.Heard, name)
		}
		delete(s.differs, name)
		if s.told[name] = now; now {
			b.SilentMachines++
		}
	}
	b.When = s.now
	if len(b.Silent) > 1 {
		page := b
		page.Silent, page.Heard, page.Gone, page.More = b.Silent[:1], nil, nil, true
		page.Instance, page.Number = s.next()
		s.send(s.mirror.Subjects.Changes(), page)
		b.Silent = b.Silent[1:]
	}
	b.Instance, b.Number = s.next()
	s.send(s.mirror.Subjects.Changes(), b)
}

// restart starts the service, or only its publishing, anew. What was not published is
// dropped.
func (s *plainService) restart(process bool) {
	if process {
		s.instance++
		s.number, s.told, s.differs = 0, map[string]bool{}, map[string]bool{}
	}
	s.since, s.previous, s.pending = s.place, map[string]uint64{}, map[string]bool{}
	s.beat(true)
}

// answer lets the mirror read a report, in pages of a few machines.
func (s *plainService) answer() {
	r := s.mirror.read()
	for after, more := "", true; more; {
		s.maybe()
		page := api.Report{ID: "id", Stream: "S", Place: s.place, When: s.now, Reasons: []string{}}
		s.maybe()
		for names := s.shown(); ; {
			i, _ := slices.BinarySearch(names, after+"\x00")
			if more = i < len(names); !more || len(page.Machines) == 2 {
				break
			}
			after = names[i]
			page.Machines = append(page.Machines, s.row(after, page.When))
		}
		if err := r.add(&page); err != nil {
			s.t.Fatal(err)
		}
	}
	s.mirror.queued = len(s.queue)
	if err := r.finish(); err != nil {
		s.t.Fatal(err)
	}
}

// deliver lets the mirror handle one message.
func (s *plainService) deliver() {
	if len(s.queue) == 0 {
		return
	}
	msg := s.queue[0]
	s.queue = s.queue[1:]
	again, err := s.mirror.handle(msg)
	if err != nil {
		s.t.Fatal(err)
	}
	if again {
		s.answer()
	}
}

// TestMirrorModel: whatever is lost, repeated or late, and whenever the service restarts:
// once all is calm, the state is what a report says, and so is what the callbacks told.
func TestMirrorModel(t *testing.T) {
	subjects := subjects(t)
	rapid.Check(t, func(t *rapid.T) {
		told := map[string]api.Machine{}
		first := true
		m := NewMirror(Watch{Subjects: subjects, Machine: func(u *Update) error {
			before, known := told[u.Name]
			switch {
			case u.First != first:
				t.Fatalf("%+v: first", u)
			case !slices.Equal(u.Came, without(u.Users, before.Users)) || !slices.Equal(u.Left, without(before.Users, u.Users)):
				t.Fatalf("%+v after %+v", u, before)
			case u.Gone && !known, !u.Gone && known && reflect.DeepEqual(before, u.Machine):
				t.Fatalf("%+v after %+v: no change", u, before)
			}
			if told[u.Name] = u.Machine; u.Gone {
				delete(told, u.Name)
			}
			return nil
		}})
		s := &plainService{t: t, mirror: m, machines: map[string]*plainMachine{}, now: at}
		for range rapid.IntRange(0, 5).Draw(t, "before") {
			s.pending = map[string]bool{}
			s.event()
		}
		s.restart(true)
		s.answer()
		first = false
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 12).Draw(t, "step") {
			case 0, 1, 2:
				s.event()
			case 3, 4:
				s.tick()
			case 5, 6:
				s.beat(false)
			case 7:
				s.now = s.now.Add(rapid.SampledFrom([]time.Duration{10 * time.Second, time.Minute, 5 * time.Minute}).Draw(t, "time"))
			case 8:
				s.restart(rapid.Bool().Draw(t, "process"))
			default:
				s.deliver()
			}
		}
		s.calm = true
		for range 2 {
			s.tick()
			s.beat(false)
			for len(s.queue) > 0 {
				s.deliver()
			}
		}
		s.check(told)
	})
}

// check compares the state with a report, and with what the callbacks told. When a machine
// was last heard may be from earlier.
func (s *plainService) check(told map[string]api.Machine) {
	got, want := map[string]api.Machine{}, map[string]api.Machine{}
	silent := 0
	for name, k := range s.mirror.machines {
		got[name] = k.Machine
		if k.Silent {
			silent++
		}
	}
	for _, name := range s.shown() {
		m := s.row(name, s.now)
		if heard := got[name].Heard; heard.Before(m.Heard) && !heard.IsZero() {
			m.Heard = heard
		}
		want[name] = m
	}
	if !reflect.DeepEqual(got, want) {
		s.t.Fatalf("state\n%+v, want\n%+v", got, want)
	}
	if !reflect.DeepEqual(told, got) || silent != s.mirror.silent {
		s.t.Fatalf("told\n%+v, state\n%+v, %d silent", told, got, s.mirror.silent)
	}
}
