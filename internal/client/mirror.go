package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/internal/api"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// Watch configures a Mirror: what it watches, and its callbacks. They are called by the
// goroutine of Run; those that are nil are not called.
type Watch struct {
	Subjects rollcallv1.Subjects
	// Machines selects the machines to watch, as in [api.Filter].
	Machines string
	// Retry says that the first request for the state, too, is repeated until there is an
	// answer.
	Retry bool
	// Changed receives each change of users, and at first the initial state. Machine
	// receives each change of what reports show of a machine, at first each machine, also
	// those with nobody on. Without it, silent machines are not followed. If one of them
	// returns an error, so does Run, as a [ChangedError].
	Changed func(*Difference) error
	Machine func(*Update) error
	// Head receives what a report that was requested says of the whole: of the first
	// page, but complete only if all pages are. It is called after the report's machines.
	Head func(api.Head)
	// Receiving receives whether the state is up to date and changes arrive, and if not,
	// why: at first, and when that changes.
	Receiving func(ok bool, why string)
	// Notify receives messages for the user: that the connection is lost, or
	// restored.
	Notify func(text string)
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

	state
	numbers     numbers
	lastRequest time.Time // when the state was last requested
	pause       time.Duration
	queued      int      // messages already queued when the state arrived
	reasons     []string // why the state is not complete, as reported
	problem     bool     // a problem was reported and is not over
	lost        bool     // the connection was lost since the state was last requested
	lastRefusal string   // the login is refused, as last reported
	receiving   *receiving
}

// receiving is what Receiving was told; nil: nothing yet.
type receiving struct {
	ok  bool
	why string
}

const (
	// queueSize bounds the messages queued while the state is requested.
	queueSize = 1 << 16
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
		refused: make(chan error, 1), pause: requestPause,
	}
}

