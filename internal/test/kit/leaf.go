package kit

import (
	"fmt"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

// StartHub starts a server that leaf nodes can join, with JetStream in the domain "hub".
func StartHub(t testing.TB, options ...func(*server.Options)) *Server {
	t.Helper()
	port := FreePort(t)
	return StartServer(t, append([]func(*server.Options){func(o *server.Options) {
		o.ServerName, o.JetStreamDomain = "hub", "hub"
		o.LeafNode.Host, o.LeafNode.Port = "127.0.0.1", port
	}}, options...)...)
}

// LeafURL is where leaf nodes join a hub.
func (s *Server) LeafURL() string {
	return "nats-leaf://127.0.0.1:" + strconv.Itoa(s.options.LeafNode.Port)
}

// StartLeaf starts a leaf node that joins the hub at the URL, with a JetStream domain of its
// own. Subjects in apart stay on their side of the line.
func StartLeaf(t testing.TB, hub, domain string, apart ...string) *Server {
	t.Helper()
	return StartLeafWith(t, hub, domain, func(o *server.Options) {
		o.LeafNode.Remotes[0].DenyExports, o.LeafNode.Remotes[0].DenyImports = apart, apart
	})
}

// StartLeafWith is StartLeaf with other options.
func StartLeafWith(t testing.TB, hub, domain string, change func(*server.Options)) *Server {
	t.Helper()
	remote, err := url.Parse(hub)
	if err != nil {
		t.Fatal(err)
	}
	return StartServer(t, func(o *server.Options) {
		o.ServerName, o.JetStreamDomain = domain, domain
		o.LeafNode.ReconnectInterval = 50 * time.Millisecond
		o.LeafNode.Remotes = []*server.RemoteLeafOpts{{URLs: []*url.URL{remote}}}
		change(o)
	})
}

// AwaitDomain waits until the JetStream of a domain answers, as it does once its leaf node
// has joined.
func AwaitDomain(t testing.TB, js jetstream.JetStream) {
	t.Helper()
	Eventually(t, func() bool {
		_, err := js.AccountInfo(t.Context())
		return err == nil
	}, fmt.Sprintf("the JetStream of domain %q answers", js.Options().Domain))
}

// CutLine cuts the line of a leaf node to its hub.
func (s *Server) CutLine() { s.setLine(true) }

// RestoreLine restores it.
func (s *Server) RestoreLine() { s.setLine(false) }

func (s *Server) setLine(cut bool) {
	s.t.Helper()
	s.Reload(func(o *server.Options) {
		remote := *o.LeafNode.Remotes[0] // the running server compares it with its own
		remote.Disabled = cut
		o.LeafNode.Remotes = []*server.RemoteLeafOpts{&remote}
	})
	Eventually(s.t, func() bool { return (s.running.NumLeafNodes() == 0) == cut }, "the line is cut or restored")
}

// SourceSetup is a function of a server that was shut down while it set a source up: it ends
// a while later, and is no leak.
const SourceSetup = "github.com/nats-io/nats-server/v2/server.(*stream).trySetupSourceConsumer.func3"
