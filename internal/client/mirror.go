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

// Watch is what a Mirror watches, and whom it tells.
type Watch struct {
	Subjects rollcallv1.Subjects
	// Machines are those watched, as in [api.Filter].
	Machines string
	// Changed gets what has changed, and at first what there is. An error ends the
	// watching: it is a [ChangedError].
	Changed func(*Difference) error
	// Tell gets what a user should know: that the connection is lost, that it is back.
	Tell func(text string)
	// Incomplete gets each reason for which the state is not complete, once.
	Incomplete func(reason string)
	// Refused says whose login it is, of an error that refuses one; else nil.
	Refused func(error) error
	// Fail gets the error after which nothing more will be heard.
	Fail context.CancelCauseFunc
}

// Mirror keeps the state of the machines that are watched as it changes, in
// the way that the contract describes at Change. It is the work of one
// goroutine; what happens to the connection comes through channels.
type Mirror struct {
	Watch
	conn *nats.Conn

	messages   chan *nats.Msg
	away, back chan struct{} // the connection; back also after messages were dropped
	refused    chan error    // the login, by a server that was lost and is there again

	state   map[string]known
	place   uint64    // up to which all of the state is known
	asked   time.Time // when it was asked for last
	old     int       // messages that waited when the state came
	reasons []string  // why the state is not complete, as was told
	trouble bool      // the user was told of one that isn't over
	why     string    // the login is refused, as the user was told
}

// known is what is known of a machine: who is on, up to a place.
type known struct {
	users []string
	place uint64
	when  time.Time
}

// Difference is what changed on one machine, and who is on since.
type Difference struct {
	When    time.Time `json:"when"`
	Machine string    `json:"machine"`
	Place   uint64    `json:"place"`
	Came    []string  `json:"came"`
	Left    []string  `json:"left"`
	Users   []string  `json:"users"`

	// First says that it is what there was at the beginning.
	First bool `json:"-"`
}

const (
	// waiting is how many messages may wait while the state is asked for.
	waiting = 1 << 14
	// askPause is the least time from one asking to the next.
	askPause = time.Second
	// longQuiet is how long the service may say nothing, which beats every ten
	// seconds, before that is told.
	longQuiet = 35 * time.Second
)

// NewMirror returns the mirror of one connection: that which has its Options.
func NewMirror(w Watch) *Mirror {
	return &Mirror{
		Watch: w, messages: make(chan *nats.Msg, waiting),
		away: make(chan struct{}, 1), back: make(chan struct{}, 1),
		refused: make(chan error, 1),
	}
}

// Options are those that the connection must have.
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

// Run watches until the context is done. An error is why the state could not be
// asked for at the beginning; later it asks until there is an answer.
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
			w.troubled("the connection to NATS is lost; waiting for it")
		case refusal := <-w.refused:
			w.denied(refusal)
		case <-w.back:
			again = true
		case <-quiet.C:
			w.troubled(fmt.Sprintf("the service has said nothing for %v; waiting for it", longQuiet))
		case m := <-w.messages:
			if m.Subject == w.Subjects.Changes() {
				quiet.Reset(longQuiet)
				w.well()
			}
			again, err = w.take(m)
		}
		if again {
			err = w.askAgain(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// subscribe returns when the server knows of the subscriptions: what changes
// after the state was asked for comes.
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

// take takes a message, and tells whether the state must be asked for again.
func (w *Mirror) take(m *nats.Msg) (again bool, err error) {
	old := w.old > 0
	if old {
		w.old--
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

// askAgain asks for the state until there is an answer or the context is done.
func (w *Mirror) askAgain(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case refusal := <-w.refused:
			w.denied(refusal)
			continue
		case <-time.After(time.Until(w.asked.Add(askPause))):
		}
		err := w.ask(ctx)
		var failed ChangedError
		switch {
		case err == nil:
			w.well()
			return nil
		case errors.As(err, &failed):
			return err
		case ctx.Err() == nil:
			w.troubled(fmt.Sprintf("%v; asking until there is an answer", err))
		}
	}
}

// troubled tells of a trouble, unless another one was told that isn't over.
func (w *Mirror) troubled(text string) {
	if !w.trouble {
		w.trouble = true
		w.Tell(text)
	}
}

// denied tells why the login is refused, once for each reason, also where the
// loss of the connection was told: that alone would let the user wait for good.
func (w *Mirror) denied(refusal error) {
	w.trouble = true
	if why := refusal.Error(); why != w.why {
		w.why = why
		w.Tell(why + "; trying again")
	}
}

// well tells that the trouble is over, if there was one.
func (w *Mirror) well() {
	if w.trouble {
		w.trouble, w.why = false, ""
		w.Tell("the service is heard again")
	}
}

// ask asks for the state, and prints what is different from the one before.
func (w *Mirror) ask(ctx context.Context) error {
	// What comes back from now on is in the answer.
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
		w.note(page.Reasons)
		for _, m := range page.Machines {
			users := append(state[m.Name].users, m.Users...)
			state[m.Name] = known{users, page.Place, page.When}
		}
	}
	first := w.state == nil
	if first {
		w.state = make(map[string]known)
	}
	w.place, w.old = place, len(w.messages)
	return w.replace(state, first)
}

// note says why the state is not complete, once for each reason.
func (w *Mirror) note(reasons []string) {
	for _, reason := range reasons {
		if !slices.Contains(w.reasons, reason) {
			w.reasons = append(w.reasons, reason)
			w.Incomplete(reason)
		}
	}
}

// replace makes another state of the state that there is.
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

// ChangedError is the error of Changed.
type ChangedError struct{ error }

// Unwrap returns it.
func (e ChangedError) Unwrap() error { return e.error }

// set makes a machine's state this one, and prints what is different.
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
