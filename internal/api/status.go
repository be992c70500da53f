package api

import (
	"errors"
	"fmt"
	"time"
)

// StatusAnswer is the state of the service itself. It is also given before the
// service has caught up: then replaying is among the reasons.
type StatusAnswer struct {
	Head
	Version string `json:"version"`
	// CaughtUp says that everything that the stream had at the start has been read,
	// and that the state of the stream is known. Lag is how many of its messages have
	// no fate yet; nil while that is unknown.
	CaughtUp bool    `json:"caught_up"`
	Lag      *uint64 `json:"lag,omitzero"`
	// AcceptLoss is set while losses keep the roster from being complete: the
	// value of ROLLCALL_ACCEPT_LOSS, a place, that accepts all of them.
	AcceptLoss uint64 `json:"accept_loss,omitzero"`
	// Machines counts those that reports show; Silent, those of them that have not
	// been heard for a long time.
	Machines int `json:"machines"`
	Silent   int `json:"silent"`
	// Limited counts the machines that had events refused because of a limit since
	// their last boot, shutdown or present.
	Limited int `json:"limited,omitzero"`
	// Sources are what was read of the streams that the stream of events sources.
	Sources []Source `json:"sources,omitzero"`
	// Missing is how many events of all machines never arrived, as far as their numbers
	// tell. It falls only when one arrives.
	Missing uint64 `json:"missing,omitzero"`
	// Users counts those who are on at least one machine; OnSeveral, on more than one.
	Users     int `json:"users"`
	OnSeveral int `json:"on_several"`
	Sessions  int `json:"sessions"`
	// Fates add up to the place.
	Fates Fates `json:"fates"`
	// Snapshot is the one that was saved or loaded last; nil: none yet.
	Snapshot *Snapshot `json:"snapshot,omitzero"`
	// History is how far the history is; nil: none is kept.
	History *HistoryStatus `json:"history,omitzero"`
	// Instances are the processes on these subjects, this one first; nil: no other is
	// known.
	Instances []Instance `json:"instances,omitzero"`
	// Failing are the checks of /readyz that fail.
	Failing []Check `json:"failing,omitzero"`
	Limits  Limits  `json:"limits"`
}

// Limits are the settings beyond which an event is refused. A number is 0 if there is no
// limit.
type Limits struct {
	// MaxSkew is how long after its receipt an event may be dated. AllowedLateness is how
	// long before the newest event of its machine. Both are like "10m0s".
	MaxSkew         string `json:"max_skew"`
	AllowedLateness string `json:"allowed_lateness"`
	// MaxMachines bounds the machines that reports show, the others the open sessions.
	MaxMachines           int `json:"max_machines"`
	MaxSessions           int `json:"max_sessions"`
	MaxSessionsPerMachine int `json:"max_sessions_per_machine"`
}

// Check is a check of /readyz that fails.
type Check struct {
	Name  string `json:"name"`
	State string `json:"state"`
}

// Fates counts the messages since the first, by fate.
type Fates struct {
	Applied      uint64 `json:"applied"`
	Superseded   uint64 `json:"superseded"`
	DeadLettered uint64 `json:"dead_lettered"`
	Lost         uint64 `json:"lost"`
}

// Snapshot describes a snapshot file.
type Snapshot struct {
	Place   uint64    `json:"place"`
	Written time.Time `json:"written"`
	Size    int64     `json:"size"` // bytes
	// StateDigest is the SHA-256 of the roster's encoding, in hexadecimal: equal
	// rosters have equal digests.
	StateDigest string `json:"state_digest"`
}

// HistoryStatus is how far the history is, and how large.
type HistoryStatus struct {
	Place uint64 `json:"place"`
	// Behind says that it is catching up with the roster.
	Behind bool `json:"behind,omitzero"`
	// Failing is why it cannot be written; empty while it can.
	Failing string `json:"failing,omitzero"`
	// Sessions counts those that have ended.
	Sessions int64 `json:"sessions"`
	Size     int64 `json:"size"` // bytes
	// KeptFrom is the date before which none are kept; zero: all are.
	KeptFrom time.Time `json:"kept_from,omitzero"`
}

// Instance is one process on these subjects. Of those that stand by for each other, the
// active one answers. If two others use the same subjects, NATS picks one at random for each
// question, and it answers from its own roster.
type Instance struct {
	// ID is new after each start.
	ID       string    `json:"instance"`
	Version  string    `json:"version"`
	Started  time.Time `json:"started"`
	Stream   string    `json:"stream"`
	Sequence uint64    `json:"sequence"`
	Place    uint64    `json:"place"`
	// Settings is a digest of the settings that affect the fold: processes with the
	// same digest fold the same events to the same roster.
	Settings string `json:"settings"`
	// Standby says that it is one of several that stand by for each other; Active, that it
	// answers and publishes. One that does not stand by is always active.
	Standby bool `json:"standby,omitzero"`
	Active  bool `json:"active,omitzero"`
	// CaughtUp is as in [StatusAnswer].
	CaughtUp bool `json:"caught_up,omitzero"`
	// Offset is what a sequence of the stream lacks to be a place.
	Offset int64 `json:"offset,omitzero"`
	// Differs says, in words, in what a process that stands by differs from the active one,
	// beside its place and its version.
	Differs []string `json:"differs,omitzero"`
}

// maxDiffers bounds Differs.
const maxDiffers = 16

// MaxInstance bounds the ID of an instance, and each other string of its answer, in
// bytes: they are untrusted.
const MaxInstance = 256

func (i *Instance) check() error {
	if i.ID == "" {
		return errors.New("no instance")
	}
	for _, part := range append([]string{i.ID, i.Version, i.Stream, i.Settings}, i.Differs...) {
		if len(part) > MaxInstance {
			return fmt.Errorf("instance, version, stream, settings or differs has more than %d bytes", MaxInstance)
		}
	}
	if len(i.Differs) > maxDiffers {
		return fmt.Errorf("differs has more than %d entries", maxDiffers)
	}
	return nil
}

// Source is what was read of a stream that the stream of events sources.
type Source struct {
	// Source is its name, after its domain if that is another: fra/ROLLCALL_EVENTS.
	Source string `json:"source"`
	// Missing is how many of its messages never arrived, as far as is known.
	Missing uint64 `json:"missing,omitzero"`
	// Gap and Recreated are the places of the last messages that showed that some are missing,
	// and that the source was created anew, unless they are accepted.
	Gap       uint64 `json:"gap,omitzero"`
	Recreated uint64 `json:"recreated,omitzero"`
}
