// Package server runs the page: its listener, and what it asks over NATS. It is the same for
// "rollcall web" and for "rollcall serve".
package server

import (
	"context"
	"log/slog"
	"net/netip"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"rollcall/internal/client"
	"rollcall/internal/config"
	"rollcall/internal/web"
	"rollcall/internal/web/access"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// Server is the page with its listener.
type Server struct {
	listener *access.Listener
	page     *web.Page
	client   *config.Client // set by Run
	named    bool           // it has names beside localhost
	log      *slog.Logger
}

// Listen listens on the configured address. Of its errors, [httpd.ErrInUse] is a taken
// address, and a [config.Problems] a configuration that would let everybody in. Call Run
// next, or Close.
func Listen(c *config.Page, subjects rollcallv1.Subjects, deadLetters, version string, log *slog.Logger) (*Server, error) {
	expected, err := c.ExpectedMachines(log)
	if err != nil {
		return nil, err
	}
	s := &Server{log: log, named: len(c.PageHosts) > 0}
	s.page = web.New(web.Config{
		Connect: s.connect, Refused: func(err error) error { return client.Refused(s.client, err) }, Subjects: subjects, DeadLetters: client.LettersStream{Name: deadLetters}, ServiceAccounts: c.PageServiceAccounts, Several: int(c.PageSeveral),
		Expected: expected, Streams: new(access.Streams), Version: version, Log: log,
	})
	s.listener, err = access.Listen(access.Config{
		Addr: string(c.PageAddr), ConfigFile: string(c.PageConfigFile), Hosts: c.PageHosts,
		TrustedProxies: []netip.Prefix(c.PageTrustedProxies), UserHeader: string(c.PageUserHeader),
		Handler: s.page.Handler(), Log: log,
	})
	return s, err
}

// URL is the address of the page, without a slash at the end.
func (s *Server) URL() string { return s.listener.URL() }

// Close releases the address without serving.
func (s *Server) Close() { s.listener.Close() }

// Run serves the page until the context is done, and asks the service that the configuration
// names. Requests and streams that are in flight are then canceled.
func (s *Server) Run(ctx context.Context, c *config.Client) error {
	s.client = c
	s.page.DeadLetters.Domain = c.Domain()
	s.log.Info("page", "url", s.URL()+"/")
	if s.listener.Open {
		s.log.Info("page needs no login: every user of this machine can read it", "users", "ROLLCALL_PAGE_CONFIG_FILE")
	}
	if s.listener.Reachable() && !s.named {
		s.log.Warn("page is known as localhost only: requests by another host name are refused", "names", "ROLLCALL_PAGE_HOSTS")
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.page.Run(ctx) })
	g.Go(func() error { return s.listener.Serve(ctx) })
	return g.Wait()
}

// connect connects the page.
func (s *Server) connect(ctx context.Context, more ...nats.Option) (context.Context, *nats.Conn, error) {
	return client.Connect(ctx, s.client, more...)
}
