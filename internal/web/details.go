package web

import (
	"context"
	"slices"
	"sync"
	"time"

	"rollcall/internal/api"
)

// details are what the rows in view show beyond the roster: the last 24 hours, and who
// came last. They are asked for, kept for a while, and brought up to date with what the
// roster says meanwhile, so that a busy view does not ask the history again and again. An
// old one is shown while it is asked for again, so that a change is shown at once.
type details struct {
	mu    sync.Mutex
	kept  map[string]*detail
	steps int // the sizes of all that are kept
	// reading has those that are being asked for, each until its channel is closed.
	reading map[string]chan struct{}
	old     chan oldRows
}

// oldRows are rows whose details are asked for again.
type oldRows struct {
	location
	rows []row
	done chan struct{}
}

// detail is what is known of one machine or one user.
type detail struct {
	read time.Time // when it was asked for
	rev  uint64    // of the row that it was brought up to date with
	n    int       // of that row
	day  dayline
	// since is since when those who are on are on, by their names.
	since map[string]time.Time
	// ok says that an answer has come. If the last one has not, or was too long, it is not
	// asked for before again.
	ok    bool
	again time.Time
	fails int
}

// current reports whether a detail need not be asked for again, for a row of a revision.
func (k *detail) current(rev uint64, now time.Time) bool {
	age := now.Sub(k.read)
	return now.Before(k.again) || k.ok && (age <= detailAge || rev == k.rev && age <= quietAge)
}

const (
	// detailAge is how long a detail is used before it is asked for again, if its row
	// has changed; quietAge, if it has not, or if there are too many sessions.
	detailAge = time.Minute
	quietAge  = 10 * time.Minute
	// retryPause is how long one that did not come is not asked for again; it doubles, up
	// to detailAge.
	retryPause = time.Second
	// maxDetails bounds the details that are kept, and maxSteps their sizes, maxStays the sessions that are read
	// for the rows of one view, maxOld the views whose old details wait.
	maxDetails = 4000
	maxSteps   = 500_000
	maxStays   = 20_000
	maxOld     = 100
	// askers is how many questions about users are asked at a time.
	askers = 4
)

// row is what a detail needs to know of a row.
type row struct {
	name    string
	rev     uint64
	n       int       // users on a machine, or machines of a user
	changed time.Time // when n changed last, as far as known
}

