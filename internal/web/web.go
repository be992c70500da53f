// Package web is the page: who is logged in where, to look at, now and at any past
// moment. It only asks over NATS, like the commands.
//
// A Page keeps one mirror of the roster, a [fleet.Fleet], from reports and changes;
// everything else it asks when a page is requested. Each page is whole HTML, rendered by
// the templates in this folder, and its URL is all of its state ([location]). A script
// opens a stream of what is newer than the page that was rendered (live.go, patches.go): the same
// templates, block by block and row by row.
package web

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/internal/api"
	"rollcall/internal/client"
	"rollcall/internal/web/access"
	"rollcall/internal/web/fleet"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// Config is what a Page needs.
type Config struct {
	// Connect connects to NATS with these options beside its own. The context that it
	// returns is for requests on the connection: it ends with a denied permission.
	Connect func(ctx context.Context, more ...nats.Option) (context.Context, *nats.Conn, error)
	// Refused returns the error to report if the given one, of a connection, is a refused
	// login; else nil.
	Refused  func(error) error
	Subjects rollcallv1.Subjects
	// DeadLetters is the stream of refused events.
	DeadLetters client.LettersStream
	// ServiceAccounts are patterns for users who are expected on many machines.
	ServiceAccounts []string
	// Several is on how many machines at once a person must be to be marked; 0: 5.
	Several int
	// Expected returns the machines that there should be, in byte order; nil: not known.
	Expected func() []string
	// Streams bounds the streams of events.
	Streams *access.Streams
	Version string
	Log     *slog.Logger
}

// Page shows the roster and its past.
type Page struct {
	Config
	boot    string // a new one for each process, as revisions begin anew
	now     func() time.Time
	fleet   *fleet.Fleet
	known   atomic.Bool // the roster has been read once
	link    atomic.Pointer[link]
	trouble atomic.Pointer[string]           // why the page does not follow the roster; nil: it does
	silence atomic.Pointer[string]           // why the service does not answer; nil: it does
	status  atomic.Pointer[api.StatusAnswer] // nil: not known

	// detailTime is how long a page waits for what it can do without, statusPause how often
	// it asks for the service's status.
	detailTime, statusPause time.Duration
	// These have the values of the constants of the same names, except in tests.
	maxStays   int
	retryPause time.Duration

	details details
	heards  heards
	moments moments
	// histories are turns to make a page of one machine or user.
	histories turns
	curves    curves
	remotes   remotes
	longest   longests
	letters   letters
}

// link is a connection, and the context for its requests.
type link struct {
	ctx  context.Context
	conn *nats.Conn
}

// New returns a page.
func New(c Config) *Page {
	if c.Several == 0 {
		c.Several = 5
	}
	p := &Page{Config: c, boot: rand.Text()[:10], now: time.Now, detailTime: detailTime, statusPause: statusPause, maxStays: maxStays, retryPause: retryPause, fleet: fleet.New()}
	p.moments.turns = make(turns, momentAskers)
	//guard:set historyReaders 1000 "histories are read a few at a time" TestManyHistories
	p.histories = make(turns, historyReaders)
	p.heards.wanted = make(chan *hearing, 1)
	p.details = details{kept: map[string]*detail{}, reading: map[string]chan struct{}{}, old: make(chan oldRows, maxOld)}
	p.setTrouble("the page has not reached NATS yet")
	return p
}

const (
	// firstPause is how long to wait before connecting again; it doubles up to maxPause.
	firstPause = 100 * time.Millisecond
	maxPause   = 3 * time.Second
	// statusPause is how often the service's status is asked for.
	statusPause = 5 * time.Second
	// refreshPause is the least time between two reports that are asked for because the
	// roster lacks something else.
	refreshPause = 30 * time.Second
)

