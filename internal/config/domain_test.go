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

// TestSources: the list of who may speak for whom is checked, and means the same in any order.
func TestSources(t *testing.T) {
	const remedy = "; use a list such as fra/ROLLCALL_EVENTS=*.fra.example.com *.fra2.example.com,local=hub1: domain/stream=machines, separated by commas; * and ? in names of machines"
	for value, want := range map[string]string{
		"":                        "<nil>",
		"ber/E=b,fra/E=*.b a":     "<nil>",
		"fra/E":                   `ROLLCALL_SOURCES: "fra/E" has no "="` + remedy,
		"fra/E=a,local=*,local=*": `ROLLCALL_SOURCES: "local" is listed twice` + remedy,
	} {
		kit.Environment(t, map[string]string{"NATS_URL": "nats://127.0.0.1:1", "ROLLCALL_SOURCES": value})
		cfg, err := ReadServe(func(string) error { return nil })
		if fmt.Sprint(err) != want {
			t.Errorf("%q: %v\nwant %s", value, err, want)
		}
		if err != nil {
			continue
		}
		settings := cfg.Settings().Sources
		if settings != "" && settings != "ber/E=b,fra/E=*.b a" || cfg.Speakers().String() != settings || (settings == "") != (value == "") {
			t.Errorf("%q: %q", value, settings)
		}
	}
}
