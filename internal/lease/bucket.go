package lease

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/natsconn"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// Bucket is the key-value bucket with the leases of all installations of an account, and
// stream its stream.
const (
	Bucket = "ROLLCALL_LEASE"
	stream = "KV_" + Bucket
)

// Key returns the key of an installation's lease: "rollcall.active".
func Key(s rollcallv1.Subjects) string { return s.Base() + ".active" }

// bucket reads and writes one key. It is used by one goroutine at a time.
type bucket struct {
	js       jetstream.JetStream
	key      string
	subject  string // the key's, of which the stream has the value
	replicas int
	log      *slog.Logger

	opened bool
	kv     jetstream.KeyValue
	values jetstream.Stream // of kv
}

func newBucket(js jetstream.JetStream, key string, replicas int, log *slog.Logger) *bucket {
	return &bucket{js: js, key: key, subject: "$KV." + Bucket + "." + key, replicas: replicas, log: log}
}

// request returns the subject of a request about the bucket's stream.
func (b *bucket) request(of string) string { return b.domain().API() + of + stream }

// written returns the subject on which the key is written.
func (b *bucket) written() string {
	if b.domain() == "" {
		return b.subject
	}
	return b.domain().API() + b.subject
}

func (b *bucket) domain() natsconn.Domain { return natsconn.Domain(b.js.Options().Domain) }

// Prepare creates the bucket if it is missing, with so many replicas, and checks one that
// exists. The service calls it at its start: an error that matches [natsconn.ErrConfiguration] needs a change
// of configuration; others are temporary, and Run tries again.
func Prepare(ctx context.Context, js jetstream.JetStream, replicas int, log *slog.Logger) error {
	return newBucket(js, "", replicas, log).open(ctx)
}

// open opens the bucket, and creates it if it is missing.
func (b *bucket) open(ctx context.Context) error {
	values, err := b.js.Stream(ctx, stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		values, err = b.create(ctx)
	}
	if err != nil {
		return b.explain("opening bucket "+Bucket, b.request("STREAM.INFO."), err)
	}
	if err := b.check(&values.CachedInfo().Config); err != nil {
		return err
	}
	kv, err := b.js.KeyValue(ctx, Bucket)
	if err != nil {
		return b.explain("opening bucket "+Bucket, b.request("STREAM.INFO."), err)
	}
	// Let the stream's leader answer reads, whatever the bucket says: others may be behind, and
	// this login need not be allowed to ask them. "nats kv edit" changes what it says.
	//guard:drop "reads are answered by the leader" TestBucketEdited
	values.CachedInfo().Config.AllowDirect = false
	b.kv, b.values, b.opened = kv, values, true
	return nil
}

// create creates the bucket. Only a configuration of the stream can say where revisions
// begin, and that the leader answers reads; else it is what [jetstream.KeyValueManager]
// would create.
func (b *bucket) create(ctx context.Context) (jetstream.Stream, error) {
	values, err := b.js.CreateStream(ctx, jetstream.StreamConfig{
		Name:              stream,
		Description:       "rollcall: which instance is active",
		Subjects:          []string{"$KV." + Bucket + ".>"},
		MaxMsgsPerSubject: 1,
		MaxBytes:          maxBytes,
		MaxMsgSize:        maxMessage,
		Discard:           jetstream.DiscardNew,
		Storage:           jetstream.FileStorage,
		Replicas:          max(b.replicas, 1),
		AllowRollup:       true,
		DenyDelete:        true,
		// A bucket that was deleted and created again never repeats a revision: an
		// update that expects the old one would be stored.
		//guard:drop "revisions are never repeated" TestBucketDeleted
		FirstSeq: uint64(time.Now().UnixMilli()),
	})
	switch code := codeOf(err); {
	case errors.Is(err, jetstream.ErrStreamNameAlreadyInUse): // another instance was faster
		return b.js.Stream(ctx, stream)
	case code == errNoPeers || code == errNoReplicas: // a server of the cluster is away
		return nil, fmt.Errorf("creating bucket %s with %d replicas, as the stream of events has: %w: start all servers of the cluster", Bucket, b.replicas, err)
	case err != nil:
		return nil, b.explain("creating bucket "+Bucket, b.request("STREAM.CREATE.")+" (or create it with one that may: `nats kv add "+Bucket+"`)", err)
	}
	b.log.Info("created the bucket of the lease", "bucket", Bucket, "replicas", max(b.replicas, 1))
	return values, nil
}

// maxMessage is the size in bytes of the largest message in the bucket: a value and its
// headers. maxBytes is room for the leases of a hundred installations.
const (
	maxMessage = maxValue + 4<<10
	maxBytes   = 100 * maxMessage
)

// The error codes of the server's API that are distinguished.
const (
	errNoPeers    = 10005 // too few servers for the replicas
	errNoReplicas = 10074 // the server is not in a cluster
)

