package api

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
)

// Report is one report, one page of it, or one answer. Its JSON is that of the
// message Report of the wire contract.
type Report struct {
	// ID is the same for all pages of one published report.
	ID string `json:"report"`
	// When is when it was built.
	When time.Time `json:"when"`
	// Stream is the stream of events. Sequence is the number, in this stream, of the
	// last message that the report includes; Place is its number among all messages
	// ever read.
	Stream   string `json:"stream"`
	Sequence uint64 `json:"sequence"`
	Place    uint64 `json:"place"`
	// Complete says that every event since the first is accounted for; if it is
	// false, Reasons says why.
	Complete bool     `json:"complete"`
	Reasons  []string `json:"reasons"`
	// While the report is not complete, Unsettled is how many machines a loss
	// concerns, SettlesAfter the date after which a boot, shutdown or present
	// settles one of them, and CompleteAfter the receipt after which the roster
	// is complete if none of them is left; zero: not known.
	Unsettled     int       `json:"unsettled,omitzero"`
	SettlesAfter  time.Time `json:"settles_after,omitzero"`
	CompleteAfter time.Time `json:"complete_after,omitzero"`
	// Page is the number of the page, from 1, of Pages; both are 0 in an answer.
	Page  int `json:"page,omitzero"`
	Pages int `json:"pages,omitzero"`
	// Cursor is for the question that continues after this answer; empty on the last.
	Cursor string `json:"cursor,omitzero"`
	// Machines are in byte order of their names.
	Machines []Machine `json:"machines"`
}

// Machine is one machine of a report.
type Machine struct {
	Name string `json:"machine"`
	// Heard is the receipt of the last event accepted from it.
	Heard time.Time `json:"heard"`
	// Silent says that it has not been heard for a long time: Users are the last
	// known.
	Silent bool `json:"silent,omitzero"`
	// Incomplete says that a login or logout of the machine may be missing.
	Incomplete bool `json:"incomplete,omitzero"`
	// Missing is how many of its events never arrived, as far as their numbers tell, at
	// most 2^40.
	Missing uint64 `json:"missing,omitzero"`
	// Changed is the newest date of an accepted login or logout of it; zero if there was
	// none. It never goes back.
	Changed time.Time `json:"changed,omitzero"`
	// Users are those who are on, in byte order of their names.
	Users []string `json:"users"`
}

// DecodeReport decodes a report's JSON. Unknown keys are ignored, so that an old
// client understands a new service. Duplicate keys and values of the wrong type are
// errors, and so is a report without report, when, stream, reasons or machines, or a
// machine without machine, heard or users.
func DecodeReport(data []byte) (Report, error) {
	var r Report
	if err := json.Unmarshal(data, &r); err != nil {
		return Report{}, fmt.Errorf("decoding report: %w", err)
	}
	//guard:false "JSON that is not a report is refused" TestDecodeRefuses
	if err := r.check(); err != nil {
		return Report{}, fmt.Errorf("decoding report: %w", err)
	}
	return r, nil
}

// check returns an error if something required is missing.
func (r *Report) check() error {
	switch {
	case r.ID == "":
		return errors.New("no report")
	case !dated(r.When):
		return errors.New("no when, or one out of range")
	case r.Stream == "":
		return errors.New("no stream")
	case r.Reasons == nil:
		return errors.New("no reasons")
	case r.Machines == nil:
		return errors.New("no machines")
	}
	for i, m := range r.Machines {
		if m.Name == "" || m.Users == nil || !dated(m.Heard) {
			return fmt.Errorf("machines: number %d lacks machine, heard or users", i+1)
		}
	}
	return nil
}

// dated reports whether t is a time that a report can have.
func dated(t time.Time) bool {
	year := t.UTC().Year()
	return 1970 <= year && year <= 9999
}

// Join joins pages, in order, into one report, and the parts of a machine that
// continues from page to page into one machine. It stops at the first error. The
// report has the ID, when and place of the first page, no page numbers and no
// cursor, and is complete if all pages are.
func Join(pages iter.Seq2[Report, error]) (Report, error) {
	var whole Report
	for page, err := range pages {
		if err != nil {
			return Report{}, err
		}
		if whole.ID == "" {
			whole = page
			whole.Page, whole.Pages, whole.Cursor = 0, 0, ""
			continue
		}
		whole.join(&page)
	}
	if whole.ID == "" {
		return Report{}, errors.New("joining report: no pages")
	}
	return whole, nil
}

func (r *Report) join(page *Report) {
	r.Complete = r.Complete && page.Complete
	for _, reason := range page.Reasons {
		if !slices.Contains(r.Reasons, reason) {
			r.Reasons = append(r.Reasons, reason)
		}
	}
	machines := page.Machines
	if n := len(r.Machines); n > 0 && len(machines) > 0 && r.Machines[n-1].Name == machines[0].Name {
		last := &r.Machines[n-1]
		users := append(last.Users, machines[0].Users...)
		*last = machines[0]
		last.Users = users
		machines = machines[1:]
	}
	r.Machines = append(r.Machines, machines...)
}
