package history

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"rollcall/internal/roster"
)

// opened returns a history without events.
func opened(t *testing.T) *History {
	h := Open(Config{Dir: t.TempDir(), Roster: roster.New(roster.DefaultSettings()), Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry()})
	t.Cleanup(h.Close)
	if err := h.Failing(); err != nil {
		t.Fatal(err)
	}
	return h
}

// TestFleetsAtOnce: when as many questions about fleets are being answered as there are
// readers, and as many are waiting, all are answered.
func TestFleetsAtOnce(t *testing.T) {
	h := opened(t)
	var g errgroup.Group
	var first sync.WaitGroup
	first.Add(readers)
	var entered atomic.Int32
	for range 2 * readers {
		g.Go(func() error {
			return h.View(t.Context(), func(v *View) error {
				if entered.Add(1) <= readers {
					first.Done()
					first.Wait()
				}
				return h.FleetAt(v, 1, "", func(string, []string) bool { return true })
			})
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

// TestFleetOfLaterView: a question that began before the last transaction is not answered
// by the fleet that is kept since.
func TestFleetOfLaterView(t *testing.T) {
	h := opened(t)
	fleet := func(v *View) (list []string) {
		err := h.FleetAt(v, roster.Time(time.Hour), "", func(name string, users []string) bool {
			list = append(list, fmt.Sprint(name, users))
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	hear := func(place uint64, machine, user string) {
		e := Accepted{place, hour(machine, user, 1)[0]}
		b := &batch{end: roster.Position{Place: place}, settings: roster.DefaultSettings(), first: 1, events: []Accepted{e}}
		if err := h.w.write([]*batch{b}); err != nil {
			t.Fatal(err)
		}
		h.note(nil)
	}
	view := func(show func(*View)) {
		if err := h.View(t.Context(), func(v *View) error { show(v); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	hear(1, "web1", "lane")
	view(func(before *View) {
		hear(2, "web2", "chris")
		view(func(v *View) {
			if got := fleet(v); !slices.Equal(got, []string{"web1[lane]", "web2[chris]"}) {
				t.Errorf("the later view has %v", got)
			}
		})
		if got := fleet(before); !slices.Equal(got, []string{"web1[lane]"}) {
			t.Errorf("the earlier view has %v", got)
		}
	})
}