// Options returns the options that the connection must have.
func (m *Mirror) Options() []nats.Option {
	return []nats.Option{
		nats.DisconnectErrHandler(func(*nats.Conn, error) { signal(m.disconnected) }),
		//guard:drop "watch asks again after a reconnect" ./cmd/rollcall:TestWatchMissed/reconnect
		nats.ReconnectHandler(func(*nats.Conn) { signal(m.resync) }),
		nats.ClosedHandler(func(nc *nats.Conn) {
			if m.Fail != nil {
				m.Fail(fmt.Errorf("the connection to NATS is closed: %w", cmp.Or(nc.LastError(), nats.ErrConnectionClosed)))
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			switch {
			case errors.Is(err, nats.ErrSlowConsumer):
				signal(m.resync)
			case m.Refused != nil:
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

// Refresh makes Run request the state again: what changes of all machines at once, as when
// events are lost, is in no message.
func (m *Mirror) Refresh() { signal(m.resync) }

// signal sends a signal, unless one is waiting.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run watches until the context is done. It returns an error if the first request
// for the state fails, unless Retry is set; later requests are retried until there is an
// answer.
func (m *Mirror) Run(ctx context.Context, conn *nats.Conn) error {
	m.conn = conn
	if err := m.subscribe(ctx); err != nil {
		return err
	}
	request := m.request
	if m.Retry {
		request = m.requestAgain
	}
	if err := request(ctx); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return nil
	}
	m.reportReceiving(true, "")
	quiet := time.NewTimer(maxSilence)
	defer quiet.Stop()
	for {
		var again bool
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-m.disconnected:
			m.reportLost()
			again = conn.IsConnected() // again: the other signal may have been received first
		case refusal := <-m.refused:
			m.reportRefused(refusal)
		case <-m.resync:
			select {
			case <-m.disconnected:
				m.reportLost()
			default:
			}
			again = true
		case <-quiet.C:
			m.reportProblem(fmt.Sprintf("no message from the service for %v; waiting", maxSilence))
		case msg := <-m.messages:
			if msg.Subject == m.Subjects.Changes() {
				quiet.Reset(maxSilence)
				//guard:true "what was missed while the connection was lost is requested before all is well" TestMirrorLost
				if !m.lost {
					m.reportRecovered()
				}
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
		return m.handleBeat(&beat, old)
	}
	c, err := api.DecodeChange(msg.Data)
	if err != nil {
		return true, nil
	}
	missed, _ := m.numbers.next(c.Instance, c.Number)
	//guard:drop missed "a message that was missed is noticed by its number" TestMirrorNumbers
	again = missed && c.When.After(m.from)
	if !api.Matches(m.Machines, c.Machine) {
		return again, nil
	}
	switch at := m.knownUntil(c.Machine); {
	//guard:false "watch prints nothing older than the state" ./cmd/rollcall:TestWatch$
	case c.Place <= at:
		return again, nil
	//guard:drop c.Previous "watch asks again when it missed a change" ./cmd/rollcall:TestWatchMissed/change
	case c.Previous > at, c.Large:
		return true, nil
	}
	return again, m.set(api.Machine{
		Name: c.Machine, Heard: c.Heard, Silent: c.Silent, Incomplete: c.Incomplete,
		Missing: c.Missing, Changed: c.Changed, Users: c.Users,
	}, c.Place, c.When)
}

// handleBeat is handle for a beat.
func (m *Mirror) handleBeat(b *api.Beat, old bool) (again bool, err error) {
	missed, repeated := m.numbers.next(b.Instance, b.Number)
	switch {
	//guard:false "a beat that arrives twice says nothing new" TestMirrorBeats
	case repeated:
		return false, nil
	case b.Since > m.place || !old && b.Place < m.place:
		return true, nil
	//guard:drop missed "a beat shows that the last change was missed" TestMirrorNumbers
	case missed && b.When.After(m.from):
		return true, nil
	case m.Machine == nil:
		return false, nil
	}
	return m.applyBeat(b)
}

// applyBeat applies what a beat says of machines. It reports whether the state must be
// requested again, as it is not what the service has.
func (m *Mirror) applyBeat(b *api.Beat) (again bool, err error) {
	for i, names := range [][]string{b.Silent, b.Heard, b.Gone} {
		for _, name := range names {
			unknown := false
			if i < 2 {
				unknown, err = m.setSilent(name, b.When, i == 0)
			} else {
				unknown, err = m.setGone(name, b.When)
			}
			if err != nil {
				return false, err
			}
			again = again || unknown
		}
	}
	if b.More || m.Machines != "" || !b.When.After(m.until) {
		return again, nil
	}
	return m.countDiffers(b.SilentMachines) || again, nil
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
		case <-time.After(time.Until(m.lastRequest.Add(m.pause))):
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
		m.notify(text)
		m.reportReceiving(false, text)
	}
}

// reportLost reports that the connection was lost.
func (m *Mirror) reportLost() {
	m.lost = true
	m.reportProblem("the connection to NATS is lost; reconnecting")
}

// reportRefused reports why the login is refused, once for each reason, even if the loss
// of the connection was already reported: that alone would leave the user waiting
// for good.
func (m *Mirror) reportRefused(refusal error) {
	m.problem = true
	if why := refusal.Error(); why != m.lastRefusal {
		m.lastRefusal = why
		m.notify(why + "; retrying")
		m.reportReceiving(false, why+"; retrying")
	}
}

// reportRecovered reports that the problem is over, if there was one.
func (m *Mirror) reportRecovered() {
	if m.problem {
		m.problem, m.lastRefusal = false, ""
		m.notify("receiving from the service again")
		m.reportReceiving(true, "")
	}
}

func (m *Mirror) notify(text string) {
	if m.Notify != nil {
		m.Notify(text)
	}
}

// reportReceiving reports whether the state is up to date, if that is news.
func (m *Mirror) reportReceiving(ok bool, why string) {
	if now := (receiving{ok, why}); m.Receiving != nil && (m.receiving == nil || *m.receiving != now) {
		m.receiving = &now
		m.Receiving(ok, why)
	}
}

// request requests the state, and reports what is different from the one before.
func (m *Mirror) request(ctx context.Context) error {
	// The answer covers any reconnect up to now.
	select {
	case <-m.resync:
	default:
	}
	m.lastRequest, m.lost = time.Now(), false
	reading := m.read()
	request := api.ReportRequest{Filter: api.Filter{Machines: m.Machines}}
	for data, err := range Pages(ctx, m.conn, m.Subjects.Query("report"), request) {
		if err != nil {
			return err
		}
		page, err := api.DecodeReport(data)
		if err != nil {
			return err
		}
		m.reportIncomplete(page.Reasons)
		if err := reading.add(&page); err != nil {
			return err
		}
	}
	m.queued = len(m.messages)
	return reading.finish()
}

// reportIncomplete reports why the state is not complete, once for each reason.
func (m *Mirror) reportIncomplete(reasons []string) {
	for _, reason := range reasons {
		if !slices.Contains(m.reasons, reason) {
			m.reasons = append(m.reasons, reason)
			if m.Incomplete != nil {
				m.Incomplete(reason)
			}
		}
	}
}
