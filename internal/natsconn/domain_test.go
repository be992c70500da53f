package natsconn

import (
	"testing"

	"rollcall/internal/test/kit"
)

// TestWrongDomain: a domain that no server is in is a wrong configuration, and the error
// names it.
func TestWrongDomain(t *testing.T) {
	nc := kit.Conn(t, kit.StartHub(t).URL)
	js, err := Domain("nowhere").JetStream(nc)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Prepare(t.Context(), js, ourStreams(t), kit.Logger(t))
	wantError(t, err, true, "no JetStream in domain nowhere answers on NATS at nats://127.0.0.1:", "correct NATS_JS_DOMAIN")
}
