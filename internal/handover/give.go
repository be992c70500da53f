package handover

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"rollcall/internal/snapshot"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// Giver hands over.
type Giver struct {
	Conn *nats.Conn // for requests
	// Open opens JetStream over a connection of its own, which is closed afterwards: over
	// Conn, answers and the lease would wait behind a large file.
	Open     func(context.Context) (jetstream.JetStream, error)
	Subjects rollcallv1.Subjects
	Replicas int // of the object store, if it is missing
	Version  string
	// Make makes the files that are handed over; nil: nothing was read yet. It may take
	// minutes.
	Make func(context.Context) (*Files, error)
	Log  *slog.Logger
}

// Files are what is handed over.
type Files struct {
	Snapshot *os.File
	Place    uint64   // of the snapshot
	History  *os.File // nil: none is kept
	// Remove removes the files once they are handed over.
	Remove func()
}

// maxRequests is how many requests wait at a time; further ones are lost, and asked again.
const maxRequests = 16

// Run answers requests until ctx is done. The files are made for one after the other.
func (g *Giver) Run(ctx context.Context) error {
	requests := make(chan *nats.Msg, maxRequests)
	subscription, err := g.Conn.ChanSubscribe(subject(g.Subjects), requests)
	if err != nil {
		return fmt.Errorf("subscribing to %s: %w", subject(g.Subjects), err)
	}
	defer subscription.Unsubscribe() //nolint:errcheck // the connection may be gone
	turn := make(chan struct{}, 1)
	var answering errgroup.Group
	answering.SetLimit(maxRequests)
	defer answering.Wait() //nolint:errcheck // there is none
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-requests:
			answering.Go(func() error {
				g.answer(ctx, m, turn)
				return nil
			})
		}
	}
}

// ids are the ids of requests.
var ids = regexp.MustCompile(`^[0-9A-Za-z]{1,64}$`)

// answer hands over, when turn has room, and says what.
func (g *Giver) answer(ctx context.Context, m *nats.Msg, turn chan struct{}) {
	var r request
	if err := json.Unmarshal(m.Data, &r); err != nil || !ids.MatchString(r.ID) {
		g.respond(m, &Manifest{Error: "id: want up to 64 letters and digits"})
		return
	}
	//guard:false "nothing is made that cannot be read" TestNewerFormat
	if r.Format < snapshot.Format {
		g.respond(m, &Manifest{Version: g.Version, Format: snapshot.Format})
		return
	}
	begun := time.Now()
	made := make(chan Manifest, 1)
	go func() {
		turn <- struct{}{}
		defer func() { <-turn }()
		made <- g.give(ctx, r.ID)
	}()
	say := time.NewTicker(sayEvery)
	defer say.Stop()
	for {
		select {
		case manifest := <-made:
			g.Log.Info("handed over to one that stands by", "place", manifest.Place, "took", time.Since(begun).Round(time.Millisecond), "err", manifest.Error)
			g.respond(m, &manifest)
			return
		//guard:drop "who waits for a hand-over knows that it is being made" TestSlow
		case <-say.C:
			g.respond(m, &Manifest{Making: true, Version: g.Version})
		}
	}
}

func (g *Giver) respond(m *nats.Msg, manifest *Manifest) {
	answer, err := json.Marshal(manifest)
	if err == nil {
		err = m.Respond(answer)
	}
	if err != nil {
		g.Log.Warn("the answer about a hand-over was not sent", "err", err)
	}
}

// give puts the files into the object store.
func (g *Giver) give(ctx context.Context, id string) Manifest {
	if ctx.Err() != nil {
		return Manifest{Error: ctx.Err().Error()}
	}
	files, err := g.Make(ctx)
	if err != nil {
		return Manifest{Error: err.Error()}
	}
	if files == nil {
		return Manifest{Version: g.Version, Format: snapshot.Format}
	}
	defer files.Remove()
	js, err := g.Open(ctx)
	if err != nil {
		return Manifest{Error: err.Error()}
	}
	defer js.Conn().Close()
	// Over a slow link, what is under way would else be waited for.
	defer context.AfterFunc(ctx, js.Conn().Close)()
	// With a deadline, the library gives each message as long, else five seconds.
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	store, err := open(ctx, js, g.Replicas)
	if err != nil {
		return Manifest{Error: err.Error()}
	}
	name := g.Subjects.Base() + "." + id
	manifest := Manifest{Place: files.Place, Snapshot: name + ".snapshot", Version: g.Version, Format: snapshot.Format}
	if _, err := store.Put(ctx, jetstream.ObjectMeta{Name: manifest.Snapshot}, files.Snapshot); err != nil {
		return Manifest{Error: fmt.Sprintf("storing the snapshot in %s: %v", Bucket, err)}
	}
	if files.History != nil {
		manifest.History = name + ".history"
		if _, err := store.Put(ctx, jetstream.ObjectMeta{Name: manifest.History}, files.History); err != nil {
			return Manifest{Error: fmt.Sprintf("storing the history in %s: %v", Bucket, err)}
		}
	}
	return manifest
}
