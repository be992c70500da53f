package web

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/internal/api"
	"rollcall/internal/web/fleet"
)

// moments are the fleets of the past moments that were asked about last.
type moments struct {
	mu   sync.Mutex
	kept []*past
	// turns are to ask: each fleet has all machines, and a strip of time can be dragged
	// quickly.
	turns turns
}

// forget drops the past fleets that are old.
func (m *moments) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept = slices.DeleteFunc(m.kept, func(k *past) bool { return time.Since(k.read) > momentAge })
}

const (
	// maxMoments bounds the past fleets that are kept, momentAskers those that are asked for
	// at a time.
	maxMoments   = 3
	momentAskers = 2
	// momentAge is how long one is kept: late events may still change it.
	momentAge = 2 * time.Minute
)

// past is the fleet at a moment.
type past struct {
	at    time.Time
	once  sync.Once
	done  atomic.Bool
	fleet *fleet.Fleet
	head  api.Head
	past  api.Past
	err   error
	read  time.Time
}

// at returns the fleet at a past moment.
func (m *moments) at(ctx context.Context, p *Page, at time.Time) (*past, error) {
	m.forget()
	m.mu.Lock()
	i := slices.IndexFunc(m.kept, func(k *past) bool { return k.at.Equal(at) })
	var one *past
	if i >= 0 {
		one = m.kept[i]
		m.kept = slices.Delete(m.kept, i, i+1)
	} else {
		one = &past{at: at, read: time.Now()}
	}
	m.kept = append(m.kept[max(0, len(m.kept)+1-maxMoments):], one)
	m.mu.Unlock()
	//guard:false "past moments are read a few at a time" TestManyMoments
	if !one.done.Load() {
		done, err := m.turns.take(ctx, "moments of the past")
		if err != nil {
			return nil, err
		}
		defer done()
	}
	// Whoever asks first asks for all who wait, so the end of that request does not count.
	one.once.Do(func() {
		defer one.done.Store(true)
		one.ask(context.WithoutCancel(ctx), p)
	})
	if one.err != nil {
		m.mu.Lock()
		m.kept = slices.DeleteFunc(m.kept, func(k *past) bool { return k == one })
		m.mu.Unlock()
	}
	return one, one.err
}

// ask asks for the report of the moment: the machines that had been heard from by then.
func (k *past) ask(ctx context.Context, p *Page) {
	ctx, cancel := context.WithTimeout(ctx, 3*answerTime)
	defer cancel()
	k.fleet = fleet.New()
	var machines []api.Machine
	request := api.ReportRequest{Moment: api.Moment{At: k.at.Format(time.RFC3339Nano)}}
	for a, err := range pages[api.PastReport](ctx, p, "report", request) {
		if err != nil {
			k.err = err
			return
		}
		if k.head.When.IsZero() {
			k.head, k.past = a.Head, *a.Past
		}
		for _, m := range a.Machines {
			if last := len(machines) - 1; last >= 0 && machines[last].Name == m.Name {
				machines[last].Users = append(machines[last].Users, m.Users...)
				continue
			}
			machines = append(machines, api.Machine{Name: m.Name, Users: m.Users})
		}
	}
	k.fleet.Fill(machines)
}
