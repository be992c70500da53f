package web

import (
	"context"
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
}

type heard struct {
	at, read time.Time
}

// heardAge is how long a heard is used before it is asked for again.
const heardAge = 25 * time.Second

// of returns when machines were heard from last, as far as known.
func (h *heards) of(ctx context.Context, p *Page, machines []*fleet.Machine) map[string]time.Time {
	now := time.Now()
	found := make(map[string]time.Time, len(machines))
	var old []string
	h.mu.Lock()
	for _, m := range machines {
		k := h.kept[m.Name]
		if found[m.Name] = latest(k.at, m.Heard); now.Sub(k.read) > heardAge && p.now().Sub(m.Heard) > heardAge {
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
	for a, err := range pages[api.Report](ctx, p, "report", api.ReportRequest{Filter: api.Filter{Names: old}}) {
		if err != nil {
			break
		}
		for _, m := range a.Machines {
			read[m.Name] = m.Heard
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

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
