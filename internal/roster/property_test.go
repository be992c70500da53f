package roster_test

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/roster"
)

const hour = roster.Time(time.Hour)

// start is the date around which the histories of these tests lie.
var start = roster.TimeOf(time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC))

var lateness = 10 * time.Hour

func settings() roster.Settings {
	return roster.Settings{MaxSkew: 10 * time.Minute, AllowedLateness: lateness}
}

// session draws a session from a few users and ids, so that they collide.
func session(t *rapid.T, needUser bool) roster.Session {
	users := []string{"alice", "bob", "carol"}
	ids := []string{"", "", "1", "2", "3"}
	s := roster.Session{ID: rapid.SampledFrom(ids).Draw(t, "id")}
	if needUser || s.ID == "" || rapid.Bool().Draw(t, "named") {
		s.User = rapid.SampledFrom(users).Draw(t, "user")
	}
	return s
}

// history draws messages with places from 1. With ties, dates lie on a coarse grid;
// without, they are distinct. Some are late and some in the future.
func history(t *rapid.T, ties bool) []roster.Message {
	n := rapid.IntRange(0, 60).Draw(t, "messages")
	messages := make([]roster.Message, n)
	for i := range messages {
		place := uint64(i + 1)
		receipt := start + roster.Time(i)*hour/4
		date := receipt - roster.Time(rapid.IntRange(-1, 14*60).Draw(t, "age"))*roster.Time(time.Minute)
		if ties {
			date -= date % (2 * hour)
		} else {
			date += roster.Time(place)
		}
		messages[i] = roster.Message{Place: place, Receipt: receipt, Event: event(t, date)}
	}
	return messages
}

func event(t *rapid.T, date roster.Time) roster.Event {
	e := roster.Event{
		Date:    date,
		Type:    rapid.SampledFrom([]roster.Type{1, 1, 1, 1, 2, 2, 2, 3, 4, 5}).Draw(t, "type"),
		Machine: rapid.SampledFrom([]string{"web", "db", "mail.example.com"}).Draw(t, "machine"),
	}
	switch e.Type {
	case roster.Login:
		e.Session = session(t, true)
		e.Session.Terminal = rapid.SampledFrom([]string{"", "pts/0", "tty1"}).Draw(t, "terminal")
		e.Session.Remote = rapid.SampledFrom([]string{"", "10.0.0.7"}).Draw(t, "remote")
	case roster.Logout:
		e.Session = session(t, false)
	case roster.Present:
		taken := map[name]bool{}
		for range rapid.IntRange(0, 4).Draw(t, "sessions") {
			s := session(t, true)
			if taken[nameOf(s)] {
				continue
			}
			taken[nameOf(s)] = true
			s.Since = rapid.SampledFrom([]roster.Time{0, start}).Draw(t, "since")
			s.Service = rapid.SampledFrom([]string{"", "sshd"}).Draw(t, "service")
			e.Sessions = append(e.Sessions, s)
		}
		e.Every = rapid.SampledFrom([]time.Duration{0, time.Minute, time.Hour}).Draw(t, "every")
	}
	return e
}

// fold folds messages as one batch.
func fold(r *roster.Roster, messages ...roster.Message) []roster.Message {
	b := roster.Batch{Messages: slices.Clone(messages), Missing: roster.Gap, End: r.Status().Position}
	if len(messages) > 0 {
		b.End.Place = max(b.End.Place, messages[len(messages)-1].Place)
	}
	r.Fold(&b)
	return b.Messages
}

