package natsconn

import (
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Domain is a JetStream domain: the servers that share streams. It is "" for the domain
// of the server connected to. A leaf node with a JetStream of its own is in another
// domain than its hub. Publishing needs no domain: the stream that captures the subject
// acknowledges the message, wherever it is.
type Domain string

// API is what the subjects of requests to the domain begin with.
func (d Domain) API() string {
	if d == "" {
		return jetstream.DefaultAPIPrefix
	}
	//guard:set `"$JS." + string(d) + ".API."` jetstream.DefaultAPIPrefix "requests go to the domain" ./internal/service:TestDomain
	return "$JS." + string(d) + ".API."
}

// JetStream opens the domain's JetStream.
func (d Domain) JetStream(nc *nats.Conn) (jetstream.JetStream, error) {
	if d == "" {
		return jetstream.New(nc)
	}
	return jetstream.NewWithDomain(nc, string(d))
}

// domainOf returns the domain for which a JetStream was opened.
func domainOf(js jetstream.JetStream) Domain { return Domain(js.Options().Domain) }

// In returns " in domain hub", for messages, or "" for the server's own domain.
func (d Domain) In() string {
	if d == "" {
		return ""
	}
	return " in domain " + string(d)
}

// DomainProblem returns what is wrong with the name of a domain, or "".
func DomainProblem(name string) string {
	switch {
	case name == "":
		return "is empty"
	case strings.HasPrefix(name, "$JS."):
		return "is a prefix of subjects, not the name of a domain"
	case strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(".*>", r) }):
		return "is not the name of a domain"
	}
	return ""
}
