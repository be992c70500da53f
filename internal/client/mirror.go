package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/internal/api"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// Watch says what a Mirror watches, and whom it notifies.
type Watch struct {
	Subjects rollcallv1.Subjects
	// Machines selects the machines to watch, as in [api.Filter].
	Machines string
	// Changed receives each change, and at first the initial state. Its error ends
	// Run, which returns it as a [ChangedError].
	Changed func(*Difference) error
	// Tell receives what a user should know: that the connection is lost, or is
	// back.
	Tell func(text string)
	// Incomplete receives each reason why the state is not complete, once.
	Incomplete func(reason string)
	// Refused returns the error to report if the given one is a refused login; else
	// nil.
	Refused func(error) error
	// Fail receives the error after which no more messages will arrive.
	Fail context.CancelCauseFunc
}

// Mirror keeps the state of the watched machines up to date, in the way that the
// contract describes at Change. One goroutine runs it; what happens to the
// connection arrives through channels.
type Mirror struct {
	Watch
	conn *nats.Conn

	messages   chan *nats.Msg
	away, back chan struct{} // the connection is lost; is back, or messages were dropped
	refused    chan error    // why a login was refused when reconnecting

	state       map[string]known
	place       uint64    // up to which all of the state is known
	asked       time.Time // when the state was last requested
	queued      int       // messages already queued when the state came
	reasons     []string  // why the state is not complete, as reported
	trouble     bool      // a problem was reported that isn't over
	lastRefusal string    // the login is refused, as last reported
}

// known is who is logged in on a machine, up to a place.
type known struct {
	users []string
	place uint64
	when  time.Time
}

// Difference is what changed on one machine, and who is logged in since.
type Difference struct {
	When    time.Time `json:"when"`
	Machine string    `json:"machine"`
	Place   uint64    `json:"place"`
	Came    []string  `json:"came"`
	Left    []string  `json:"left"`
	Users   []string  `json:"users"`

	// First marks the initial state.
	First bool `json:"-"`
}

const (
	// waiting bounds the messages queued while the state is requested.
	waiting = 1 << 14
	// askPause is the least time between two requests for the state.
	askPause = time.Second
	// longQuiet is how long the service, which sends a beat every ten seconds, may
	// be silent before that is reported.
	longQuiet = 35 * time.Second
)

// NewMirror returns a mirror for one connection, which must have its Options.
func NewMirror(w Watch) *Mirror {
	return &Mirror{
		Watch: w, messages: make(chan *nats.Msg, waiting),
		away: make(chan struct{}, 1), back: make(chan struct{}, 1),
		refused: make(chan error, 1),
	}
}

// Options returns the options that the connection must have.
func (w *Mirror) Options() []nats.Option {
	signal := func(c chan struct{}) {
		select {
		case c <- struct{}{}:
		default:
		}
	}
	return []nats.Option{
		nats.DisconnectErrHandler(func(*nats.Conn, error) { signal(w.away) }),
		//guard:drop "watch asks again after a reconnect" ./cmd/rollcall:TestWatchMissed/reconnect
		nats.ReconnectHandler(func(*nats.Conn) { signal(w.back) }),
		nats.ClosedHandler(func(nc *nats.Conn) {
			w.Fail(fmt.Errorf("the connection to NATS is closed: %w", cmp.Or(nc.LastError(), nats.ErrConnectionClosed)))
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			switch {
			case errors.Is(err, nats.ErrSlowConsumer):
				signal(w.back)
			case errors.Is(err, nats.ErrPermissionViolation):
				w.Fail(fmt.Errorf("%w; use credentials that may subscribe to %s and %s, and ask on %s",
					err, w.Subjects.Changes(), w.Subjects.AllChanges(), w.Subjects.Query("report")))
			default:
				if refusal := w.Refused(err); refusal != nil {
					select {
					case w.refused <- refusal:
					default:
					}
				}
			}
		}),
	}
}