// of returns the details of rows, for machines or users. Those that do not arrive in time
// are missing.
func (d *details) of(ctx context.Context, p *Page, l *location, rows []row) map[string]*detail {
	now := time.Now() // for the ages
	found := make(map[string]*detail, len(rows))
	done := make(chan struct{})
	old := oldRows{*l, nil, make(chan struct{})}
	var missing, others []row
	var read []chan struct{} // by others
	d.mu.Lock()
	for _, r := range rows {
		key := d.key(l, r.name)
		k, reading := d.kept[key], d.reading[key]
		switch {
		case k != nil && (k.ok || k.current(r.rev, now)):
			if reading == nil && !k.current(r.rev, now) {
				old.rows = append(old.rows, r)
				d.reading[key] = old.done
			}
			if r.rev != k.rev && !l.past() {
				k = k.extended(&r, p.now())
				d.keep(key, k)
			}
			found[r.name] = k
		case reading != nil:
			others, read = append(others, r), append(read, reading)
		default:
			missing = append(missing, r)
			d.reading[key] = done
		}
	}
	d.mu.Unlock()
	if len(old.rows) > 0 {
		select {
		case d.old <- old:
		default: // too many wait already: later
			d.end(l, old.rows, old.done)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, p.detailTime)
	defer cancel()
	if len(missing) > 0 {
		d.read(ctx, p, l, missing)
		d.end(l, missing, done)
	}
	for _, one := range read {
		select {
		case <-one:
		case <-ctx.Done():
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range append(missing, others...) {
		if k := d.kept[d.key(l, r.name)]; k != nil {
			found[r.name] = k
		}
	}
	return found
}

// end notes that rows are not being read any more.
func (d *details) end(l *location, rows []row, done chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range rows {
		delete(d.reading, d.key(l, r.name))
	}
	close(done)
}

// read asks for the details of rows, and keeps them.
func (d *details) read(ctx context.Context, p *Page, l *location, rows []row) {
	ask := p.readMachines
	if l.page == "/users" {
		ask = p.readUsers
	}
	read := ask(ctx, l, rows)
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, one := range read {
		key := d.key(l, name)
		if before := d.kept[key]; before != nil && !one.ok {
			one.failed(before, p.retryPause)
		}
		d.keep(key, one)
	}
}

// keep keeps a detail, and forgets others if there are too many. The lock is held.
func (d *details) keep(key string, one *detail) {
	d.drop(key)
	for other := range d.kept {
		//guard:drop maxSteps "busy machines at many moments do not fill the memory" TestManySteps
		if len(d.kept) < maxDetails && d.steps+one.size() <= maxSteps {
			break
		}
		d.drop(other)
	}
	d.kept[key] = one
	d.steps += one.size()
}

// drop forgets a detail, if there is one. The lock is held.
func (d *details) drop(key string) {
	if k := d.kept[key]; k != nil {
		d.steps -= k.size()
		delete(d.kept, key)
	}
}

// size is how many steps and names a detail has.
func (k *detail) size() int { return len(k.day.steps) + len(k.since) }

// failed takes over what was known before an answer did not come.
func (k *detail) failed(before *detail, pause time.Duration) {
	if before.ok {
		k.ok, k.rev, k.n, k.day, k.since = true, before.rev, before.n, before.day, before.since
		return
	}
	k.fails = before.fails + 1
	if again := k.read.Add(min(detailAge, pause<<min(k.fails, 10))); again.After(k.again) {
		k.again = again
	}
}

// refresh asks for old details again, until the context is done.
func (d *details) refresh(ctx context.Context, p *Page) {
	for {
		select {
		case <-ctx.Done():
			return
		case old := <-d.old:
			asking, cancel := context.WithTimeout(ctx, answerTime)
			d.read(asking, p, &old.location, old.rows)
			cancel()
			d.end(&old.location, old.rows, old.done)
		}
	}
}

func (d *details) key(l *location, name string) string {
	return l.page + "\x00" + name + "\x00" + l.moment().At
}

// extended returns a detail brought up to date with its row.
func (k *detail) extended(r *row, now time.Time) *detail {
	next := *k
	next.rev, next.n = r.rev, r.n
	at := r.changed
	if at.IsZero() || at.After(now) {
		at = now
	}
	next.day = k.day.extended(at, now, r.n)
	return &next
}

// readMachines asks for the sessions of machines.
func (p *Page) readMachines(ctx context.Context, l *location, rows []row) map[string]*detail {
	to := l.end(p.now())
	names := make([]string, len(rows))
	for i, r := range rows {
		names[i] = r.name
	}
	stays := map[string][]api.PastStay{}
	again := p.readStays(ctx, api.HistoryRequest{Names: names}, to, func(s *api.PastStay) {
		stays[s.Machine] = append(stays[s.Machine], *s)
	})
	read := make(map[string]*detail, len(rows))
	for _, r := range rows {
		read[r.name] = newDetail(&r, stays[r.name], func(s *api.PastStay) string { return s.User }, to, again)
	}
	return read
}

// readUsers asks for the sessions of users, a few at a time.
func (p *Page) readUsers(ctx context.Context, l *location, rows []row) map[string]*detail {
	to := l.end(p.now())
	var mu sync.Mutex
	read := make(map[string]*detail, len(rows))
	var wait sync.WaitGroup
	turns := make(chan row, len(rows))
	for _, r := range rows {
		turns <- r
	}
	close(turns)
	for range askers {
		wait.Go(func() {
			for r := range turns {
				var stays []api.PastStay
				again := p.readStays(ctx, api.HistoryRequest{User: r.name}, to, func(s *api.PastStay) { stays = append(stays, *s) })
				one := newDetail(&r, stays, func(s *api.PastStay) string { return s.Machine }, to, again)
				mu.Lock()
				read[r.name] = one
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return read
}

// readStays reads the sessions of the 24 hours before a moment. If not all have come in
// time, or there are too many, it returns when to ask again.
func (p *Page) readStays(ctx context.Context, request api.HistoryRequest, to time.Time, add func(*api.PastStay)) (again time.Time) {
	request.From, request.To = to.Add(-day).UTC().Format(time.RFC3339Nano), to.UTC().Format(time.RFC3339Nano)
	n := 0
	for a, err := range pages[api.HistoryAnswer](ctx, p, "history", request) {
		if err != nil {
			return time.Now().Add(p.retryPause)
		}
		for i := range a.Sessions {
			add(&a.Sessions[i])
		}
		if n += len(a.Sessions); n > p.maxStays {
			//guard:set quietAge 0 "the sessions of a busy row are not read again and again" TestTooManyStays
			return time.Now().Add(quietAge)
		}
	}
	return time.Time{}
}

// newDetail returns what the stays say of a row.
func newDetail(r *row, stays []api.PastStay, name func(*api.PastStay) string, to, again time.Time) *detail {
	k := &detail{read: time.Now(), rev: r.rev, n: r.n, ok: again.IsZero(), again: again, since: map[string]time.Time{}}
	k.day = countOver(stays, name, to.Add(-day), to)
	for i := range stays {
		s := &stays[i]
		if open := s.Ended.IsZero() || s.Ended.After(to); open && s.Since.After(k.since[name(s)]) {
			k.since[name(s)] = s.Since
		}
	}
	return k
}

// byArrival returns names in the order of who came last. Those of whom that is not known
// came, as far as known, just now.
func (k *detail) byArrival(names []string) []string {
	sorted := slices.Clone(names)
	if k == nil || !k.ok {
		return sorted
	}
	slices.SortStableFunc(sorted, func(a, b string) int {
		sinceA, knownA := k.since[a]
		sinceB, knownB := k.since[b]
		if knownA != knownB {
			if knownA {
				return 1
			}
			return -1
		}
		return sinceB.Compare(sinceA)
	})
	return sorted
}
