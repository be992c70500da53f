package config

import (
	"fmt"
	"testing"

	"rollcall/internal/test/kit"
)

// TestDomain: the name of a JetStream domain is checked, and needs a server.
func TestDomain(t *testing.T) {
	const remedy = "; use the name in jetstream { domain: … } of its servers, such as hub"
	for value, want := range map[string]string{
		"hub":         "<nil>",
		"$JS.hub.API": `NATS_JS_DOMAIN: "$JS.hub.API" is a prefix of subjects, not the name of a domain` + remedy,
		"a.b":         `NATS_JS_DOMAIN: "a.b" is not the name of a domain` + remedy,
		"*":           `NATS_JS_DOMAIN: "*" is not the name of a domain` + remedy,
		"the hub":     `NATS_JS_DOMAIN: "the hub" is not the name of a domain` + remedy,
	} {
		kit.Environment(t, map[string]string{"NATS_URL": "nats://127.0.0.1:1", "NATS_JS_DOMAIN": value})
		if _, err := ReadClient(nil); fmt.Sprint(err) != want {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
	kit.Environment(t, map[string]string{"NATS_JS_DOMAIN": "hub"})
	if _, err := ReadClient(nil); fmt.Sprint(err) != "NATS_JS_DOMAIN: requires NATS_URL; set both or neither" {
		t.Error(err)
	}
}
