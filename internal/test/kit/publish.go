package kit

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// PublishLogins waits until the connection is up, then publishes n valid events.
func PublishLogins(t testing.TB, js jetstream.JetStream, n int) {
	t.Helper()
	Eventually(t, js.Conn().IsConnected, "connected to NATS")
	for i := range n {
		if _, err := js.Publish(t.Context(), "rollcall.events", LoginNow(i)); err != nil {
			t.Fatal(err)
		}
	}
}

// LoginNow returns a login on the machine with this number, dated now.
func LoginNow(machine int) []byte {
	return fmt.Appendf(nil, `{"date":%q,"type":"login","machine":"m%d","user":"lane"}`, time.Now().UTC().Format(time.RFC3339Nano), machine)
}