// Run watches until the context is done. It returns an error if the first request
// for the state fails; later requests are retried until there is an answer.
func (w *Mirror) Run(ctx context.Context, conn *nats.Conn) error {
	w.conn = conn
	if err := w.subscribe(ctx); err != nil {
		return err
	}
	if err := w.ask(ctx); err != nil {
		return err
	}
	quiet := time.NewTimer(longQuiet)
	defer quiet.Stop()
	for {
		var again bool
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-w.away:
			w.reportProblem("the connection to NATS is lost; waiting for it")
		case refusal := <-w.refused:
			w.reportRefused(refusal)
		case <-w.back:
			again = true
		case <-quiet.C:
			w.reportProblem(fmt.Sprintf("the service has said nothing for %v; waiting for it", longQuiet))
		case m := <-w.messages:
			if m.Subject == w.Subjects.Changes() {
				quiet.Reset(longQuiet)
				w.reportRecovered()
			}
			again, err = w.handle(m)
		}
		if again {
			err = w.askAgain(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// subscribe returns once the server knows the subscriptions, so that every change
// after the request for the state arrives.
func (w *Mirror) subscribe(ctx context.Context) error {
	for _, subject := range []string{w.Subjects.Changes(), w.Subjects.AllChanges()} {
		if _, err := w.conn.ChanSubscribe(subject, w.messages); err != nil {
			return fmt.Errorf("subscribing to %s: %w", subject, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := w.conn.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("subscribing to changes: %w", err)
	}
	return nil
}

// handle processes a message, and reports whether the state must be requested again.
func (w *Mirror) handle(m *nats.Msg) (again bool, err error) {
	old := w.queued > 0
	if old {
		w.queued--
	}
	if m.Subject == w.Subjects.Changes() {
		beat, err := api.DecodeBeat(m.Data)
		return err == nil && (beat.Since > w.place || !old && beat.Place < w.place), nil
	}
	c, err := api.DecodeChange(m.Data)
	if err != nil {
		return true, nil
	}
	if !api.Matches(w.Machines, c.Machine) {
		return false, nil
	}
	switch at := max(w.place, w.state[c.Machine].place); {
	//guard:false "watch prints nothing older than the state" ./cmd/rollcall:TestWatch$
	case c.Place <= at:
		return false, nil
	//guard:drop c.Previous "watch asks again when it missed a change" ./cmd/rollcall:TestWatchMissed/change
	case c.Previous > at, c.Large:
		return true, nil
	}
	return false, w.set(c.Machine, known{c.Users, c.Place, c.When}, false)
}

// askAgain requests the state until there is an answer or the context is done.
func (w *Mirror) askAgain(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case refusal := <-w.refused:
			w.reportRefused(refusal)
			continue
		case <-time.After(time.Until(w.asked.Add(askPause))):
		}
		err := w.ask(ctx)
		var failed ChangedError
		switch {
		case err == nil:
			w.reportRecovered()
			return nil
		case errors.As(err, &failed):
			return err
		case ctx.Err() == nil:
			w.reportProblem(fmt.Sprintf("%v; asking until there is an answer", err))
		}
	}
}

// reportProblem reports a problem, unless an earlier one was reported and isn't over.
func (w *Mirror) reportProblem(text string) {
	if !w.trouble {
		w.trouble = true
		w.Tell(text)
	}
}

// reportRefused reports why the login is refused, once for each reason, even if the loss
// of the connection was already reported: that alone would leave the user waiting
// for good.
func (w *Mirror) reportRefused(refusal error) {
	w.trouble = true
	if why := refusal.Error(); why != w.lastRefusal {
		w.lastRefusal = why
		w.Tell(why + "; trying again")
	}
}

// reportRecovered reports that the problem is over, if there was one.
func (w *Mirror) reportRecovered() {
	if w.trouble {
		w.trouble, w.lastRefusal = false, ""
		w.Tell("the service is heard again")
	}
}

// ask requests the state, and reports what is different from the one before.
func (w *Mirror) ask(ctx context.Context) error {
	// The answer covers any reconnect up to now.
	select {
	case <-w.back:
	default:
	}
	w.asked = time.Now()
	state, place := make(map[string]known), uint64(0)
	request := api.ReportRequest{Filter: api.Filter{Machines: w.Machines}}
	for data, err := range Pages(ctx, w.conn, w.Subjects.Query("report"), request) {
		if err != nil {
			return err
		}
		page, err := api.DecodeReport(data)
		if err != nil {
			return err
		}
		if place == 0 {
			place = page.Place
		}
		w.reportIncomplete(page.Reasons)
		for _, m := range page.Machines {
			users := append(state[m.Name].users, m.Users...)
			state[m.Name] = known{users, page.Place, page.When}
		}
	}
	first := w.state == nil
	if first {
		w.state = make(map[string]known)
	}
	w.place, w.queued = place, len(w.messages)
	return w.replace(state, first)
}

// reportIncomplete reports why the state is not complete, once for each reason.
func (w *Mirror) reportIncomplete(reasons []string) {
	for _, reason := range reasons {
		if !slices.Contains(w.reasons, reason) {
			w.reasons = append(w.reasons, reason)
			w.Incomplete(reason)
		}
	}
}

// replace replaces the state, and reports what is different.
func (w *Mirror) replace(state map[string]known, first bool) error {
	now := time.Now()
	for machine, k := range w.state {
		if _, ok := state[machine]; !ok && len(k.users) > 0 {
			state[machine] = known{place: w.place, when: now}
		}
	}
	for _, machine := range slices.Sorted(maps.Keys(state)) {
		if err := w.set(machine, state[machine], first); err != nil {
			return err
		}
	}
	maps.DeleteFunc(w.state, func(machine string, _ known) bool { _, ok := state[machine]; return !ok })
	return nil
}

// ChangedError wraps the error of [Watch].Changed.
type ChangedError struct{ error }

// Unwrap returns the error of Changed.
func (e ChangedError) Unwrap() error { return e.error }

// set sets the state of a machine, and reports what is different.
func (w *Mirror) set(machine string, k known, first bool) error {
	before := w.state[machine].users
	w.state[machine] = k
	d := Difference{
		When: k.when, Machine: machine, Place: k.place,
		Came: without(k.users, before), Left: without(before, k.users), Users: k.users, First: first,
	}
	if len(d.Came) == 0 && len(d.Left) == 0 {
		return nil
	}
	if err := w.Changed(&d); err != nil {
		return ChangedError{fmt.Errorf("printing: %w", err)}
	}
	return nil
}

// without returns the names of a that are not in b. Both are in byte order.
func without(a, b []string) (rest []string) {
	for _, name := range a {
		if _, found := slices.BinarySearch(b, name); !found {
			rest = append(rest, name)
		}
	}
	return rest
}
