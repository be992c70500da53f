package lease

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/natsconn"
	"rollcall/internal/test/kit"
)

// open returns the opened bucket of a new server.
func open(t *testing.T) (*cluster, *bucket) {
	t.Helper()
	c := newCluster(t)
	b := newBucket(c.js, Key(subjects(t)), 1, kit.Logger(t))
	wantEntry(t, b, 0, "")
	return c, b
}

// wantEntry requires that the key is at a revision, and holds a value; "" is none.
func wantEntry(t *testing.T, b *bucket, revision uint64, raw string) {
	t.Helper()
	e, err := b.read(t.Context())
	if err != nil || e.revision != revision || string(e.raw) != raw || (e.raw == nil) != (raw == "") {
		t.Errorf("%+v (%v), want %q at revision %d", e, err, raw, revision)
	}
}

// TestExpectedRevision: the key is written only if it is at the revision that is
// expected, deleted or not.
func TestExpectedRevision(t *testing.T) {
	c, b := open(t)
	write := func(expected uint64, raw string, ok bool) uint64 {
		t.Helper()
		revision, err := b.update(t.Context(), expected, []byte(raw))
		if ok && err != nil || !ok && !errors.Is(err, errRefused) {
			t.Errorf("writing %s at revision %d: %d, %v", raw, expected, revision, err)
		}
		return revision
	}
	first := write(0, "a", true)
	write(0, "b", false)
	second := write(first, "c", true)
	write(first, "d", false)
	wantEntry(t, b, second, "c")
	if err := c.kv().Delete(t.Context(), b.key); err != nil {
		t.Fatal(err)
	}
	write(0, "e", false)
	write(second, "f", false)
	wantEntry(t, b, second+1, "")
	write(second+1, "g", true)
	wantEntry(t, b, second+2, "g")
}

// TestBucketSettings: the bucket that is created has no TTL and keeps what is
// acknowledged; one with which the lease does not work is refused.
func TestBucketSettings(t *testing.T) {
	c, _ := open(t)
	s, err := c.kv().Status(t.Context())
	if err != nil || s.TTL() != 0 || s.History() != 1 || s.LimitMarkerTTL() != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	for want, config := range map[string]jetstream.KeyValueConfig{
		"has a TTL of 5s": {TTL: 5 * time.Second},
		"is a copy":       {Sources: []*jetstream.StreamSource{{Name: "KV_OTHER", Domain: "hub"}}},
	} {
		c := newCluster(t)
		config.Bucket = Bucket
		if _, err := c.js.CreateKeyValue(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		err := Prepare(t.Context(), c.js, 1, kit.Logger(t))
		if !errors.Is(err, natsconn.ErrConfiguration) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want that it %s", err, want)
		}
	}
	// A server may be away: that passes.
	err = Prepare(t.Context(), newCluster(t).js, 3, kit.Logger(t))
	if err == nil || errors.Is(err, natsconn.ErrConfiguration) || !strings.Contains(err.Error(), "with 3 replicas") {
		t.Errorf("%v, want that there are too few servers", err)
	}
	if err := Prepare(t.Context(), c.js, 3, slog.New(slog.NewTextHandler(c.log, nil))); err != nil || !c.log.Has("nats kv edit ROLLCALL_LEASE --replicas") {
		t.Errorf("%v, and the log has %s; want that there are too few replicas", err, c.log)
	}
}

// TestWasHeld: whether the lease was held, also if there is no bucket, which stays so.
func TestWasHeld(t *testing.T) {
	c := newCluster(t)
	held := func() bool {
		t.Helper()
		was, err := WasHeld(t.Context(), c.js, subjects(t), kit.Logger(t))
		if err != nil {
			t.Error(err)
		}
		return was
	}
	if held() {
		t.Error("it was held without a bucket")
	}
	if _, err := c.js.Stream(t.Context(), stream); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("%v, want that there is no bucket", err)
	}
	if err := Prepare(t.Context(), c.js, 1, kit.Logger(t)); err != nil {
		t.Fatal(err)
	}
	if held() {
		t.Error("it was held before anybody was active")
	}
	a := c.start(shortTTL)
	c.awaitActive(a)
	a.kill()
	if !held() {
		t.Error("it was not held after somebody was active")
	}
}

// TestBucketOfAnother: a bucket that somebody has created as usual serves.
func TestBucketOfAnother(t *testing.T) {
	c := newCluster(t)
	if _, err := c.js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: Bucket, History: 5}); err != nil {
		t.Fatal(err)
	}
	a := c.start(shortTTL)
	c.awaitActive(a)
}

// TestBucketEdited: a bucket that was edited as "nats kv edit" does it serves, and is read by the
// same requests as before.
func TestBucketEdited(t *testing.T) {
	c := newCluster(t)
	if err := Prepare(t.Context(), c.js, 1, kit.Logger(t)); err != nil {
		t.Fatal(err)
	}
	config := jetstream.KeyValueConfig{Bucket: Bucket, MaxValueSize: maxMessage, History: 1, MaxBytes: maxBytes, Storage: jetstream.FileStorage, Replicas: 1}
	if _, err := c.js.UpdateKeyValue(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	direct, err := c.js.Conn().SubscribeSync("$JS.API.DIRECT.GET.>")
	if err != nil {
		t.Fatal(err)
	}
	a := c.start(shortTTL)
	c.awaitActive(a)
	a.kill()
	c.awaitActive(c.start(shortTTL))
	if m, err := direct.NextMsg(time.Millisecond); err == nil {
		t.Errorf("a request on %s", m.Subject)
	}
}

// TestBucketDeleted: a bucket that was deleted is created again, and repeats no revision.
func TestBucketDeleted(t *testing.T) {
	c := newCluster(t)
	c.free()
	a := c.start(shortTTL)
	before := c.awaitActive(a)
	if err := c.js.DeleteKeyValue(t.Context(), Bucket); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, func() bool { return a.Term() > before }, "it is active in a new term")
	a.kill()
	if err := c.js.DeleteKeyValue(t.Context(), Bucket); err != nil {
		t.Fatal(err)
	}
	if after := c.awaitActive(c.start(shortTTL)); after <= before {
		t.Errorf("term %d after %d", after, before)
	}
}
