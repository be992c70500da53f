package throttle

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// entry is a record, and the handler and context to log it with.
type entry struct {
	next   slog.Handler
	ctx    context.Context
	record slog.Record
}

func (e *entry) log() error { return e.next.Handle(e.ctx, e.record) }

// logLate logs the record with the current time, so that no line of the log is older
// than the one before. It adds the original time, and how many records before it
// were left out.
func (e *entry) logLate(leftOut int) error {
	record := e.record.Clone()
	record.Time = time.Now()
	record.AddAttrs(slog.Time(Last, e.record.Time))
	if leftOut > 0 {
		record.AddAttrs(slog.Int(LeftOut, leftOut))
	}
	return e.next.Handle(e.ctx, record)
}

// tallies count complaints by kind.
type tallies struct {
	mu    sync.Mutex
	kinds map[string]*tally
}

// tally counts the complaints of one kind in a window. The first one logged begins
// the window.
type tally struct {
	logged, leftOut int
	last            entry       // the last one left out
	timer           *time.Timer // ends the window
}

// handle logs a complaint, or leaves it out.
func (t *tallies) handle(kind string, s entry) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.kinds[kind]
	if c == nil {
		//guard:false "remembered complaints are bounded" TestBounded
		if len(t.kinds) >= maxKinds {
			kind = "" // shared by all kinds beyond maxKinds
			c = t.kinds[kind]
		}
		if c == nil {
			c = new(tally)
			t.kinds[kind] = c
			c.timer = time.AfterFunc(window, func() { t.end(kind, c) })
		}
	}
	//guard:false "a repeated complaint is a few lines a minute" TestBurst
	if c.logged >= burst {
		c.leftOut++
		c.last = s
		return nil
	}
	c.logged++
	return s.log()
}

// end ends the window of a kind. If any records were left out it logs the last one,
// which begins another window; else it forgets the kind.
func (t *tallies) end(kind string, c *tally) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.leftOut == 0 {
		delete(t.kinds, kind)
		return
	}
	//guard:drop "the last record left out is logged" TestLastIsLogged
	_ = c.logLast()
	c.logged = 1
	c.timer.Reset(window)
}

// logLast logs the last record left out, and how many were left out before it.
func (t *tally) logLast() error {
	if t.leftOut == 0 {
		return nil
	}
	before := t.leftOut - 1
	t.leftOut = 0
	last := t.last
	t.last = entry{}
	return last.logLate(before)
}
