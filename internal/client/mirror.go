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

// Watch configures a Mirror: what it watches, and its callbacks.
type Watch struct {
	Subjects rollcallv1.Subjects
	// Machines selects the machines to watch, as in [api.Filter].
	Machines string
	// All asks for every difference in what reports show of a machine; else only arrivals
	// and departures are changes. It is for mirrors of all machines.
	All bool
	// Changed receives each change, and at first the initial state. Its error ends
	// Run, which returns it as a [ChangedError].
	Changed func(*Difference) error
	// Reported receives the head of each report that was read to its end, without the
	// machines, after the changes that it made; nil: nobody asks.
	Reported func(*api.Report)
	// Notify receives messages for the user: that the connection is lost (a problem), or
	// restored.
	Notify func(text string, problem bool)
	// Incomplete receives each reason why the state is not complete, once.
	Incomplete func(reason string)
	// Refused returns the error to report if the given one is a refused login; else
	// nil.
	Refused func(error) error
	// Fail is called with the error after which no more messages will arrive.
	Fail context.CancelCauseFunc
}

// Mirror keeps the state of the watched machines up to date, as the contract
// describes at Change. It runs in one goroutine; connection events arrive through
// channels.
type Mirror struct {
	Watch
	conn *nats.Conn

	messages     chan *nats.Msg
	disconnected chan struct{}
	resync       chan struct{} // the connection is restored, or messages were dropped
	refused      chan error    // why a login was refused when reconnecting

	state       map[string]known
	silent      int       // machines
	reported    time.Time // when the last report was built
	place       uint64    // up to which all of the state is known
	instance    string    // that published the last message; empty: it did not say
	number      uint64    // of that message
	lastRequest time.Time // when the state was last requested
	queued      int       // messages already queued when the state arrived
	reasons     []string  // why the state is not complete, as reported
	problem     bool      // a problem was reported and is not over
	lastRefusal string    // the login is refused, as last reported
}

// known is what is known of a machine, up to a place.
type known struct {
	users          []string
	place          uint64
	when           int64 // by the service's clock, in nanoseconds since 1970
	heard, changed int64 // 0: never
	missing        uint64
	silent         bool
	incomplete     bool
}

// of returns what a report or a change says of a machine.
func of(m *api.Machine, place uint64, when time.Time) known {
	return known{
		users: m.Users, place: place, when: when.UnixNano(), heard: nanos(m.Heard), changed: nanos(m.Changed),
		missing: m.Missing, silent: m.Silent, incomplete: m.Incomplete,
	}
}

// machine returns what is known as a report shows it.
func (k *known) machine(name string) api.Machine {
	return api.Machine{
		Name: name, Users: k.users, Heard: fromNanos(k.heard), Changed: fromNanos(k.changed),
		Missing: k.missing, Silent: k.silent, Incomplete: k.incomplete,
	}
}

// differs reports whether anything but the users differs.
func (k *known) differs(before *known) bool {
	return k.heard != before.heard || k.changed != before.changed || k.missing != before.missing ||
		k.silent != before.silent || k.incomplete != before.incomplete
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
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
	// Now is the machine as reports show it; Gone says that they no longer do.
	Now  api.Machine `json:"-"`
	Gone bool        `json:"-"`
}

const (
	// queueSize bounds the messages queued while the state is requested.
	queueSize = 1 << 14
	// requestPause is the least time between two requests for the state.
	requestPause = time.Second
	// maxSilence is how long no beat may arrive before that is reported. The
	// service sends one every ten seconds.
	maxSilence = 35 * time.Second
)

// NewMirror returns a mirror for one connection, which must have its Options.
func NewMirror(w Watch) *Mirror {
	return &Mirror{
		Watch: w, messages: make(chan *nats.Msg, queueSize),
		disconnected: make(chan struct{}, 1), resync: make(chan struct{}, 1),
		refused: make(chan error, 1),
	}
}

// Options returns the options that the connection must have.
func (m *Mirror) Options() []nats.Option {
	signal := func(c chan struct{}) {
		select {
		case c <- struct{}{}:
		default:
		}
	}
	return []nats.Option{
		nats.DisconnectErrHandler(func(*nats.Conn, error) { signal(m.disconnected) }),
		//guard:drop "watch asks again after a reconnect" ./cmd/rollcall:TestWatchMissed/reconnect
		nats.ReconnectHandler(func(*nats.Conn) { signal(m.resync) }),
		nats.ClosedHandler(func(nc *nats.Conn) {
			m.Fail(fmt.Errorf("the connection to NATS is closed: %w", cmp.Or(nc.LastError(), nats.ErrConnectionClosed)))
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			switch {
			case errors.Is(err, nats.ErrSlowConsumer):
				signal(m.resync)
			default:
				if refusal := m.Refused(err); refusal != nil {
					select {
					case m.refused <- refusal:
					default:
					}
				}
			}
		}),
	}
}

