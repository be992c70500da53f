// Package web is the page: who is logged in where, to look at, now and at any past
// moment. It only asks over NATS, like the commands.
package web

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/nats-io/nats.go"

	rollcallv1 "rollcall/proto/rollcall/v1"
)

// Config is what a Page needs.
type Config struct {
	// Connect connects to NATS with these options beside its own. The context that it
	// returns is for requests on the connection: it ends with a denied permission.
	Connect  func(ctx context.Context, more ...nats.Option) (context.Context, *nats.Conn, error)
	Subjects rollcallv1.Subjects
	// ServiceAccounts are patterns for users who are expected on many machines.
	ServiceAccounts []string
	// Several is on how many machines at once a person must be to be marked.
	Several int
	// Expected are the machines that there should be; nil: not known.
	Expected []string
	Version  string
	Log      *slog.Logger
}

// Page shows the roster and its past.
type Page struct {
	Config
}

// New returns a page.
func New(c Config) *Page { return &Page{Config: c} }

// Run keeps what the page shows up to date until the context is done. It connects,
// and tries again until it can.
func (p *Page) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Handler answers requests that were let in.
func (p *Page) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	return mux
}
