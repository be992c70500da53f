package natsconn

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"rollcall/internal/test/kit"
)

// keyPair returns a seed and the server option that lets only its user log in.
func keyPair(t *testing.T) (seed []byte, only func(*server.Options)) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err = pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return seed, func(o *server.Options) { o.Nkeys = []*server.NkeyUser{{Nkey: public}} }
}

// TestRenewedKey: a long-lived connection logs in with a new key as soon as the
// file holds it; the file may be missing for a while.
func TestRenewedKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "nk")
	old, onlyOld := keyPair(t)
	renewed, onlyRenewed := keyPair(t)
	put := func(seed []byte) {
		t.Helper()
		if err := os.WriteFile(file, seed, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(old)
	s := kit.StartServer(t, onlyOld)
	log, r := logger()
	nc, err := Connect(t.Context(), Options{URL: s.URL, NKey: file}, "test", log,
		nats.ReconnectWait(20*time.Millisecond), nats.ReconnectJitter(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	s.Stop()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	s.Start(onlyRenewed)
	put(old)
	kit.Eventually(t, func() bool { return r.Has("nats refuses the login") }, "the old key is refused")
	put(renewed)
	kit.Eventually(t, nc.IsConnected, "the connection is back with the new key")
}

// TestRefused checks which connection errors are refused logins, and their texts.
func TestRefused(t *testing.T) {
	o := Options{URL: "nats://127.0.0.1:4222", NKey: "admin.nk"}
	err := o.Refused(nats.ErrAuthorization)
	if err == nil || !strings.Contains(err.Error(), `NATS at nats://127.0.0.1:4222 refuses NATS_NKEY "admin.nk" (`+nats.ErrAuthorization.Error()) {
		t.Errorf("%v", err)
	}
	// The text of the server, which the library has while it connects.
	if err := o.Refused(errors.New("nats: User Authentication Expired")); err == nil {
		t.Error("a login that expires while it connects is not refused")
	}
	if err := o.Refused(nats.ErrSlowConsumer); err != nil {
		t.Errorf("%v", err)
	}
}
