package handover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"rollcall/internal/datadir"
	"rollcall/internal/history"
	"rollcall/internal/snapshot"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// ErrNobody means that no service is active, ErrNothing that it has read nothing yet.
var (
	ErrNobody  = errors.New("no rollcall is active that could hand over")
	ErrNothing = errors.New("the active rollcall has read nothing yet")
)

// errSilent means that the service that was asked has ended, or is cut off.
var errSilent = errors.New("the active rollcall does not say any more that it makes the hand-over")

// fetchTimeout is how long making and receiving may take in all.
const fetchTimeout = 30 * time.Minute

// Fetch asks the active service for a hand-over, downloads it to the data folder, and checks
// the files. The next [Install] puts them in place. An error that matches
// [snapshot.ErrNewer] means that only a newer program can read them.
func Fetch(ctx context.Context, nc *nats.Conn, js jetstream.JetStream, subjects rollcallv1.Subjects, dir string) (*Manifest, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	manifest, err := ask(ctx, nc, subject(subjects))
	if err != nil {
		return nil, err
	}
	store, err := js.ObjectStore(ctx, Bucket)
	if err != nil {
		return nil, fmt.Errorf("opening object store %s: %w", Bucket, err)
	}
	//guard:drop "nothing is left of what could not be received" TestNothingIsLeft
	defer discard(store, manifest)
	to := folder(dir)
	if err := errors.Join(os.RemoveAll(to), os.MkdirAll(to, 0o700)); err != nil {
		return nil, err
	}
	if err := receive(ctx, store, manifest, to); err != nil {
		return nil, errors.Join(err, os.RemoveAll(to))
	}
	return manifest, nil
}

// ask asks for a hand-over, and waits until it is in the object store.
func ask(ctx context.Context, nc *nats.Conn, subject string) (*Manifest, error) {
	question, err := json.Marshal(request{ID: nuid.Next(), Format: snapshot.Format})
	if err != nil {
		return nil, err
	}
	inbox := nc.NewInbox()
	answers, err := nc.SubscribeSync(inbox)
	if err == nil {
		defer answers.Unsubscribe() //nolint:errcheck // the connection may be gone
		err = nc.PublishRequest(subject, inbox, question)
	}
	if err != nil {
		return nil, fmt.Errorf("asking on %s: %w", subject, err)
	}
	manifest := &Manifest{Making: true}
	for manifest.Making {
		m, err := nextAnswer(ctx, answers)
		if err != nil {
			return nil, fmt.Errorf("asking on %s: %w", subject, err)
		}
		manifest = new(Manifest)
		if err := json.Unmarshal(m.Data, manifest); err != nil {
			return nil, fmt.Errorf("reading the answer of %s: %w", subject, err)
		}
	}
	if manifest.Error != "" {
		return nil, fmt.Errorf("the active rollcall could not hand over: %s", manifest.Error)
	}
	//guard:false "who cannot read what the active rollcall knows waits" TestNewerFormat
	if manifest.Format > snapshot.Format {
		return nil, fmt.Errorf("the snapshot of the active rollcall, of version %s: %w: %d, this program reads up to %d: upgrade it", manifest.Version, snapshot.ErrNewer, manifest.Format, snapshot.Format)
	}
	if manifest.Snapshot == "" {
		return nil, ErrNothing
	}
	return manifest, nil
}

// nextAnswer waits for a message about a hand-over.
func nextAnswer(ctx context.Context, answers *nats.Subscription) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, silentFor, errSilent)
	defer cancel()
	m, err := answers.NextMsgWithContext(ctx)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, ErrNobody
	case err != nil && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	return m, err
}

// receive receives the files into a folder, checks them, and completes it.
func receive(ctx context.Context, store jetstream.ObjectStore, m *Manifest, to string) error {
	path := filepath.Join(to, snapshotFile)
	if err := download(ctx, store, m.Snapshot, path); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := snapshot.Inspect(f)
	if err != nil {
		return fmt.Errorf("the snapshot of the active rollcall, of version %s: %w", m.Version, err)
	}
	if m.History != "" {
		path := filepath.Join(to, historyFile)
		if err := download(ctx, store, m.History, path); err != nil {
			return err
		}
		//guard:false "a history of another version is not taken" TestOtherVersions
		if err := history.Check(path); err != nil {
			return fmt.Errorf("the history of the active rollcall, of version %s: %w", m.Version, err)
		}
	}
	return datadir.Replace(filepath.Join(to, completeFile), fmt.Appendf(nil, "%d\n", info.Status.Position.Place), 0o600)
}
