// Package handover gives what the active one of several services knows to one that has
// nothing: a snapshot of the roster, and a copy of the history. The stream alone would not
// do: on an installation that is older than its stream, who logged in before the stream's
// first message would be forgotten, and so would the history.
//
// Whoever wants it asks on rollcall.query.handover. The active one, which alone answers,
// puts both into the object store [Bucket], under names that begin with the base of the
// subjects, and answers with a [Manifest]. [Fetch] receives them into a folder in the data
// folder, and checks them; [Install] puts them in place when the service starts.
//
// give.go is the active one's part, fetch.go that of the other, install.go the files.
package handover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	rollcallv1 "rollcall/proto/rollcall/v1"
)

// Bucket is the object store in which things are handed over.
const Bucket = "ROLLCALL_HANDOVER"

// keep is how long something stays in the object store that nobody has fetched.
const keep = time.Hour

// Manifest says what was handed over.
type Manifest struct {
	// Place is the snapshot's; Snapshot and History are the names of the objects. Snapshot
	// is empty if nothing was read yet, History if none is kept.
	Place    uint64 `json:"place"`
	Snapshot string `json:"snapshot,omitzero"`
	History  string `json:"history,omitzero"`
	// Version is that of the program, Format that of the snapshot.
	Version string `json:"version"`
	Format  uint32 `json:"format"`
	// Error is why nothing was handed over; empty: it was.
	Error string `json:"error,omitzero"`
	// Making says that it is still being made: another message follows.
	Making bool `json:"making,omitzero"`
}

// While a hand-over is made, which may take minutes, the active service says so every
// sayEvery. Whoever hears nothing for silentFor knows that nobody makes it any more. Tests
// shorten these times.
var (
	sayEvery  = time.Second
	silentFor = 10 * time.Second
)

// request asks for a hand-over.
type request struct {
	// ID is a part of the objects' names.
	ID string `json:"id"`
	// Format is the newest format of a snapshot that can be read.
	Format uint32 `json:"format"`
}

// subject is where to ask.
func subject(s rollcallv1.Subjects) string { return s.Query("handover") }

// open opens the object store, and creates it if it is missing.
func open(ctx context.Context, js jetstream.JetStream, replicas int) (jetstream.ObjectStore, error) {
	store, err := js.ObjectStore(ctx, Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		store, err = js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{
			Bucket: Bucket, Description: "rollcall: snapshots and histories for services that stand by",
			TTL: keep, Replicas: max(replicas, 1), Storage: jetstream.FileStorage,
		})
	}
	if err != nil {
		return nil, fmt.Errorf("opening object store %s: %w", Bucket, err)
	}
	return store, nil
}
