package agent

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"rollcall/internal/agent/journal"
	"rollcall/internal/agent/logind"
	"rollcall/internal/agent/spool"
	"rollcall/internal/roster"
	"rollcall/internal/wire"
)

// records makes the events that records tell of: the first, and those that wait already.
// They are written together.
func (a *Agent) records(ctx context.Context, first journal.Record, waiting <-chan journal.Record) error {
	if err := a.record(ctx, &first); err != nil {
		return err
	}
	//guard:true "events are written while more and more happens" TestBurst
	for len(a.pending) < flushAt {
		select {
		case r := <-waiting:
			if err := a.record(ctx, &r); err != nil {
				return err
			}
		default:
			return a.flush(ctx)
		}
	}
	return a.flush(ctx)
}

// record makes the event that a record tells of.
func (a *Agent) record(ctx context.Context, r *journal.Record) error {
	e, ok, err := a.sessions.told(ctx, r)
	if err != nil {
		return err
	}
	a.Cursor = r.Cursor
	if !ok {
		if isSuppression(r) && a.reading.Load() { // of a backlog a present follows anyway
			return a.present(ctx)
		}
		return nil
	}
	//guard:drop a.reading.Load() "a backlog from before the clock was set is told once, and then who is on" TestClockInBacklog
	if back := a.add(&e, r.Time); back && a.reading.Load() {
		return a.present(ctx)
	}
	return nil
}

// present lists who is on.
func (a *Agent) present(ctx context.Context) error {
	date := a.clock.now() // before it is asked for: what happens meanwhile is told after it
	all, err := a.sessions.machine.List(ctx)
	if err != nil {
		return err
	}
	a.correctBoot(date)
	on := a.sessions.list(all)
	for _, s := range a.told.list() {
		//guard:true "a session that logind has, too, is listed once" TestListed
		if _, is := a.sessions.held[s.ID]; !is {
			on = append(on, s)
		}
	}
	e := roster.Event{Type: roster.Present, Sessions: on, Every: a.Every}
	a.add(&e, date)
	return a.flush(ctx)
}

// add makes an event of the machine, dated at a time of the clock, that flush writes. It
// reports whether dates follow a clock that was set back.
func (a *Agent) add(e *roster.Event, at time.Time) (back bool) {
	number := a.Spool.Next() + uint64(len(a.pending))
	e.Machine, e.Origin, e.Number = a.Machine, a.Spool.Origin(), number-a.Spool.Base()
	e.Date, back = a.dates.next(at)
	payload := wire.AppendJSON(nil, e)
	var read roster.Event
	// Nothing that the service would refuse may stand in the way of what comes after it.
	//guard:false "an event that would be refused is not spooled" TestNotSpooled
	if refusal := a.decoder.Decode("", "", payload, &read); refusal != nil {
		a.Log.Error("event left out", "type", e.Type.String(), "why", refusal.Problem)
		return back
	}
	a.Date = e.Date
	if e.Type == roster.Boot {
		a.Booted = e.Date
	}
	kept, err := json.Marshal(&a.state)
	if err != nil {
		panic(err) // it has a string and a number only
	}
	a.pending = append(a.pending, spool.Record{Number: number, Payload: payload, State: kept})
	return back
}

// flush writes what add has made. While the disk is full it waits: the journal keeps what
// happens.
func (a *Agent) flush(ctx context.Context) error {
	for wait := time.Second; len(a.pending) > 0; {
		n := spool.Fitting(a.pending)
		err := a.Spool.Append(a.pending[:n]...)
		if err == nil {
			a.problem.Store(nil)
			a.pending = slices.Delete(a.pending, 0, n)
			continue
		}
		a.Log.Error("spool not written: waiting", "err", err)
		problem := "the spool is not written: " + err.Error()
		a.problem.Store(&problem)
		if !pause(ctx, wait) {
			return ctx.Err()
		}
		wait = min(2*wait, time.Minute)
	}
	return nil
}

// catchUp makes the events of what happened since the state was written.
func (a *Agent) catchUp(ctx context.Context) error {
	a.sessions.held = map[string]held{}
	if err := a.findCursor(ctx); err != nil {
		return err
	}
	if err := a.recall(ctx); err != nil {
		return err
	}
	if err := journal.Read(ctx, a.backlog(), func(r journal.Record) error { return a.past(ctx, &r) }); err != nil {
		return err
	}
	if err := a.boot(a.bootID, a.clock.booted()); err != nil {
		return err
	}
	return a.flush(ctx)
}

