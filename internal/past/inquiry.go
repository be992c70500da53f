package past

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"rollcall/internal/roster"
	"rollcall/internal/wire"
)

// inquiry is a question under way: what it has read, then its answer, until
// that was handed out or nobody asks any more.
type inquiry struct {
	*Questions
	question Question
	id       string
	ctx      context.Context
	end      context.CancelCauseFunc
	unasked  *time.Timer // ends it

	read, first, last atomic.Uint64 // sequences

	done chan struct{} // closed when one of these is there
	rows *Answer
	err  error
}

// run makes the answer, and keeps it until the question is over.
func (i *inquiry) run() {
	defer i.forget(i)
	defer i.unasked.Stop()
	i.rows, i.err = i.inquire()
	close(i.done)
	<-i.ctx.Done()
}

// answer returns the rows from one on, or how far it is.
func (i *inquiry) answer(offset int) (*Answer, error) {
	select {
	case <-i.done:
	default:
		return &Answer{First: i.first.Load(), Read: i.read.Load(), Last: i.last.Load(), inquiry: i, offset: offset}, nil
	}
	switch cause := context.Cause(i.ctx); {
	case cause != nil && i.err != nil: // it was ended while it was made
		if errors.Is(cause, errUnasked) || errors.Is(cause, errAnswered) {
			cause = ErrGone
		}
		return nil, cause
	case i.err != nil:
		i.end(i.err)
		return nil, i.err
	}
	a := *i.rows
	return &a, a.from(offset)
}

// inquire reads what has to be read and returns the rows.
func (i *inquiry) inquire() (*Answer, error) {
	f := i.newFold()
	source := &retained{js: i.js, nc: i.config.Conn, log: i.config.Log, stream: i.config.Stream}
	position, err := i.recall(f, source)
	if err != nil {
		return nil, err
	}
	if f.unsettled() {
		if err := i.readAll(f, source); err != nil {
			return nil, err
		}
	}
	a := &Answer{
		Done: true, Place: position.Place, Unplaced: f.unplaced, inquiry: i,
		First: i.first.Load(), Read: i.last.Load(), Last: i.last.Load(),
	}
	if f.incomplete() {
		a.Incomplete, a.From = true, f.gone
	}
	if i.question.Stays {
		a.Stays = f.allStays()
	} else {
		a.On = f.on()
	}
	return a, nil
}

func (i *inquiry) newFold() *fold {
	return &fold{
		Question: &i.question,
		settings: i.config.Roster.Settings(),
		decoder:  wire.NewDecoder(i.config.Subjects),
		limit:    i.config.MaxRecords,
		machines: map[string]*machine{},
		names:    map[string]string{},
	}
}

// recall begins the fold with what the roster knows, at one position. What the
// stream has is asked for first: what leaves it after that is in the roster.
func (i *inquiry) recall(f *fold, source *retained) (roster.Position, error) {
	// The machine may be ahead of this position, never behind it.
	st := i.config.Roster.Status()
	position := st.Position
	if position.Place > 0 {
		if err := source.look(i.ctx, st); err != nil {
			return position, err
		}
		f.base, f.first = uint64(position.Base), position.PlaceOf(source.first)
		if f.first > 1 {
			f.gone = source.receipt
		}
	}
	var err error
	if i.question.Machine != "" {
		position.Place, err = i.recallMachine(f, position.Place)
	} else {
		position, err = i.recallFleet(f, position)
	}
	source.last = position.Sequence()
	i.first.Store(source.first)
	i.last.Store(source.last)
	return position, err
}

// recallMachine returns the place up to which the machine's registers tell.
func (i *inquiry) recallMachine(f *fold, place uint64) (uint64, error) {
	var known remembered
	if !i.config.Roster.Machine(i.question.Machine, func(v roster.View) { known = look(v) }) {
		return place, ErrUnknownMachine
	}
	place = max(place, known.registers.Reset.Place)
	for _, s := range known.registers.Sessions {
		place = max(place, s.Stamp.Place)
	}
	for _, c := range known.registers.Cleared {
		place = max(place, c.Stamp.Place)
	}
	return place, f.remember(known)
}

// recallFleet returns the position at which it saw all machines.
func (i *inquiry) recallFleet(f *fold, looked roster.Position) (roster.Position, error) {
	cut := i.config.Roster.Cut()
	defer cut.Close()
	position := cut.Status.Position
	if position.Base != looked.Base || position.Proof.Created != looked.Proof.Created {
		return position, fmt.Errorf("stream %s: %w", i.config.Stream, errAnother)
	}
	for v := range cut.All() {
		if err := f.remember(look(v)); err != nil {
			return position, err
		}
		if i.ctx.Err() != nil {
			return position, i.ctx.Err()
		}
	}
	return position, nil
}

// unsettled reports whether anything has to be read.
func (f *fold) unsettled() bool {
	for _, m := range f.machines {
		if !m.settled {
			return true
		}
	}
	return false
}

// incomplete reports whether the question goes back to before what the stream
// has, and the roster does not know either.
func (f *fold) incomplete() bool {
	moment := f.To
	if f.Stays {
		moment = f.From
	}
	return f.first > 1 && moment < f.gone && f.unsettled()
}

// readAll reads the lanes of the question, merged by sequence.
func (i *inquiry) readAll(f *fold, source *retained) error {
	var lanes []*lane
	for _, subject := range i.subjects() {
		l := &lane{retained: source, subject: subject, next: source.first}
		defer l.close()
		lanes = append(lanes, l)
	}
	waiting := make([][]message, len(lanes))
	for {
		lowest := -1
		for n, l := range lanes {
			if len(waiting[n]) == 0 && !l.ended {
				var err error
				if waiting[n], err = i.readSome(l); err != nil {
					return err
				}
			}
			if len(waiting[n]) > 0 && (lowest < 0 || waiting[n][0].sequence < waiting[lowest][0].sequence) {
				lowest = n
			}
		}
		if lowest < 0 {
			return nil
		}
		next := &waiting[lowest][0]
		if err := f.take(next); err != nil {
			return err
		}
		i.read.Store(next.sequence)
		*next = message{} // what was taken may be freed
		waiting[lowest] = waiting[lowest][1:]
	}
}

// subjects are those that have to be read: one consumer with several filters
// would be a hundred times slower than one with none.
func (i *inquiry) subjects() []string {
	if i.question.Machine == "" {
		return []string{""}
	}
	s := i.config.Subjects
	return append(s.AllEventsOf(i.question.Machine), s.Events())
}

// readSome reads from a lane once ingest is not behind.
func (i *inquiry) readSome(l *lane) ([]message, error) {
	const lookAgain = 50 * time.Millisecond
	for i.config.Behind() {
		if err := sleep(i.ctx, lookAgain); err != nil {
			return nil, err
		}
	}
	for {
		messages, err := l.read(i.ctx)
		if err != nil || len(messages) > 0 || l.ended {
			return messages, err
		}
	}
}
