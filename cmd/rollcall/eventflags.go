package main

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/alecthomas/kong"
	"github.com/go-json-experiment/json"

	"rollcall/internal/roster"
	"rollcall/internal/wire"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// eventFlags are the flags that describe one event.
type eventFlags struct {
	Login    *string   `xor:"type" placeholder:"USER" help:"USER logged in."`
	Logout   *userFlag `xor:"type" placeholder:"[USER]" help:"USER logged out; USER is optional with --session."`
	Boot     bool      `xor:"type" help:"The machine started: earlier sessions are over."`
	Shutdown bool      `xor:"type" help:"The machine stopped: all sessions are over."`
	Machine  string    `placeholder:"NAME" help:"Where it happened."`
	Session  string    `placeholder:"ID" help:"The session's id on that machine."`
	Date     timeFlag  `placeholder:"TIME" help:"When it happened: 10:17, \"yesterday 10:17\", \"2026-11-22 10:17:05\", RFC 3339, -5m or \"5m ago\". Default: now."`
	Terminal string    `placeholder:"LINE" help:"Terminal on the machine, such as pts/0."`
	Remote   string    `placeholder:"ADDRESS" help:"Where the user came from, such as 10.0.0.7."`
	Service  string    `placeholder:"NAME" help:"Service that logged the user in, such as sshd."`
	UTC      bool      `name:"utc" short:"u" help:"Read the time of --date as UTC instead of the local zone."`
}

// userFlag is the name of a user; it may be omitted.
type userFlag string

// Decode reads the next argument as the name, unless it is a flag.
//
//nolint:unparam // the error is of kong.MapperValue
func (u *userFlag) Decode(ctx *kong.DecodeContext) error {
	if next := ctx.Scan.Peek(); !next.IsEOL() && next.IsValue() {
		*u = userFlag(ctx.Scan.Pop().String())
	}
	return nil
}

// eventType returns the type of the event, or "" if no flag gives one.
func (f *eventFlags) eventType() string {
	switch {
	case f.Login != nil:
		return roster.Login.String()
	case f.Logout != nil:
		return roster.Logout.String()
	case f.Boot:
		return roster.Boot.String()
	case f.Shutdown:
		return roster.Shutdown.String()
	}
	return ""
}

// given reports whether the flags describe an event.
func (f *eventFlags) given() bool { return f.eventType() != "" }

// validate refuses flags that cannot be combined.
func (f *eventFlags) validate() error {
	details := cmp.Or(f.Terminal, f.Remote, f.Service) != ""
	stray := cmp.Or(f.Machine, f.Session, string(f.Date)) != "" || f.UTC || details
	switch {
	case !f.given() && stray:
		return errors.New("give the type of the event: --login, --logout, --boot or --shutdown")
	case !f.given():
		return nil
	case f.Machine == "":
		return fmt.Errorf("--%s: give the machine with --machine", f.eventType())
	case f.Logout != nil && *f.Logout == "" && f.Session == "":
		return errors.New("--logout: give the user (--logout USER) or the session (--session)")
	case (f.Boot || f.Shutdown) && f.Session != "":
		return fmt.Errorf("--session: a %s ends all sessions", f.eventType())
	case f.Login == nil && details:
		return errors.New("--terminal, --remote and --service need --login")
	}
	return nil
}

// date returns when the event happened: the beginning of the second or the minute that
// --date names.
func (f *eventFlags) date() (string, error) {
	zone := zoneFlags{UTC: f.UTC}
	period, err := zone.period("--date", cmp.Or(f.Date, "now"), time.Time{})
	//guard:false "an event is not dated with a guess" TestPublishDate
	if err == nil && period.Day {
		err = usageError{fmt.Errorf("--date=%s: a whole day: add the time, such as \"%s 10:17\"", f.Date, f.Date)}
	}
	return formatted(period.First), err
}

// encode returns the event as a payload, checked with the decoder of the service.
func (f *eventFlags) encode(judge *wire.Decoder) ([]byte, error) {
	var user string
	switch {
	case f.Login != nil:
		user = *f.Login
	case f.Logout != nil:
		user = string(*f.Logout)
	}
	date, err := f.date()
	if err != nil {
		return nil, err
	}
	payload, err := json.Marshal(struct {
		Date     string `json:"date"`
		Type     string `json:"type"`
		Machine  string `json:"machine"`
		User     string `json:"user,omitzero"`
		Session  string `json:"session,omitzero"`
		Terminal string `json:"terminal,omitzero"`
		Remote   string `json:"remote,omitzero"`
		Service  string `json:"service,omitzero"`
	}{
		date, f.eventType(), f.Machine, user, f.Session, f.Terminal, f.Remote, f.Service,
	})
	if err != nil {
		return nil, usageError{fmt.Errorf("publish: %w; give valid UTF-8", err)}
	}
	var e roster.Event
	if refusal := judge.Decode("", rollcallv1.ContentTypeJSON, payload, &e); refusal != nil {
		return nil, usageError{fmt.Errorf("publish: %w", refusal)}
	}
	return payload, nil
}
