// Package agent tells rollcall who is logged in on the machine that it runs on.
//
// The journal of systemd tells that something happened, and in which order; logind, which
// sessions there are (sessions.go). What they tell becomes events with dates that strictly
// rise (clock.go) and numbers, which are written to a spool on disk before anything else
// happens (package spool), and published from there (publish.go). So whatever ends, this
// program, the server or the machine, every event arrives, once; and where one cannot, its
// number is missing.
package agent

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"rollcall/internal/agent/journal"
	"rollcall/internal/agent/logind"
	"rollcall/internal/agent/spool"
	"rollcall/internal/roster"
	"rollcall/internal/wire"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// Config is what an Agent needs.
type Config struct {
	// Machine is the machine's name.
	Machine string
	// Every is how often the agent lists who is on.
	Every time.Duration
	// Since is from where the first start reads the journal.
	Since    Since
	Subjects rollcallv1.Subjects
	// Dir is the agent's folder, in which Spool is.
	Dir   string
	Spool *spool.Spool
	Log   *slog.Logger
}

// Since is from where the first start reads the journal.
type Since string

// Boot: from the present boot. Now: not at all, on a machine that had another publisher
// before. All: from its beginning, on a machine that rollcall has never heard of.
const (
	SinceBoot Since = "boot"
	SinceNow  Since = "now"
	SinceAll  Since = "all"
)

// state is what is kept with each event.
type state struct {
	// Cursor is that of the last record of the journal that was looked at, and Boot the
	// boot that was told last.
	Cursor string `json:"cursor"`
	Boot   string `json:"boot"`
	// Date is the newest date given.
	Date roster.Time `json:"date"`
	// Booted is the date of that boot, and Before, the newest one given before it.
	Booted roster.Time `json:"booted"`
	Before roster.Time `json:"before"`
}

// Agent makes events of what happens on a machine.
type Agent struct {
	Config
	state
	clock    clock
	told     *told
	tells    chan tell
	conn     atomic.Pointer[nats.Conn]
	reading  atomic.Bool            // the sources are read
	problem  atomic.Pointer[string] // nil: none
	dates    dates
	sessions sessions
	logins   *logind.Conn
	decoder  *wire.Decoder
	kernelID string         // of the boot
	bootID   string         // as the journal has it
	pending  []spool.Record // made, and not written yet
}

// journalMatches select the records of logind that tell of sessions, and those of the
// journal that tell that it left some out. They are fields that only the journal itself can
// set.
var journalMatches = []string{
	"_UID=0", "_SYSTEMD_UNIT=systemd-logind.service", "+",
	"_TRANSPORT=driver", "MESSAGE_ID=" + messagesSuppressed,
}

// New returns an agent that goes on where the spool ends.
func New(c Config) (*Agent, error) {
	a := &Agent{Config: c, clock: systemClock{}, decoder: wire.NewDecoder(c.Subjects), tells: make(chan tell)}
	if text := c.Spool.State(); len(text) > 0 {
		if err := json.Unmarshal(text, &a.state); err != nil {
			return nil, fmt.Errorf("reading the state in the spool: %w", err)
		}
	}
	a.dates.last = a.Date
	var err error
	if a.told, err = loadTold(c.Dir); err != nil {
		return nil, err
	}
	a.kernelID, err = bootID()
	return a, err
}

// Run makes events until the context is done.
func (a *Agent) Run(ctx context.Context) error {
	for {
		err := a.live(ctx)
		if ctx.Err() != nil {
			return a.end()
		}
		a.Log.Warn("sources lost: beginning again", "err", err)
		problem := "the sources are lost: " + err.Error()
		a.problem.Store(&problem)
		if !pause(ctx, time.Second) {
			return a.end()
		}
	}
}

// live catches up with the journal, lists who is on, and goes on until a source is lost.
func (a *Agent) live(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := a.dial(ctx); err != nil {
		return err
	}
	defer a.logins.Close()
	var err error
	if a.bootID, err = journal.Boot(ctx, a.kernelID); err != nil {
		return err
	}
	a.sessions.boot = a.bootID
	if err := a.catchUp(ctx); err != nil {
		return err
	}
	if err := a.present(ctx); err != nil {
		return err
	}
	a.reading.Store(true)
	a.problem.Store(nil)
	defer a.reading.Store(false)
	return a.follow(ctx)
}

func (a *Agent) dial(ctx context.Context) (err error) {
	a.logins, err = logind.Dial(ctx)
	a.sessions.machine = asked{a.logins}
	return err
}

// endWithin is how long the end of the machine waits for its event to be stored.
const endWithin = 5 * time.Second

// end tells that the machine shuts down, if that is why the agent ends, and waits until
// it is stored.
func (a *Agent) end() error {
	ctx, cancel := context.WithTimeout(context.Background(), endWithin)
	defer cancel()
	if err := a.flush(ctx); err != nil {
		return err
	}
	if err := a.dial(ctx); err != nil {
		return nil //nolint:nilerr // without D-Bus nobody can tell why the agent ends
	}
	defer a.logins.Close()
	if !a.logins.ShuttingDown(ctx) {
		return nil
	}
	a.Log.Info("the machine shuts down")
	if err := a.shutdown(ctx); err != nil {
		return err
	}
	for a.Spool.Stats().Waiting > 0 && pause(ctx, 10*time.Millisecond) {
	}
	return nil
}

// follow makes events of what happens from now on.
func (a *Agent) follow(ctx context.Context) error {
	records, restarts, lost := make(chan journal.Record, 256), make(chan struct{}), make(chan error, 2)
	query := journal.Query{After: a.Cursor, Boot: a.bootID, Matches: journalMatches, Follow: true}
	go func() {
		lost <- journal.Read(ctx, query, func(r journal.Record) error { return send(ctx, records, r) })
	}()
	go func() {
		for {
			err := a.logins.Restarted(ctx)
			if err == nil {
				err = send(ctx, restarts, struct{}{})
			}
			if err != nil {
				lost <- err
				return
			}
		}
	}()
	list := time.NewTimer(jittered(a.Every))
	defer list.Stop()
	steps := a.clock.steps(ctx)
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err = <-lost:
		case r := <-records:
			err = a.records(ctx, r, records)
		case <-restarts:
			err = a.present(ctx)
		case t := <-a.tells:
			err = a.tell(ctx, t)
		case <-steps:
			err = a.stepped(ctx)
		case <-list.C:
			list.Reset(jittered(a.Every))
			err = a.present(ctx)
		}
		if err != nil {
			return err
		}
	}
}

func send[T any](ctx context.Context, to chan<- T, v T) error {
	select {
	case to <- v:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// jittered returns a duration up to a tenth longer or shorter.
func jittered(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1)
}

// pause waits, and reports whether the context is not done.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
