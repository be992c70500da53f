package throttle

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// saying is a record and how it is said.
type saying struct {
	next   slog.Handler
	ctx    context.Context
	record slog.Record
}

func (s *saying) say() error { return s.next.Handle(s.ctx, s.record) }

// sayLate says it as of now, so that no line of the log is older than the one
// before, and adds when it was and how many were left out before it.
func (s *saying) sayLate(leftOut int) error {
	record := s.record.Clone()
	record.Time = time.Now()
	record.AddAttrs(slog.Time(Last, s.record.Time))
	if leftOut > 0 {
		record.AddAttrs(slog.Int(LeftOut, leftOut))
	}
	return s.next.Handle(s.ctx, record)
}

// tallies count what was said.
type tallies struct {
	mu    sync.Mutex
	kinds map[string]*tally
}

// tally is what was said of one kind in a window that began with its first.
type tally struct {
	said, leftOut int
	last          saying      // of those left out
	timer         *time.Timer // the end of the window
}

// handle says a complaint, or leaves it out.
func (t *tallies) handle(kind string, s saying) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	of := t.kinds[kind]
	if of == nil {
		//guard:false "remembered complaints are bounded" TestBounded
		if len(t.kinds) >= maxKinds {
			kind = "" // of all kinds that there is no room for
			of = t.kinds[kind]
		}
		if of == nil {
			of = new(tally)
			t.kinds[kind] = of
			of.timer = time.AfterFunc(window, func() { t.end(kind, of) })
		}
	}
	//guard:false "one trouble is a few lines a minute" TestFew
	if of.said >= burst {
		of.leftOut++
		of.last = s
		return nil
	}
	of.said++
	return s.say()
}

// end ends the window of a kind. One of which something was left out begins
// another with that; else the kind is forgotten.
func (t *tallies) end(kind string, of *tally) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if of.leftOut == 0 {
		delete(t.kinds, kind)
		return
	}
	//guard:drop "the last of many is said" TestLastIsSaid
	_ = of.sayLast()
	of.said = 1
	of.timer.Reset(window)
}

// sayLast says the last one that was left out, and how many before it were.
func (t *tally) sayLast() error {
	if t.leftOut == 0 {
		return nil
	}
	before := t.leftOut - 1
	t.leftOut = 0
	last := t.last
	t.last = saying{}
	return last.sayLate(before)
}
