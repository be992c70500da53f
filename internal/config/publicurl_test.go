package config

import (
	"strings"
	"testing"
)

// TestPublicURL: a URL that others are given has a host and a port only; what is wrong is
// named, but a password is not repeated.
func TestPublicURL(t *testing.T) {
	for _, value := range []string{
		"tls://nats.example.com:4222", "nats://10.0.0.5", "nats.example.com", "nats://[::1]:4222", "tls://a:1,tls://b_c:65535", "wss://nats-1.example.com",
	} {
		if got, err := PublicURL(value); err != nil || got != value {
			t.Errorf("%s: %q, %v", value, got, err)
		}
	}
	if got, err := PublicURL("nats://a, nats://b"); err != nil || got != "nats://a,nats://b" {
		t.Errorf("%q, %v", got, err)
	}
	for value, says := range map[string]string{
		"nats://u:s3cret@a":      "a user or a password",
		"u@a":                    "a user or a password",
		"nats://a,u:s3cret,x@b":  "a user or a password",
		"":                       "not the URL",
		"nats://":                "not the URL",
		"http://a":               "not the URL",
		"nats://a,":              "not the URL",
		"nats://a b":             "not the URL",
		"nats://a:0":             `port is "0"`,
		"nats://a:":              `port is ""`,
		"nats://a:65536":         `port is "65536"`,
		"nats://a:99999999":      "65535",
		"nats://a/":              "more than a host",
		"nats://a/b":             "more than a host",
		"nats://a?b":             "more than a host",
		"nats://a#b":             "more than a host",
		"nats://a#":              "more than a host",
		"nats://*":               `"*" is not the name`,
		`nats://"a"`:             "is not the name",
		"nats://$(id)":           "is not the name",
		"nats://a,nats://b:port": "not the URL",
	} {
		if got, err := PublicURL(value); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %q, %v, want an error that says %s", value, got, err, says)
		}
	}
}
