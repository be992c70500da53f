//go:build unix

package enroll

import (
	"bytes"
	"slices"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// TestStandbyInDomain: connected to a leaf node, a service may hold its lease, and hand over
// and receive, in the domain of the streams.
func TestStandbyInDomain(t *testing.T) {
	subjects, err := rollcallv1.NewSubjects(rollcallv1.DefaultSubject)
	if err != nil {
		t.Fatal(err)
	}
	streams := settings.Streams
	streams.Domain = "hub"
	service := roles(subjects, streams)[Service]
	leaf := kit.StartLeafWith(t, kit.StartHub(t).LeafURL(), "edge", func(o *server.Options) {
		o.Users = []*server.User{{Username: "service", Password: "secret", Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: service.publish},
			Subscribe: &server.SubjectPermission{Allow: append(slices.Clone(service.subscribe), service.inbox+".>")},
		}}}
	})
	nc := kit.Conn(t, leaf.URL, nats.UserInfo("service", "secret"), nats.CustomInboxPrefix(service.inbox))
	js, err := jetstream.NewWithDomain(nc, "hub")
	if err != nil {
		t.Fatal(err)
	}
	kit.AwaitDomain(t, js)
	lease, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "ROLLCALL_LEASE"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lease.Update(t.Context(), "rollcall.active", []byte("x"), 0); err != nil {
		t.Errorf("writing the lease: %v: %v", err, nc.LastError())
	}
	store, err := js.CreateObjectStore(t.Context(), jetstream.ObjectStoreConfig{Bucket: "ROLLCALL_HANDOVER"})
	if err != nil {
		t.Fatal(err)
	}
	given := bytes.Repeat([]byte("x"), 300_000) // several messages
	if _, err := store.PutBytes(t.Context(), "x", given); err != nil {
		t.Fatalf("handing over: %v: %v", err, nc.LastError())
	}
	if got, err := store.GetBytes(t.Context(), "x"); err != nil || !bytes.Equal(got, given) {
		t.Errorf("receiving: %v: %v", err, nc.LastError())
	}
	if err := store.Delete(t.Context(), "x"); err != nil {
		t.Errorf("deleting: %v: %v", err, nc.LastError())
	}
}
