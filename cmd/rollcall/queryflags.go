package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"rollcall/internal/client"
	"rollcall/internal/config"
)

// queryFlags are the flags of all commands that ask the service.
type queryFlags struct {
	Output string `enum:"text,json" default:"text" placeholder:"FORMAT" help:"text, or json: the service's answer, one JSON object a line; several where it does not fit one message."`
	UTC    bool   `name:"utc" help:"Print times in UTC, not in the local zone, and take those given for UTC."`
}

// ask asks a question and prints the answer page by page. command is the name in error
// messages; print prints a page as text.
func (a *queryFlags) ask(ctx context.Context, std streams, command, endpoint string, request any, print func(page []byte) error) error {
	cfg, err := config.ReadClient()
	if err != nil {
		return err
	}
	conn, err := client.Connect(ctx, cfg)
	if err != nil {
		return err
	}
	defer conn.Close()
	if a.Output == "json" {
		print = func(page []byte) error {
			_, err := std.out.Write(append(page, '\n'))
			return err
		}
	}
	var missing missing
	past := pastProgress{std: std, command: command}
	defer past.end()
	for page, err := range client.Pages(ctx, conn, cfg.Subjects().Query(endpoint), request) {
		if err != nil {
			return unanswered(command, err, cfg)
		}
		if err := missing.note(page); err != nil {
			return fmt.Errorf("%s: reading the answer: %w", command, err)
		}
		if answer, err := past.note(page); err != nil {
			return fmt.Errorf("%s: reading the answer: %w", command, err)
		} else if !answer {
			continue
		}
		if err := print(page); err != nil {
			return fmt.Errorf("%s: %w", command, err)
		}
	}
	missing.tell(std, command, a)
	past.tell(a)
	return nil
}

// unanswered returns the error of a question without an answer: what the service said, or
// else which server was asked.
func unanswered(command string, err error, c *config.Client) error {
	if _, ok := errors.AsType[*client.Refusal](err); ok {
		return fmt.Errorf("%s: %w", command, err)
	}
	return fmt.Errorf("%s: %w (NATS_URL=%s)", command, err, c.NATS())
}

// missing is why an answer is not complete, how many machines that concerns, and until
// when.
type missing struct {
	reasons   []string
	unsettled int
	settles   time.Time // what is dated after this settles a machine; zero: not known
	until     time.Time
	ofMachine bool // the answer is about one machine
}

// toldElsewhere are reasons that are printed elsewhere: replaying is in the status, and
// pastProgress prints what the past lacks.
var toldElsewhere = []string{"replaying", "not_retained", "unplaced"}

// note adds the reasons of a page.
func (m *missing) note(page []byte) error {
	var head struct {
		Reasons       []string  `json:"reasons"`
		Unsettled     int       `json:"unsettled"`
		SettlesAfter  time.Time `json:"settles_after"`
		CompleteAfter time.Time `json:"complete_after"`
		Machine       string    `json:"machine"`
	}
	if err := json.Unmarshal(page, &head); err != nil {
		return err
	}
	m.unsettled, m.settles, m.until, m.ofMachine = head.Unsettled, head.SettlesAfter, head.CompleteAfter, head.Machine != ""
	for _, reason := range head.Reasons {
		if !slices.Contains(toldElsewhere, reason) && !slices.Contains(m.reasons, reason) {
			m.reasons = append(m.reasons, reason)
		}
	}
	return nil
}

// tell prints what is missing, if anything is.
func (m *missing) tell(std streams, command string, a *queryFlags) {
	//guard:false "an incomplete report says so" TestReportNotComplete
	if len(m.reasons) > 0 {
		fmt.Fprintf(std.err, "rollcall: %s: not complete (%s); %s\n", command, plain(strings.Join(m.reasons, ", ")), m.end(a))
	}
}

// end describes how the answer becomes complete.
func (m *missing) end(a *queryFlags) string {
	resets := "boot, shutdown or present"
	if m.unsettled > 0 {
		resets += a.datedAfter(m.settles)
	}
	switch {
	case slices.Equal(m.reasons, []string{"stale"}):
		return "NATS does not tell rollcall how the stream of events stands: what happened lately may be missing"
	case m.ofMachine:
		return "it will be when the machine has sent a " + resets
	case m.until.IsZero():
		return "nothing has been received since the loss"
	case m.unsettled > 0 && m.until.Before(time.Now()):
		return fmt.Sprintf("machines that have sent no %s: %d; it will be when they have", resets, m.unsettled)
	case m.unsettled > 0:
		return fmt.Sprintf("machines that have sent no %s: %d; it will be when they have, and not before %s", resets, m.unsettled, a.time(m.until))
	}
	return "machines not heard of since the loss may be missing; it will be after " + a.time(m.until)
}

// datedAfter describes the date that a boot, shutdown or present must exceed to settle a
// machine. It is rounded up to a whole second, so that any later date is late enough.
func (a *queryFlags) datedAfter(settles time.Time) string {
	if settles.IsZero() {
		return " dated more than ROLLCALL_MAX_SKEW after the loss"
	}
	return " dated after " + a.time(settles.Add(time.Second-1))
}

// local is the zone of printed times, unless --utc is given. (Tests cannot set time.Local:
// the embedded server reads it concurrently.)
var local = time.Local

// time formats a time for tables: whole seconds, in the local zone, or in UTC with a Z at
// the end.
func (a *queryFlags) time(t time.Time) string {
	if a.UTC {
		return t.UTC().Format("2006-01-02 15:04:05Z")
	}
	return t.In(local).Format(time.DateTime)
}
