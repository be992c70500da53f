package web

import (
	"context"
	"slices"
	"sync"
	"time"

	"rollcall/internal/client"
)

// letters are the dead letters, counted by machine and reason, as far as they were read.
type letters struct {
	mu    sync.Mutex
	after uint64 // the sequence of the last that was read
	kinds map[[2]string]*refused
}

// refused is the dead letters of a machine for a reason.
type refused struct {
	Machine, Reason, Detail string
	Count                   int
	Last                    time.Time
	URL                     string
}

const (
	maxRefused  = 5000
	lettersTime = 700 * time.Millisecond
)

// read reads on, for a while, and returns all, those refused last first.
func (l *letters) read(ctx context.Context, p *Page) (all []refused, partial bool, err error) {
	link := p.link.Load()
	if link == nil {
		return nil, false, errNotConnected
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kinds == nil {
		l.kinds = map[[2]string]*refused{}
	}
	reading, cancel := context.WithTimeout(ctx, lettersTime)
	defer cancel()
	first, last, err := client.DeadLetterRange(reading, link.conn, p.Subjects, p.DeadLetters)
	//guard:false "refused events that were purged are not shown" TestLettersGone
	if err == nil && (first > l.after || last < l.after) {
		l.after, l.kinds = 0, map[[2]string]*refused{} // all that were read are gone
	}
	if err == nil {
		l.after, err = client.DeadLetters(reading, link.conn, p.Subjects, p.DeadLetters, l.after, l.add)
	}
	if reading.Err() != nil && ctx.Err() == nil {
		partial, err = true, nil
	}
	for _, k := range l.kinds {
		all = append(all, *k)
	}
	slices.SortFunc(all, func(a, b refused) int { return b.Last.Compare(a.Last) })
	return all, partial, err
}

// add counts a letter.
func (l *letters) add(d client.DeadLetter) {
	key := [2]string{d.Machine, d.Reason}
	k := l.kinds[key]
	if k == nil {
		if len(l.kinds) >= maxRefused {
			return
		}
		k = &refused{Machine: d.Machine, Reason: d.Reason}
		l.kinds[key] = k
	}
	k.Count++
	k.Detail = d.Detail
	if at, err := time.Parse(time.RFC3339Nano, d.Receipt); err == nil && at.After(k.Last) {
		k.Last = at
	}
}
