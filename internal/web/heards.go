package web

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"rollcall/internal/api"
	"rollcall/internal/web/fleet"
)

// heards are when machines in view were heard from last: the changes of a roster tell
// that only when somebody comes or goes.
type heards struct {
	mu   sync.Mutex
	kept map[string]heard
	// all is the last question about all machines; nil: none yet.
	all    *hearing
	wanted chan *hearing
}

// hearing is a question for all who want to know when all machines were heard from last.
type hearing struct {
	asked time.Time
	done  chan struct{} // closed with the answer
	err   error         // once it is
}

type heard struct {
	at, read time.Time
}

const (
	// heardAge is how long a heard is used before it is asked for again.
	heardAge = 25 * time.Second
	// allAge is the least time between two questions about all machines, and unheardAge
	// that after one that was not answered.
	allAge     = 30 * time.Second
	unheardAge = 5 * time.Second
	// maxNames is how many machines one question may name.
	maxNames = 300
	// allTime is how long such a question may take.
	allTime = time.Minute
)

// of returns when machines were heard from last, as far as known.
func (h *heards) of(ctx context.Context, p *Page, machines []*fleet.Machine) map[string]time.Time {
	now := time.Now()
	found := make(map[string]time.Time, len(machines))
	var old []string
	h.mu.Lock()
	// A list that is sorted by it shows what it is sorted by.
	whole := h.all.answered(now, heardAge)
	for _, m := range machines {
		k := h.kept[m.Name]
		if found[m.Name] = latest(k.at, m.Heard); !whole && now.Sub(k.read) > heardAge && p.now().Sub(m.Heard) > heardAge {
			old = append(old, m.Name)
		}
	}
	h.mu.Unlock()
	if len(old) == 0 {
		return found
	}
	ctx, cancel := context.WithTimeout(ctx, p.detailTime)
	defer cancel()
	read := map[string]time.Time{}
	for some := range slices.Chunk(old, maxNames) {
		for a, err := range pages[api.Report](ctx, p, "report", api.ReportRequest{Filter: api.Filter{Names: some}}) {
			if err != nil {
				break
			}
			for _, m := range a.Machines {
				read[m.Name] = m.Heard
			}
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.kept == nil || len(h.kept) > maxDetails {
		h.kept = map[string]heard{}
	}
	for name, at := range read {
		h.kept[name] = heard{at, now}
		found[name] = latest(at, found[name])
	}
	return found
}

// answered reports whether a question was answered, and is not older than an age.
func (q *hearing) answered(now time.Time, age time.Duration) bool {
	if q == nil || now.Sub(q.asked) > age {
		return false
	}
	select {
	case <-q.done:
		return q.err == nil
	default:
		return false
	}
}

// over reports whether a question need not be waited for any more, and may be asked again.
func (q *hearing) over(now time.Time) bool {
	if q == nil {
		return true
	}
	select {
	case <-q.done:
		age := now.Sub(q.asked)
		return age > allAge || q.err != nil && age > unheardAge
	default:
		return false
	}
}

// whole waits until the fleet knows when all machines were heard from last, or did a short
// time ago. However many want to know, it is asked for once in a while.
func (h *heards) whole(ctx context.Context) error {
	h.mu.Lock()
	q := h.all
	//guard:set q.over(time.Now()) true "who was heard from last is asked once for all" TestHeardOfAll
	if q.over(time.Now()) {
		q = &hearing{asked: time.Now(), done: make(chan struct{})}
		h.all = q
		h.wanted <- q // there is room: the one before is answered
	}
	h.mu.Unlock()
	select {
	case <-q.done:
		return q.err
	case <-ctx.Done():
		return errors.New("when the machines were heard from last is not known yet: try again in a few seconds")
	}
}

// follow asks about all machines when somebody wants to know, until the context is done.
func (h *heards) follow(ctx context.Context, p *Page) {
	for {
		select {
		case <-ctx.Done():
			return
		case q := <-h.wanted:
			q.err = h.ask(ctx, p)
			close(q.done)
		}
	}
}

// ask asks when all machines were heard from last, and tells the fleet.
func (h *heards) ask(ctx context.Context, p *Page) error {
	ctx, cancel := context.WithTimeout(ctx, allTime)
	defer cancel()
	for a, err := range pages[api.Report](ctx, p, "report", api.ReportRequest{}) {
		if err != nil {
			return err
		}
		p.fleet.Hear(a.Machines)
	}
	return nil
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
