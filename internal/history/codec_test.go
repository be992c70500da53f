package history

import (
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/roster"
)

// TestCodec: events are read as they were written.
func TestCodec(t *testing.T) {
	c, err := openWriter(filepath.Join(t.TempDir(), FileName))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	rapid.Check(t, func(t *rapid.T) {
		want := events(t)
		sortEvents(want)
		scale := rapid.SampledFrom([]roster.Time{1, 1e3, 1e6}).Draw(t, "scale")
		for i := range want {
			want[i].Date = want[i].Date/scale + roster.Time(rapid.IntRange(0, 1).Draw(t, "beside"))
		}
		e := encoder{names: newNames(c, maxNames)}
		half := rapid.IntRange(0, len(want)).Draw(t, "half")
		e.events(want[:half])
		e.events(want[half:])
		d := decoder{b: e.b, names: newNames(c, maxNames)}
		got := d.events()
		if e.err != nil || d.err != nil || len(got) != len(want) {
			t.Fatalf("%d of %d events, %v, %v", len(got), len(want), e.err, d.err)
		}
		for i := range got {
			got[i].Sessions, want[i].Sessions = append([]roster.Session{}, got[i].Sessions...), append([]roster.Session{}, want[i].Sessions...)
			if !reflect.DeepEqual(got[i], want[i]) {
				t.Fatalf("event %d: got\n%+v\nwant\n%+v", i, got[i], want[i])
			}
		}
	})
}

// TestRepeatedLists: a present that lists the same as the one before takes no more than
// four bytes, also where an agent's clock drifts by milliseconds.
func TestRepeatedLists(t *testing.T) {
	c, err := openWriter(filepath.Join(t.TempDir(), FileName))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	list := []roster.Session{{User: "alice", ID: "c1", Since: 5}, {User: "bob", ID: "c2", Since: 7}}
	var events []roster.Event
	for i := range 1000 {
		date := roster.TimeOf(time.Date(2026, 1, 1, 0, 15*i, 0, i*7919%1000*1e6, time.UTC))
		events = append(events, roster.Event{Type: roster.Present, Date: date, Sessions: list})
	}
	e := encoder{names: newNames(c, maxNames)}
	e.events(events[:1])
	first := len(e.b)
	e.b = nil
	e.events(events)
	if each := float64(len(e.b)-first) / float64(len(events)-1); each > 4 {
		t.Errorf("%.1f bytes each", each)
	}
}