// findCursor forgets the cursor if the journal no longer has its record, because it was
// rotated, or is kept in memory and the machine has booted. On a first start with SinceNow
// the cursor becomes that of the newest record.
func (a *Agent) findCursor(ctx context.Context) error {
	q := journal.Query{From: a.Cursor, Matches: journalMatches}
	switch {
	case a.Cursor != "":
	case a.Since == SinceNow && a.Boot == "":
		q.Last = 1
	default:
		return nil
	}
	first := ""
	err := journal.Read(ctx, q, func(r journal.Record) error {
		first = r.Cursor
		return errFound
	})
	if err != nil && !errors.Is(err, errFound) {
		return err
	}
	if a.Cursor != "" && !journal.IsSame(first, a.Cursor) {
		a.Log.Warn("the journal has been rotated: what it has left of this boot is read")
		first = ""
	}
	a.Cursor = first
	return nil
}

var errFound = errors.New("found")

// backlog returns what of the journal is to be read.
func (a *Agent) backlog() journal.Query {
	q := journal.Query{After: a.Cursor, Matches: journalMatches}
	if firstOfAll := a.Since == SinceAll && a.Boot == ""; a.Cursor == "" && !firstOfAll {
		q.Boot = a.bootID
	}
	return q
}

// past makes the event that a record of the backlog tells of, and before it the boot that
// it is the first record of.
func (a *Agent) past(ctx context.Context, r *journal.Record) error {
	booted := r.Time
	if r.Boot == a.bootID {
		booted = a.clock.booted()
	}
	if err := a.boot(r.Boot, booted); err != nil {
		return err
	}
	if err := a.record(ctx, r); err != nil {
		return err
	}
	if len(a.pending) < flushAt {
		return nil
	}
	return a.flush(ctx)
}

// flushAt is how many events are collected before they are written to the spool together.
const flushAt = 200

// boot makes the event of a boot, if it was not told yet.
func (a *Agent) boot(id string, at time.Time) error {
	if id == a.Boot {
		return nil
	}
	if err := a.told.clear(); err != nil {
		return err
	}
	a.Boot, a.Before = id, a.dates.last
	a.sessions.held = map[string]held{}
	a.add(&roster.Event{Type: roster.Boot}, at)
	return nil
}

// recall finds the sessions that began before the cursor and have not ended by then: their
// logouts are still to be told. Of which class they are is asked where that matters.
func (a *Agent) recall(ctx context.Context) error {
	if a.Cursor == "" || a.Boot == "" {
		return nil
	}
	began := map[string]journal.Record{}
	over := map[string]bool{}
	err := journal.Read(ctx, journal.Query{Boot: a.Boot, Matches: journalMatches}, func(r journal.Record) error {
		switch {
		case r.Session == "":
		case r.MessageID == sessionStarted:
			began[r.Session] = r
			delete(over, r.Session)
		case r.MessageID == sessionRemoved:
			delete(began, r.Session)
		case r.MessageID == "" && r.Leader != 0:
			over[r.Session] = true
		}
		if journal.IsSame(r.Cursor, a.Cursor) {
			return errFound
		}
		return nil
	})
	// If that record is gone, nobody was told of the sessions found so far.
	if !errors.Is(err, errFound) {
		return err
	}
	for id, r := range began {
		if over[id] {
			a.sessions.held[id] = held{r.User, r.Leader, false}
		} else if _, _, err := a.sessions.begin(ctx, &r); err != nil {
			return err
		}
	}
	return nil
}

// shutdown tells that the machine shuts down. What local programs told of ends with it: a
// soft-reboot is followed by no boot.
func (a *Agent) shutdown(ctx context.Context) error {
	//guard:set a.told.clear() error(nil) "a soft-reboot ends what was told of" TestSoftReboot
	if err := a.told.clear(); err != nil {
		return err
	}
	a.add(&roster.Event{Type: roster.Shutdown}, a.clock.now())
	return a.flush(ctx)
}

// UIDOf returns the number of an account of this machine. Those of a directory are none of
// the system's.
func (asked) UIDOf(_ context.Context, name string) (uid int, known bool) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, false
	}
	uid, err = strconv.Atoi(u.Uid)
	return uid, err == nil
}

// asked answers what the rules ask of the machine.
type asked struct{ *logind.Conn }

func (asked) OfLeader(ctx context.Context, boot string, pid int, show func(journal.Record)) error {
	return journal.Read(ctx, journal.Query{Boot: boot, Matches: []string{fmt.Sprintf("_PID=%d", pid)}}, func(r journal.Record) error {
		show(r)
		return nil
	})
}
