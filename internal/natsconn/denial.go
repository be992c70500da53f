package natsconn

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/nats-io/nats.go"
)

// Denial is a permission that the server denies to a connection. The server reports it
// only asynchronously, to the connection's error handler; whoever waits for an answer
// learns nothing. It matches [nats.ErrPermissionViolation].
type Denial struct {
	Subject string
	Publish bool // to publish on the subject; else to subscribe to it
	// Inbox says that the subject is where answers arrive: there will be none.
	Inbox bool

	user, prefix string // who is denied, "" if only the server knows; what sets the inbox
}

// Unwrap returns nats.ErrPermissionViolation.
func (d *Denial) Unwrap() error { return nats.ErrPermissionViolation }

// Error says what is denied, and what to do about it.
func (d *Denial) Error() string {
	who := "this connection"
	if d.user != "" {
		who = fmt.Sprintf("the user %q", d.user)
	}
	switch {
	case d.Publish:
		return fmt.Sprintf("NATS does not let %s publish to %q: use credentials that may", who, d.Subject)
	case d.Inbox:
		return fmt.Sprintf("NATS does not let %s receive answers on %q: set %s to a prefix to which it may subscribe (\"rollcall enroll\" writes it beside the credentials, to nats.env)", who, d.Subject, d.prefix)
	}
	return fmt.Sprintf("NATS does not let %s subscribe to %q: use credentials that may", who, d.Subject)
}

// denied finds what is denied in the server's text.
var denied = regexp.MustCompile(`(?i)Permissions Violation for (Publish|Subscription) to "([^"]+)"`)

// Denied returns the denial that an asynchronous error of a connection with these options
// reports, or nil.
func (o Options) Denied(err error) *Denial {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return nil
	}
	found := denied.FindStringSubmatch(err.Error())
	if found == nil {
		return nil
	}
	d := &Denial{Subject: found[2], Publish: strings.EqualFold(found[1], "publish"), user: o.user(), prefix: o.Named("NATS_INBOX_PREFIX")}
	d.Inbox = !d.Publish && strings.HasPrefix(d.Subject, cmp.Or(o.InboxPrefix, strings.TrimSuffix(nats.InboxPrefix, "."))+".")
	return d
}
