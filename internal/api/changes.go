package api

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

// Change is what changed on one machine: the message Change of the wire
// contract.
type Change struct {
	Machine string    `json:"machine"`
	When    time.Time `json:"when"`
	// Place is the last place that Came and Left include. Previous is the Place of
	// the machine's previous change or, for its first change, the place from which on
	// the service publishes changes. A watcher that knows the machine as it was at
	// Previous or later has missed nothing.
	Place    uint64 `json:"place"`
	Previous uint64 `json:"previous"`
	// Came, Left and Users are in byte order.
	Came  []string `json:"came"`
	Left  []string `json:"left"`
	Users []string `json:"users"`
	// Large says that Came, Left and Users do not fit in one message, and are
	// omitted.
	Large bool `json:"large,omitzero"`
	// Instance is the process that publishes, and Number which of its messages this is,
	// from 1: changes and beats together. A number that is left out was missed.
	Instance string `json:"instance,omitzero"`
	Number   uint64 `json:"number,omitzero"`
	// Heard, Changed, Silent, Incomplete and Missing are as in [Machine], at When.
	Heard      time.Time `json:"heard"`
	Changed    time.Time `json:"changed,omitzero"`
	Silent     bool      `json:"silent,omitzero"`
	Incomplete bool      `json:"incomplete,omitzero"`
	Missing    uint64    `json:"missing,omitzero"`
}

// Beat is about all machines: the message ChangesBeat of the wire contract.
type Beat struct {
	When  time.Time `json:"when"`
	Place uint64    `json:"place"`
	// Since is the place from which on the service publishes changes.
	Since uint64 `json:"since"`
	// Instance and Number are as in [Change].
	Instance string `json:"instance,omitzero"`
	Number   uint64 `json:"number,omitzero"`
	// Silent are the machines that fell silent since the beat before, Heard those that
	// were silent and no longer are, and Gone those that reports no longer show. They are
	// in byte order, and empty in the first beat of an instance.
	Silent []string `json:"silent,omitempty"`
	Heard  []string `json:"heard,omitempty"`
	Gone   []string `json:"gone,omitempty"`
	// More says that another message of the beat follows, with the same When.
	More bool `json:"more,omitzero"`
	// SilentMachines is how many machines are silent, of those that reports show.
	SilentMachines int `json:"silent_machines"`
}

// DecodeChange decodes a change. Unknown keys are ignored.
func DecodeChange(data []byte) (Change, error) {
	var c Change
	if err := json.Unmarshal(data, &c); err != nil {
		return Change{}, fmt.Errorf("decoding change: %w", err)
	}
	if c.Machine == "" || c.Place == 0 || c.Users == nil || !dated(c.When) || !dated(c.Heard) {
		return Change{}, errors.New("decoding change: machine, when, place, users or heard are missing")
	}
	return c, nil
}

// DecodeBeat decodes a beat. Unknown keys are ignored.
func DecodeBeat(data []byte) (Beat, error) {
	var b Beat
	if err := json.Unmarshal(data, &b); err != nil {
		return Beat{}, fmt.Errorf("decoding beat of changes: %w", err)
	}
	if b.When.IsZero() {
		return Beat{}, errors.New("decoding beat of changes: when is missing")
	}
	return b, nil
}