func codeOf(err error) jetstream.ErrorCode {
	var api jetstream.JetStreamError
	if errors.As(err, &api) && api.APIError() != nil {
		return api.APIError().ErrorCode
	}
	return 0
}

// check refuses a bucket with which the lease does not work.
func (b *bucket) check(c *jetstream.StreamConfig) error {
	switch {
	//guard:false "no server's wall clock ends a lease" TestBucketSettings
	case c.MaxAge > 0:
		return natsconn.Misconfigured("bucket %s has a TTL of %v, after which it forgets who holds the lease: set it to 0 (`nats stream edit %s --max-age=0`), or delete the bucket", Bucket, c.MaxAge, stream)
	case c.Mirror != nil || len(c.Sources) > 0:
		return natsconn.Misconfigured("bucket %s is a copy of another, so instances may see different holders: delete it", Bucket)
	case c.NoAck:
		return natsconn.Misconfigured("bucket %s has no_ack, so nobody learns whether the lease is theirs: delete it", Bucket)
	case c.MaxMsgsPerSubject < 1:
		return natsconn.Misconfigured("stream %s is no key-value bucket (max_msgs_per_subject is %d): delete it", stream, c.MaxMsgsPerSubject)
	case c.Storage == jetstream.MemoryStorage:
		b.log.Warn("the bucket of the lease is kept in memory: a restart of NATS forgets who is active", "bucket", Bucket)
	case c.Replicas < b.replicas:
		b.log.Warn("the bucket of the lease has fewer replicas than the stream of events: nobody is active while its server is away; change that by nats kv edit "+Bucket+" --replicas",
			"bucket", Bucket, "replicas", c.Replicas, "want", b.replicas)
	}
	return nil
}

// read reads the key.
func (b *bucket) read(ctx context.Context) (entry, error) {
	if !b.opened {
		if err := b.open(ctx); err != nil {
			return entry{}, err
		}
	}
	// Not kv.Get, which hides the revision of a key that was deleted: what is written
	// next must expect it, or a key that was taken and deleted again looks the same.
	m, err := b.values.GetLastMsgForSubject(ctx, b.subject)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return newEntry(0, nil), nil
	//guard:false "a bucket that was deleted is created again" TestBucketDeleted
	case errors.Is(err, jetstream.ErrStreamNotFound):
		b.opened = false // the next read opens it
		return entry{}, fmt.Errorf("bucket %s was deleted: it is created again", Bucket)
	case err != nil:
		return entry{}, b.explain("reading key "+b.key, b.request("STREAM.MSG.GET."), err)
	case isMarker(m.Header):
		return newEntry(m.Sequence, nil), nil
	case m.Data == nil:
		m.Data = []byte{}
	}
	return newEntry(m.Sequence, m.Data), nil
}

// isMarker reports whether a message says that the key was deleted.
func isMarker(h nats.Header) bool {
	return h.Get("KV-Operation") != "" || h.Get(jetstream.MarkerReasonHeader) != ""
}

// errRefused says that the key is not at the revision that an update expects.
var errRefused = errors.New("the key has changed")

// update writes the key if it is at a revision, 0 if it never was written, and returns the
// new one.
func (b *bucket) update(ctx context.Context, revision uint64, raw []byte) (uint64, error) {
	//guard:set b.kv.Update(...) "b.kv.Put(ctx, b.key, raw)" "nobody overwrites what it has not seen" TestExpectedRevision
	written, err := b.kv.Update(ctx, b.key, raw, revision)
	switch {
	case errors.Is(err, jetstream.ErrKeyRevisionMismatch):
		return 0, fmt.Errorf("%w: %w", errRefused, err)
	case err != nil:
		return 0, b.explain("writing key "+b.key, b.written(), err)
	}
	return written, nil
}

// explain adds to an error what to do about it. A denied request looks like a time-out; the
// connection's last error has the reason.
func (b *bucket) explain(doing, subject string, err error) error {
	last := b.js.Conn().LastError()
	switch {
	case errors.Is(err, natsconn.ErrConfiguration):
		return err
	case errors.Is(err, context.DeadlineExceeded) && errors.Is(last, nats.ErrPermissionViolation):
		return fmt.Errorf("%s: %w: let this login publish to %s, and subscribe to its inbox (NATS_INBOX_PREFIX)", doing, last, subject)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// WasHeld reports whether an instance holds the lease of an installation, or ever held it. It
// creates no bucket.
func WasHeld(ctx context.Context, js jetstream.JetStream, s rollcallv1.Subjects, log *slog.Logger) (bool, error) {
	//guard:false "who asks whether the lease was held creates no bucket" TestWasHeld
	if _, err := js.Stream(ctx, stream); errors.Is(err, jetstream.ErrStreamNotFound) {
		return false, nil
	}
	e, err := newBucket(js, Key(s), 0, log).read(ctx)
	return e.Instance != "", err
}