// Refresh asks for the state again, soon. It can be called while Run runs.
func (m *Mirror) Refresh() {
	select {
	case m.resync <- struct{}{}:
	default:
	}
}

// Run watches until the context is done. It returns an error if the first request
// for the state fails; later requests are retried until there is an answer.
func (m *Mirror) Run(ctx context.Context, conn *nats.Conn) error {
	m.conn = conn
	if err := m.subscribe(ctx); err != nil {
		return err
	}
	if err := m.request(ctx); err != nil {
		return err
	}
	quiet := time.NewTimer(maxSilence)
	defer quiet.Stop()
	for {
		var again bool
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-m.disconnected:
			m.reportProblem("the connection to NATS is lost; reconnecting")
		case refusal := <-m.refused:
			m.reportRefused(refusal)
		case <-m.resync:
			again = true
		case <-quiet.C:
			m.reportProblem(fmt.Sprintf("no message from the service for %v; waiting", maxSilence))
		case msg := <-m.messages:
			if msg.Subject == m.Subjects.Changes() {
				quiet.Reset(maxSilence)
				m.reportRecovered()
			}
			again, err = m.handle(msg)
		}
		if again {
			err = m.requestAgain(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// subscribe returns once the server knows the subscriptions, so that every change
// after the request for the state arrives.
func (m *Mirror) subscribe(ctx context.Context) error {
	for _, subject := range []string{m.Subjects.Changes(), m.Subjects.AllChanges()} {
		if _, err := m.conn.ChanSubscribe(subject, m.messages); err != nil {
			return fmt.Errorf("subscribing to %s: %w", subject, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := m.conn.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("subscribing to changes: %w", err)
	}
	// The server's refusal comes before the end of the flush, the call of the error
	// handler, which ends ctx, perhaps after it.
	if errors.Is(m.conn.LastError(), nats.ErrPermissionViolation) {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return nil
}

// handle processes a message, and reports whether the state must be requested again.
func (m *Mirror) handle(msg *nats.Msg) (again bool, err error) {
	old := m.queued > 0
	if old {
		m.queued--
	}
	if msg.Subject == m.Subjects.Changes() {
		beat, err := api.DecodeBeat(msg.Data)
		if err != nil {
			return false, nil
		}
		missed := m.missed(beat.Instance, beat.Number)
		again, err := m.beat(&beat, old)
		return again || missed, err
	}
	c, err := api.DecodeChange(msg.Data)
	if err != nil {
		return true, nil
	}
	missed := m.missed(c.Instance, c.Number)
	if !api.Matches(m.Machines, c.Machine) {
		return missed && m.All, nil
	}
	switch at := max(m.place, m.state[c.Machine].place); {
	//guard:false "watch prints nothing older than the state" ./cmd/rollcall:TestWatch$
	case c.Place <= at:
		return missed && m.All, nil
	//guard:drop c.Previous "watch asks again when it missed a change" ./cmd/rollcall:TestWatchMissed/change
	case c.Previous > at, c.Large:
		return true, nil
	}
	now := of(&api.Machine{
		Users: c.Users, Heard: c.Heard, Changed: c.Changed, Silent: c.Silent, Incomplete: c.Incomplete, Missing: c.Missing,
	}, c.Place, c.When)
	return missed && m.All, m.set(c.Machine, now, false)
}

// missed reports whether a message was missed before the one with a number.
func (m *Mirror) missed(instance string, number uint64) bool {
	missed := instance != "" && m.instance != "" && (instance != m.instance || number != m.number+1)
	m.instance, m.number = instance, number
	return missed
}

// beat applies a beat; old says that it was queued before the last report.
func (m *Mirror) beat(b *api.Beat, old bool) (again bool, err error) {
	if b.Since > m.place || !old && b.Place < m.place {
		return true, nil
	}
	if !m.All {
		return false, nil
	}
	when := b.When.UnixNano()
	for silent, names := range map[bool][]string{true: b.Silent, false: b.Heard} {
		for _, name := range names {
			k, ok := m.state[name]
			//guard:drop k.when "a beat does not undo a later change" TestMirrorBeats
			if !ok || k.when > when || k.silent == silent {
				continue
			}
			k.silent, k.when = silent, when
			if err := m.set(name, k, false); err != nil {
				return false, err
			}
		}
	}
	for _, name := range b.Gone {
		if k, ok := m.state[name]; ok && k.when <= when {
			if err := m.remove(name, &k, b.When); err != nil {
				return false, err
			}
		}
	}
	//guard:false "a missed beat is noticed" TestMirrorBeats
	return !b.More && !m.reported.After(b.When) && m.silent != b.SilentMachines, nil
}

// requestAgain requests the state until there is an answer or the context is done.
func (m *Mirror) requestAgain(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case refusal := <-m.refused:
			m.reportRefused(refusal)
			continue
		case <-time.After(time.Until(m.lastRequest.Add(requestPause))):
		}
		err := m.request(ctx)
		var failed ChangedError
		switch {
		case err == nil:
			m.reportRecovered()
			return nil
		case errors.As(err, &failed):
			return err
		case ctx.Err() == nil:
			m.reportProblem(fmt.Sprintf("%v; retrying", err))
		}
	}
}

// reportProblem reports a problem, unless an earlier one was reported and isn't over.
func (m *Mirror) reportProblem(text string) {
	if !m.problem {
		m.problem = true
		m.Notify(text, true)
	}
}

// reportRefused reports why the login is refused, once for each reason, even if the loss
// of the connection was already reported: that alone would leave the user waiting
// for good.
func (m *Mirror) reportRefused(refusal error) {
	m.problem = true
	if why := refusal.Error(); why != m.lastRefusal {
		m.lastRefusal = why
		m.Notify(why+"; retrying", true)
	}
}

// reportRecovered reports that the problem is over, if there was one.
func (m *Mirror) reportRecovered() {
	if m.problem {
		m.problem, m.lastRefusal = false, ""
		m.Notify("receiving from the service again", false)
	}
}

// request requests the state, and reports what is different from the one before.
func (m *Mirror) request(ctx context.Context) error {
	// The answer covers any reconnect up to now.
	select {
	case <-m.resync:
	default:
	}
	m.lastRequest = time.Now()
	state, head := make(map[string]known, len(m.state)), api.Report{}
	request := api.ReportRequest{Filter: api.Filter{Machines: m.Machines}}
	for data, err := range Pages(ctx, m.conn, m.Subjects.Query("report"), request) {
		if err != nil {
			return err
		}
		page, err := api.DecodeReport(data)
		if err != nil {
			return err
		}
		if head.ID == "" {
			head = page
			head.Machines = nil
		}
		m.reportIncomplete(page.Reasons)
		for i := range page.Machines {
			machine := &page.Machines[i]
			machine.Users = append(state[machine.Name].users, machine.Users...)
			state[machine.Name] = of(machine, page.Place, page.When)
		}
	}
	first := m.state == nil
	if first {
		m.state = make(map[string]known, len(state))
	}
	m.place, m.reported, m.queued = head.Place, head.When, len(m.messages)
	if err := m.replace(state, first); err != nil {
		return err
	}
	if m.Reported != nil {
		m.Reported(&head)
	}
	return nil
}

// reportIncomplete reports why the state is not complete, once for each reason.
func (m *Mirror) reportIncomplete(reasons []string) {
	for _, reason := range reasons {
		if !slices.Contains(m.reasons, reason) {
			m.reasons = append(m.reasons, reason)
			m.Incomplete(reason)
		}
	}
}

// replace replaces the state, and reports what is different.
func (m *Mirror) replace(state map[string]known, first bool) error {
	now := time.Now()
	for _, name := range slices.Sorted(maps.Keys(m.state)) {
		if _, ok := state[name]; ok {
			continue
		}
		k := m.state[name]
		if err := m.remove(name, &k, now); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(state)) {
		if err := m.set(name, state[name], first); err != nil {
			return err
		}
	}
	return nil
}

// remove removes a machine that reports no longer show, and reports who has left.
func (m *Mirror) remove(name string, k *known, when time.Time) error {
	delete(m.state, name)
	if k.silent {
		m.silent--
	}
	if !m.All && len(k.users) == 0 {
		return nil
	}
	return m.report(&Difference{When: when, Machine: name, Place: m.place, Left: k.users, Now: api.Machine{Name: name}, Gone: true})
}

// ChangedError wraps the error of [Watch].Changed.
type ChangedError struct{ error }

// Unwrap returns the error of Changed.
func (e ChangedError) Unwrap() error { return e.error }

// set sets the state of a machine, and reports what is different.
func (m *Mirror) set(name string, k known, first bool) error {
	before, ok := m.state[name]
	m.state[name] = k
	if before.silent {
		m.silent--
	}
	if k.silent {
		m.silent++
	}
	d := Difference{
		When: time.Unix(0, k.when).UTC(), Machine: name, Place: k.place,
		Came: without(k.users, before.users), Left: without(before.users, k.users), Users: k.users, First: first,
	}
	if len(d.Came) == 0 && len(d.Left) == 0 && !(m.All && (!ok || k.differs(&before))) {
		return nil
	}
	d.Now = k.machine(name)
	return m.report(&d)
}

func (m *Mirror) report(d *Difference) error {
	if err := m.Changed(d); err != nil {
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
