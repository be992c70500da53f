package publish

import (
	"errors"
	"fmt"
	"regexp"
	"sync"

	"github.com/nats-io/nats.go"
)

// connErrors collects failures that never arrive as an ack: denied permissions
// (reported only asynchronously) and a lost connection.
type connErrors struct {
	mu      sync.Mutex
	publish map[string]error // by subject
	all     error
	changed chan struct{} // closed when an error is added
}

var errLost = errors.New("the connection was lost; see whether the server runs, then publish from here on")

// errNoAck begins the error for an event that may or may not be stored.
var errNoAck = errors.New("no ack, so it is not known whether it is stored")

// errNoAckPossible matches the errors after which no ack will come.
var errNoAckPossible = errors.New("no ack will come")

func newConnErrors() *connErrors {
	return &connErrors{publish: map[string]error{}, changed: make(chan struct{})}
}

// watch returns the connection options that collect its errors.
func (t *connErrors) watch() []nats.Option {
	return []nats.Option{
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { t.denied(err) }),
		nats.DisconnectErrHandler(func(*nats.Conn, error) {
			//guard:drop "a lost server is told, not waited for" ./cmd/rollcall:TestPublishLosesTheServer
			t.note("", errLost)
		}),
	}
}

// deniedPublish finds the subject in the server's error text.
var deniedPublish = regexp.MustCompile(`(?i)Permissions Violation for Publish to "([^"]+)"`)

func (t *connErrors) denied(err error) {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return
	}
	if found := deniedPublish.FindStringSubmatch(err.Error()); found != nil {
		t.note(found[1], fmt.Errorf("%w; use credentials that may publish to it", err))
		return
	}
	t.note("", fmt.Errorf("%w; set NATS_INBOX_PREFIX to the prefix below which this login may subscribe, then publish from here on", err))
}

// note adds an error for publishing to a subject; "" means every subject.
func (t *connErrors) note(subject string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if subject != "" {
		t.publish[subject] = err
	} else if t.all == nil {
		t.all = noAckError{err}
	}
	close(t.changed)
	t.changed = make(chan struct{})
}

type noAckError struct{ error }

func (h noAckError) Unwrap() error        { return h.error }
func (h noAckError) Is(target error) bool { return target == errNoAckPossible }

// errorFor returns the error for publishing to the subject, if there is one by now, and a
// channel that is closed when any error is added.
func (t *connErrors) errorFor(subject string) (more <-chan struct{}, trouble error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.publish[subject]; err != nil {
		return t.changed, err
	}
	return t.changed, t.all
}
