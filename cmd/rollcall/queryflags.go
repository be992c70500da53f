package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"rollcall/internal/api"
	"rollcall/internal/client"
	"rollcall/internal/config"
)

// queryFlags are the flags of all commands that ask the service for a list.
type queryFlags struct {
	outputFlags
	askFlags
}

// askFlags are the flags of all commands that ask the service something with times.
type askFlags struct {
	zoneFlags
	connFlags
}

// zoneFlags are the flags of all commands that read or print times.
type zoneFlags struct {
	UTC bool `name:"utc" short:"u" help:"Print times in UTC instead of the local zone, and read given times as UTC."`
}

// unanswered returns the error of a question without an answer: the refusal of the service,
// or else one that names the NATS server.
func unanswered(command string, err error, c *config.Client) error {
	if _, ok := errors.AsType[*client.Refusal](err); ok {
		return fmt.Errorf("%s: %w", command, err)
	}
	return fmt.Errorf("%s: %w (%s=%s)", command, err, c.NATS().Named("NATS_URL"), c.NATS())
}

// incompleteness is why an answer is not complete, for how many machines, and until when.
type incompleteness struct {
	reasons   []string
	unsettled int
	settles   time.Time // an event dated after this settles a machine; zero: unknown
	until     time.Time
	ofMachine bool // the answer is about one machine
	past      *api.Past
}

// add adds the reasons of a page.
func (i *incompleteness) add(page []byte) error {
	var head struct {
		Reasons       []string  `json:"reasons"`
		Unsettled     int       `json:"unsettled"`
		SettlesAfter  time.Time `json:"settles_after"`
		CompleteAfter time.Time `json:"complete_after"`
		Machine       string    `json:"machine"`
		Past          *api.Past `json:"past"`
	}
	if err := json.Unmarshal(page, &head); err != nil {
		return err
	}
	i.unsettled, i.settles, i.until, i.ofMachine = head.Unsettled, head.SettlesAfter, head.CompleteAfter, head.Machine != ""
	i.past = head.Past
	for _, reason := range head.Reasons {
		// The status shows replaying itself.
		if reason != "replaying" && !slices.Contains(i.reasons, reason) {
			i.reasons = append(i.reasons, reason)
		}
	}
	return nil
}

// print prints why the answer is not complete, if it is not.
func (i *incompleteness) print(std streams, command string, a *zoneFlags) {
	if i.past != nil {
		for _, note := range i.pastNotes(a) {
			if rest, ok := strings.CutPrefix(note, "not complete"); ok {
				note = warned(std.err, "not complete") + rest
			}
			fmt.Fprintf(std.err, "rollcall: %s: %s\n", command, note)
		}
		return
	}
	//guard:false "an incomplete report says so" TestReportNotComplete
	if len(i.reasons) > 0 {
		fmt.Fprintf(std.err, "rollcall: %s: %s (%s); %s\n", command, warned(std.err, "not complete"), quoteUnprintable(strings.Join(i.reasons, ", ")), i.remedy(a))
	}
}

// remedy describes when the answer will be complete.
func (i *incompleteness) remedy(a *zoneFlags) string {
	resets := "boot, shutdown or present"
	if i.unsettled > 0 {
		resets += a.datedAfter(i.settles)
	}
	switch {
	case slices.Equal(i.reasons, []string{"stale"}):
		return "the state of the stream of events is unknown: recent events may be missing"
	case i.ofMachine:
		return "complete once the machine sends a " + resets
	case i.until.IsZero():
		return "nothing has been received since the loss"
	case i.unsettled > 0 && i.until.Before(time.Now()):
		return fmt.Sprintf("machines that have sent no %s: %d; complete once they have", resets, i.unsettled)
	case i.unsettled > 0:
		return fmt.Sprintf("machines that have sent no %s: %d; complete once they have, but not before %s", resets, i.unsettled, a.time(i.until))
	}
	return "machines not heard from since the loss may be missing; complete after " + a.time(i.until)
}

// datedAfter describes the date that a boot, shutdown or present must exceed to settle a
// machine. It is rounded up to a whole second, so that every later date exceeds it too.
func (q *zoneFlags) datedAfter(settles time.Time) string {
	if settles.IsZero() {
		return " dated more than ROLLCALL_MAX_SKEW after the loss"
	}
	return " dated after " + q.time(settles.Add(time.Second-1))
}

// local is the zone of printed times, unless --utc is given. (Tests cannot set time.Local:
// the embedded server reads it concurrently.)
var local = time.Local

// time formats a time for tables: whole seconds, in the local zone, or in UTC with a Z at
// the end.
func (q *zoneFlags) time(t time.Time) string {
	if q.UTC {
		return t.UTC().Format("2006-01-02 15:04:05Z")
	}
	return t.In(local).Format(time.DateTime)
}

// minute is time without the seconds.
func (q *zoneFlags) minute(t time.Time) string {
	if q.UTC {
		return t.UTC().Format("2006-01-02 15:04Z")
	}
	return t.In(local).Format("2006-01-02 15:04")
}
