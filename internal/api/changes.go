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
}

// Beat is about all machines: the message ChangesBeat of the wire contract.
type Beat struct {
	When  time.Time `json:"when"`
	Place uint64    `json:"place"`
	// Since is the place from which on the service publishes changes.
	Since uint64 `json:"since"`
}

// DecodeChange decodes a change. Unknown keys are ignored.
func DecodeChange(data []byte) (Change, error) {
	var c Change
	if err := json.Unmarshal(data, &c); err != nil {
		return Change{}, fmt.Errorf("decoding change: %w", err)
	}
	if c.Machine == "" || c.Place == 0 || c.Users == nil {
		return Change{}, errors.New("decoding change: machine, place or users are missing")
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
