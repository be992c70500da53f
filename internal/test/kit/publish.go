package kit

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// PublishLogins publishes n good events, once the connection is there.
func PublishLogins(t testing.TB, js jetstream.JetStream, n int) {
	t.Helper()
	Eventually(t, js.Conn().IsConnected, "the test is connected")
	for i := range n {
		if _, err := js.Publish(t.Context(), "rollcall.events", LoginNow(i)); err != nil {
			t.Fatal(err)
		}
	}
}

// LoginNow is an event of this moment, on a machine by its number.
func LoginNow(machine int) []byte {
	return fmt.Appendf(nil, `{"date":%q,"type":"login","machine":"m%d","user":"lane"}`, time.Now().UTC().Format(time.RFC3339Nano), machine)
}