func encode(t rapid.TB, r *roster.Roster) []byte {
	t.Helper()
	var b bytes.Buffer
	e := r.Encode()
	defer e.Close()
	if _, err := e.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// encodedBy returns the description of a roster's encoding that Restore needs.
func encodedBy(r *roster.Roster) roster.Encoded {
	return roster.Encoded{Version: roster.EncodingVersion, Settings: r.Settings(), Position: r.Status().Position}
}

func restore(t rapid.TB, r *roster.Roster) *roster.Roster {
	t.Helper()
	s := r.Settings()
	restored, err := roster.Restore(bytes.NewReader(encode(t, r)), encodedBy(r), s)
	if err != nil {
		t.Fatal(err)
	}
	return restored
}

// TestOracle: at every moment the roster is what the sorted events fold to, and each
// message has the right fate.
func TestOracle(t *testing.T) {
	for _, ties := range []bool{false, true} {
		t.Run(fmt.Sprintf("ties=%v", ties), rapid.MakeCheck(func(t *rapid.T) {
			r, o := roster.New(settings()), newOracle(10*time.Minute, lateness)
			for _, m := range history(t, ties) {
				want := o.read(m)
				got := fold(r, m)[0]
				switch {
				case want == "" && got.Refusal != nil:
					t.Fatalf("message %d refused: %v", m.Place, got.Refusal)
				case want != "" && (got.Refusal == nil || got.Refusal.Reason != want || got.Fate != roster.DeadLettered):
					t.Fatalf("message %d: fate %v, refusal %v, want %s", m.Place, got.Fate, got.Refusal, want)
				}
				check(t, r, o)
			}
		}))
	}
}

// check compares every view of the roster with the oracle.
func check(t rapid.TB, r *roster.Roster, o *oracle) {
	t.Helper()
	want := o.fold()
	if got := seen(r); !reflect.DeepEqual(got, want) {
		t.Fatalf("roster is\n%v, want\n%v", got, want)
	}
	if got, want := changedOf(r), o.changed(); !maps.Equal(got, want) {
		t.Fatalf("changed are %v, want %v", got, want)
	}
	totals := roster.Status{Machines: len(want)}
	where := map[string]map[string]bool{}
	for machine, sessions := range want {
		totals.Sessions += len(sessions)
		for _, s := range sessions {
			if where[s.user] == nil {
				where[s.user] = map[string]bool{}
			}
			where[s.user][machine] = true
		}
	}
	for user, machines := range where {
		totals.Users++
		if len(machines) > 1 {
			totals.Several++
		}
		got := map[string]bool{}
		for _, stay := range r.User(user) {
			if _, ok := want[stay.Machine][nameOf(stay.Session)]; !ok || stay.Session.User != user {
				t.Fatalf("user %s has a stay %+v", user, stay)
			}
			got[stay.Machine] = true
		}
		if !reflect.DeepEqual(got, machines) {
			t.Fatalf("user %s is on %v, want %v", user, got, machines)
		}
	}
	st := r.Status()
	got := roster.Status{Machines: st.Machines, Users: st.Users, Several: st.Several, Sessions: st.Sessions}
	if got != totals {
		t.Fatalf("totals are %+v, want %+v", got, totals)
	}
	if st.Fates.Sum() != st.Position.Place {
		t.Fatalf("fates %v do not add up to position %d", st.Fates, st.Position.Place)
	}
	if counted, there := r.RegisterCounts(); counted != there {
		t.Fatalf("%d registers counted, want %d", counted, there)
	}
}

// TestSameBytes: batches, snapshots, dropping expired registers, and reading again
// leave no trace in the canonical encoding.
func TestSameBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		messages := history(t, rapid.Bool().Draw(t, "ties"))
		plain := roster.New(settings())
		for _, m := range messages {
			fold(plain, m)
		}
		other := roster.New(settings())
		for at := 0; at < len(messages); {
			n := rapid.IntRange(1, len(messages)-at).Draw(t, "batch")
			fold(other, messages[at:at+n]...)
			at += n
			switch rapid.IntRange(0, 3).Draw(t, "then") {
			case 0:
				other = restore(t, other)
			case 1:
				other.ExpireAll()
			case 2:
				from := rapid.IntRange(0, at-1).Draw(t, "again from")
				fold(other, messages[from:at]...)
			}
		}
		if !bytes.Equal(encode(t, plain), encode(t, other)) {
			t.Fatalf("%v\n%v\n%x\n%x", seen(plain), seen(other), encode(t, plain), encode(t, other))
		}
		other.ExpireAll()
		if !bytes.Equal(encode(t, plain), encode(t, other)) || !reflect.DeepEqual(seen(plain), seen(other)) {
			t.Fatal("dropping expired registers changes the encoding")
		}
	})
}

// TestAnyOrder: events with distinct dates, each with its place, give the same bytes
// in any order and however often each is read. (None is late here: that depends on
// the order.)
func TestAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := roster.Settings{MaxSkew: 10 * time.Minute, AllowedLateness: 1000 * time.Hour}
		messages := history(t, false)
		end := roster.Batch{End: roster.Position{Place: uint64(len(messages))}}
		sorted, shuffled := roster.New(s), roster.New(s)
		sorted.Fold(&end)
		shuffled.Fold(&end)
		for _, m := range messages {
			fold(sorted, m)
		}
		twice := rapid.Permutation(append(messages, messages...)).Draw(t, "order")
		for _, m := range twice {
			fold(shuffled, m)
		}
		if !bytes.Equal(encode(t, sorted), encode(t, shuffled)) {
			t.Fatalf("%v\n%v", seen(sorted), seen(shuffled))
		}
	})
}

// TestRestoreRefuses: a truncated encoding, or one with bytes after it, is refused.
func TestRestoreRefuses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := roster.New(settings())
		fold(r, history(t, false)...)
		whole := encode(t, r)
		cut := rapid.IntRange(0, len(whole)-1).Draw(t, "cut")
		for _, bad := range [][]byte{whole[:cut], append(slices.Clone(whole), 0)} {
			if _, err := roster.Restore(bytes.NewReader(bad), encodedBy(r), r.Settings()); err == nil {
				t.Fatalf("%d of %d bytes restored", len(bad), len(whole))
			}
		}
	})
}
