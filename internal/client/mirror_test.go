package client

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"pgregory.net/rapid"

	"rollcall/internal/api"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// at is when things happen in tests.
var at = time.Date(2026, 11, 22, 21, 0, 0, 0, time.UTC)

// updates is a Machine callback that collects what it receives.
type updates []Update

func (u *updates) add(one *Update) error {
	*u = append(*u, *one)
	return nil
}

// reported returns a mirror with a whole state: the machines of a report of place 9, made
// at `at`.
func reported(t *testing.T, w Watch, machines ...api.Machine) *Mirror {
	t.Helper()
	m := NewMirror(w)
	read(t, m, api.Report{When: at, Stream: "S", Place: 9, Machines: machines})
	return m
}

// read reads a report of these pages.
func read(t *testing.T, m *Mirror, pages ...api.Report) {
	t.Helper()
	r := m.read()
	for i := range pages {
		if err := r.add(&pages[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.finish(); err != nil {
		t.Fatal(err)
	}
}

func machine(name string, users ...string) api.Machine {
	return api.Machine{Name: name, Heard: at, Users: append([]string{}, users...)}
}

// TestMirrorMachineGone: users on a machine that the service no longer knows have left.
func TestMirrorMachineGone(t *testing.T) {
	var got []Difference
	var machines updates
	m := reported(t, Watch{}, machine("web1", "lane"), machine("web2"))
	m.Changed = func(d *Difference) error { got = append(got, *d); return nil }
	m.Machine = machines.add
	read(t, m, api.Report{When: at, Stream: "S", Place: 10})
	if len(got) != 1 || got[0].Machine != "web1" || got[0].Place != 10 || !slices.Equal(got[0].Left, []string{"lane"}) || len(got[0].Users) != 0 {
		t.Errorf("%+v", got)
	}
	if len(machines) != 2 || !machines[0].Gone || !machines[1].Gone || machines[0].Users != nil || len(m.machines) != 0 {
		t.Errorf("%+v", machines)
	}
}

// TestMirrorJoins: a machine that goes on on the next page is one, as of the page where it
// began, and the head is that of the first page, complete only if all are.
func TestMirrorJoins(t *testing.T) {
	var machines updates
	var heads []api.Head
	m := NewMirror(Watch{Machine: machines.add, Head: func(h api.Head) { heads = append(heads, h) }})
	read(
		t, m,
		api.Report{When: at, Stream: "S", Place: 9, Complete: true, Machines: []api.Machine{machine("a"), machine("b", "x", "y")}},
		api.Report{When: at.Add(1), Stream: "S", Place: 10, Reasons: []string{"gap"}, Machines: []api.Machine{machine("b", "z"), machine("c")}},
		api.Report{When: at.Add(2), Stream: "S", Place: 11, Complete: true},
	)
	if len(machines) != 3 || !slices.Equal(machines[1].Users, []string{"x", "y", "z"}) || machines[1].Place != 9 || machines[1].When != at || machines[2].Place != 10 {
		t.Errorf("%+v", machines)
	}
	if len(heads) != 1 || heads[0].Place != 9 || heads[0].Complete || !slices.Equal(heads[0].Reasons, []string{"gap"}) || heads[0].When != at {
		t.Errorf("%+v", heads)
	}
}

// TestMirrorShares: a list of users that a callback keeps stays the same as long as the users
// are the same, and the first state is marked.
func TestMirrorShares(t *testing.T) {
	var machines updates
	m := reported(t, Watch{Machine: machines.add}, machine("a", "x", "y"))
	later := machine("a", "x", "y")
	later.Missing = 1
	read(t, m, api.Report{When: at.Add(1), Stream: "S", Place: 10, Machines: []api.Machine{later}})
	read(t, m, api.Report{When: at.Add(2), Stream: "S", Place: 11, Machines: []api.Machine{later}})
	if len(machines) != 2 || &machines[0].Users[0] != &machines[1].Users[0] || machines[1].Missing != 1 || !machines[0].First || machines[1].First {
		t.Errorf("%+v", machines)
	}
}

// TestMirrorRefusedOnce: each reason is reported once, until the problem is over.
func TestMirrorRefusedOnce(t *testing.T) {
	var messages []string
	var receiving []bool
	m := &Mirror{Watch: Watch{
		Notify:    func(text string) { messages = append(messages, text) },
		Receiving: func(ok bool, _ string) { receiving = append(receiving, ok) },
	}}
	for range 2 {
		m.reportProblem("lost")
		m.reportRefused(errors.New("expired"))
		m.reportRefused(errors.New("expired"))
		m.reportRefused(errors.New("revoked"))
		m.reportRecovered()
		m.reportRecovered()
	}
	once := []string{"lost", "expired; retrying", "revoked; retrying", "receiving from the service again"}
	if want := slices.Concat(once, once); !slices.Equal(messages, want) {
		t.Errorf("messages %q, want %q", messages, want)
	}
	if want := []bool{false, false, false, true, false, false, false, true}; !slices.Equal(receiving, want) {
		t.Errorf("receiving %v, want %v", receiving, want)
	}
}

// TestMirrorNumbers: a message whose number does not follow that of the one before, or that
// is of another process, means that the state is to be requested again, unless the state is
// newer.
func TestMirrorNumbers(t *testing.T) {
	for name, test := range map[string]struct {
		messages string // an instance and a number each; ! if the state is requested again
	}{
		"in order":          {"a7 a8 a9"},
		"left out":          {"a7 a9! a10"},
		"twice":             {"a7 a7 a8 a7 a9"},
		"another process":   {"a7 b1! b2 b3"},
		"two processes":     {"a7 b3! a8 b4 a9"},
		"one of many":       {"a7 b1! c1! d1! e1! f1! g1! h1! i1! j1! k1! l1! m1! n1! o1! p1! q1! q2 q4!"},
		"without a number":  {"a0 a0 a1 a0 a2"},
		"older than stated": {"a7 <a9 <b1 b2"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, kind := range []string{"changes", "beats"} {
				m := reported(t, Watch{Subjects: subjects(t)})
				checkNumbers(t, m, kind, test.messages)
			}
		})
	}
}

func subjects(t *testing.T) rollcallv1.Subjects {
	t.Helper()
	s, err := rollcallv1.NewSubjects(rollcallv1.DefaultSubject)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// message returns a message as the connection receives it.
func message(t rapid.TB, subject string, content any) *nats.Msg {
	t.Helper()
	data, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	return &nats.Msg{Subject: subject, Data: data}
}

// checkNumbers lets a mirror handle messages with these numbers: changes of a machine, or
// beats.
func checkNumbers(t *testing.T, m *Mirror, kind, messages string) {
	t.Helper()
	for i, word := range strings.Fields(messages) {
		word, want := strings.CutSuffix(word, "!")
		word, older := strings.CutPrefix(word, "<")
		number, err := strconv.ParseUint(word[1:], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		when := at.Add(time.Duration(i+1) * time.Second)
		if older {
			when = at.Add(-time.Second)
		}
		msg := message(t, m.Subjects.Changes(), api.Beat{When: when, Place: 9, Since: 9, Instance: word[:1], Number: number})
		if kind == "changes" {
			msg = message(t, m.Subjects.ChangesOf("web1"), api.Change{
				Machine: "web1", When: when, Heard: at, Place: 10, Previous: 9, Instance: word[:1], Number: number,
			})
		}
		if again, err := m.handle(msg); again != want || err != nil {
			t.Errorf("%s: message %d, %s: again %t (%v), want %t", kind, i, word, again, err, want)
		}
	}
}

// TestMirrorBeats: beats say which machines are silent or gone, unless the state is newer,
// and another count, an unknown machine or a user on a machine that is gone mean that the state
// is to be requested again.
func TestMirrorBeats(t *testing.T) {
	var machines updates
	m := reported(t, Watch{Subjects: subjects(t), Machine: machines.add}, machine("a", "x"), machine("b"), machine("c"))
	number := uint64(0)
	beat := func(want bool, shows string, b api.Beat) {
		t.Helper()
		if machines = nil; b.Number == 0 {
			number++
			b.Number = number
		}
		b.Instance, b.Place, b.Since = "i", 9, 9
		again, err := m.handle(message(t, m.Subjects.Changes(), b))
		var got []string
		for _, u := range machines {
			got = append(got, fmt.Sprintf("%s silent=%t gone=%t", u.Name, u.Silent, u.Gone))
		}
		if again != want || err != nil || strings.Join(got, ", ") != shows {
			t.Errorf("%+v: again %t (%v), %q; want %t, %q", b, again, err, got, want, shows)
		}
	}
	second := func(n int) time.Time { return at.Add(time.Duration(n) * time.Second) }
	beat(false, "", api.Beat{When: second(-1), Silent: []string{"a", "unknown"}, Gone: []string{"b"}, SilentMachines: 2})
	beat(false, "a silent=true gone=false", api.Beat{When: second(1), Silent: []string{"a"}, More: true, SilentMachines: 2})
	beat(false, "c silent=true gone=false", api.Beat{When: second(1), Silent: []string{"c"}, SilentMachines: 2})
	beat(false, "a silent=false gone=false", api.Beat{When: second(2), Silent: []string{"c"}, Heard: []string{"a"}, SilentMachines: 1})
	beat(false, "", api.Beat{When: second(3), Number: 1, Silent: []string{"a"}, SilentMachines: 1}) // twice
	beat(false, "", api.Beat{When: second(1), Silent: []string{"a"}, SilentMachines: 1})            // late
	beat(false, "c silent=true gone=true", api.Beat{When: second(4), Gone: []string{"c", "unknown"}, SilentMachines: 0})
	beat(true, "", api.Beat{When: second(5), Silent: []string{"unknown"}, SilentMachines: 0})
	beat(true, "", api.Beat{When: second(6), Gone: []string{"a"}, SilentMachines: 0})
	beat(false, "", api.Beat{When: second(7), SilentMachines: 0})
	if m.Machines = "[!a]"; m.machines["a"] == nil {
		t.Error("a is not known")
	}
	beat(false, "", api.Beat{When: second(8), Silent: []string{"ax"}, SilentMachines: 7}) // not watched, nor counted
}

// TestMirrorCount: another number of silent machines makes the mirror request the state
// again: at once, and if that does not help ever more seldom.
func TestMirrorCount(t *testing.T) {
	m := reported(t, Watch{Subjects: subjects(t), Machine: new(updates).add}, machine("a"))
	var asked []int
	for i := range 40 {
		b := api.Beat{When: at.Add(time.Duration(i+1) * time.Second), Place: 9, Since: 9, Number: uint64(i + 1), Instance: "i", SilentMachines: 1}
		if i == 20 {
			b.SilentMachines = 0
		}
		again, err := m.handle(message(t, m.Subjects.Changes(), b))
		if err != nil {
			t.Fatal(err)
		}
		if again {
			asked = append(asked, i)
		}
	}
	if want := []int{0, 1, 3, 7, 15, 21, 22, 24, 28, 36}; !slices.Equal(asked, want) {
		t.Errorf("asked after beats %v, want %v", asked, want)
	}
}
