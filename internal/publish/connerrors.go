package publish

import (
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"

	"rollcall/internal/natsconn"
)

// connErrors collects failures that never arrive as an ack: denied permissions
// (reported only asynchronously) and a lost connection.
type connErrors struct {
	mu      sync.Mutex
	publish map[string]error // by subject
	all     error
	changed chan struct{} // closed when an error is added
	denied  func(error) *natsconn.Denial
}

var errLost = errors.New("the connection was lost; check that the server is running, then publish from here on")

// errNoAck begins the error for an event that may or may not be stored.
var errNoAck = errors.New("no ack, so it may or may not be stored")

// errAckLost matches the errors after which no ack will arrive.
var errAckLost = errors.New("no ack will arrive")

func newConnErrors(denied func(error) *natsconn.Denial) *connErrors {
	return &connErrors{publish: map[string]error{}, changed: make(chan struct{}), denied: denied}
}

// options returns the connection options that collect its errors.
func (c *connErrors) options() []nats.Option {
	return []nats.Option{
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { c.addDenied(err) }),
		nats.DisconnectErrHandler(func(*nats.Conn, error) {
			//guard:drop "a lost server is reported, not waited for" TestLostServer
			c.add("", errLost)
		}),
	}
}

// addDenied adds a denied permission: to publish to one subject, or to receive acks.
func (c *connErrors) addDenied(err error) {
	switch denial := c.denied(err); {
	case denial == nil:
	case denial.Publish:
		c.add(denial.Subject, denial)
	default:
		c.add("", fmt.Errorf("%w, then publish from here on", denial))
	}
}

// add adds an error for publishing to a subject; "" means every subject.
func (c *connErrors) add(subject string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if subject != "" {
		c.publish[subject] = err
	} else if c.all == nil {
		c.all = noAckError{err}
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

type noAckError struct{ error }

func (e noAckError) Unwrap() error        { return e.error }
func (e noAckError) Is(target error) bool { return target == errAckLost }

// errorFor returns the error for publishing to the subject, if there is one by now,
// and a channel that is closed when any error is added.
func (c *connErrors) errorFor(subject string) (changed <-chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.publish[subject]; err != nil {
		return c.changed, err
	}
	return c.changed, c.all
}