// Run keeps what the page shows up to date until the context is done. It connects, and
// tries again until it can.
func (p *Page) Run(ctx context.Context) error {
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		start := time.Now()
		err := p.follow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(start) > maxPause {
			pause = firstPause
		}
		// A service that starts is not ready at once.
		if p.setTrouble(err.Error()); pause == maxPause {
			p.Log.Warn("the page is not live", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// follow connects, and follows the roster until that fails.
func (p *Page) follow(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	seen := map[string]bool{} // in the first report
	mirror := client.NewMirror(client.Watch{
		Subjects: p.Subjects, Retry: true, Refused: p.Refused, Fail: fail,
		Machine: func(u *client.Update) error {
			p.change(u)
			if u.First {
				seen[u.Name] = true
			}
			return nil
		},
		Head: func(api.Head) {
			p.prune(seen)
			seen = nil
			p.known.Store(true)
		},
		Receiving: func(_ bool, why string) { p.setTrouble(why) },
	})
	asking, conn, err := p.Connect(ctx, mirror.Options()...)
	if err != nil {
		return err
	}
	defer conn.Close()
	p.link.Store(&link{asking, conn})
	defer p.link.Store(nil)
	var asides sync.WaitGroup
	defer asides.Wait()
	defer fail(nil)
	asides.Go(func() { p.followStatus(ctx, mirror) })
	asides.Go(func() { p.details.refresh(ctx, p) })
	asides.Go(func() { p.heards.follow(ctx, p) })
	if err := mirror.Run(asking, conn); err != nil {
		return err
	}
	return cmp.Or(context.Cause(asking), errors.New("the connection to NATS ended"))
}

// change puts what the mirror says of a machine into the fleet.
func (p *Page) change(u *client.Update) {
	switch {
	case u.Gone:
		p.fleet.Remove(u.Name)
	case u.First:
		p.fleet.Set(u.Machine)
	default:
		p.fleet.Change(u.Machine, u.Came, u.Left, u.When)
	}
}

// prune removes the machines of an earlier mirror that a first report no longer shows; nil:
// it was not the first.
func (p *Page) prune(seen map[string]bool) {
	if seen == nil {
		return
	}
	all := p.fleet.Machines(&fleet.Selection{})
	for _, m := range all.Rows(0, all.Len) {
		if !seen[m.Name] {
			p.fleet.Remove(m.Name)
		}
	}
}

// followStatus asks for the status again and again. Changes do not tell which machines are
// incomplete: when that may be others, the mirror asks for the report again.
func (p *Page) followStatus(ctx context.Context, mirror *client.Mirror) {
	var refreshed time.Time
	for {
		p.moments.forget()
		p.remotes.forget()
		asking, cancel := context.WithTimeout(ctx, answerTime)
		status, err := one[api.StatusAnswer](asking, p, "status", api.StatusRequest{})
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			p.setSilence(err.Error())
		default:
			p.setSilence("")
			before := p.status.Swap(&status)
			if before == nil || before.Sessions != status.Sessions {
				p.fleet.Touch()
			}
			if before != nil && !sameLoss(&before.Head, &status.Head) && time.Since(refreshed) > refreshPause {
				refreshed = time.Now()
				mirror.Refresh()
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(p.statusPause):
		}
	}
}

// sameLoss reports whether two answers lack the same.
func sameLoss(a, b *api.Head) bool {
	return a.Complete == b.Complete && a.Unsettled == b.Unsettled && slices.Equal(a.Reasons, b.Reasons)
}

// head returns what the roster lacks; nil: not known.
func (p *Page) head() *api.Head {
	if s := p.status.Load(); s != nil {
		return &s.Head
	}
	return nil
}

// setTrouble says why what is shown does not follow the roster; empty: it does.
func (p *Page) setTrouble(why string) { p.say(&p.trouble, why) }

// setSilence says why the service does not answer; empty: it does.
func (p *Page) setSilence(why string) { p.say(&p.silence, why) }

// say stores a reason for not being live, and lets the views know if it is another one.
func (p *Page) say(where *atomic.Pointer[string], why string) {
	var next *string
	if why != "" {
		next = &why
	}
	before := where.Swap(next)
	if (before == nil) != (next == nil) || before != nil && *before != why {
		p.fleet.Touch()
	}
}

// notLive returns why the page is not live; empty: it is.
func (p *Page) notLive() string {
	for _, why := range []*string{p.trouble.Load(), p.silence.Load()} {
		if why != nil {
			return *why
		}
	}
	return ""
}

// isService reports whether a user is a service account.
func (p *Page) isService(user string) bool {
	for _, pattern := range p.ServiceAccounts {
		if api.Matches(pattern, user) {
			return true
		}
	}
	return false
}
