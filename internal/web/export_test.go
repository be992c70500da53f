package web

import (
	"time"

	"rollcall/internal/web/fleet"
)

// SetClock sets the clock of a page, and how long it waits for what it can do without. It
// asks for the status as often as it can.
func (p *Page) SetClock(now func() time.Time, patience time.Duration) {
	p.now, p.detailTime, p.statusPause = now, patience, 300*time.Millisecond
}

// Fleet returns the fleet that the page shows.
func (p *Page) Fleet() *fleet.Fleet { return p.fleet }

// SetStays bounds the sessions that are read for the rows of one view, and sets how long what
// did not come is not asked for again.
func (p *Page) SetStays(most int, retry time.Duration) { p.maxStays, p.retryPause = most, retry }
