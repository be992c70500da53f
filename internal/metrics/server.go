package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// ServerConfig is what a Server needs.
type ServerConfig struct {
	// Addr is where to listen: "127.0.0.1:8080"; port 0 takes a free one.
	Addr string
	// Version is told on the landing page.
	Version  string
	Gatherer prometheus.Gatherer
	Checks   []Check
	Log      *slog.Logger
	// Timeouts are the defaults where they are 0.
	Timeouts Timeouts
}

// Timeouts bound what one client can hold.
type Timeouts struct {
	// Read is for a whole request, Write from the end of its header to the end
	// of the answer, Idle for the next request on the same connection.
	Read, Write, Idle time.Duration
	// Scrape is for gathering and encoding the metrics; it should be below
	// Write.
	Scrape time.Duration
	// Shutdown is for the answers that are under way when the server ends.
	Shutdown time.Duration
}

// withDefaults returns the time-outs with the defaults where they are 0.
func (t Timeouts) withDefaults() Timeouts {
	for _, d := range []struct {
		timeout  *time.Duration
		standard time.Duration
	}{
		{&t.Read, 10 * time.Second},
		{&t.Write, time.Minute},
		{&t.Idle, 2 * time.Minute},
		{&t.Scrape, 30 * time.Second},
		{&t.Shutdown, time.Second},
	} {
		if *d.timeout == 0 {
			*d.timeout = d.standard
		}
	}
	return t
}

const (
	// maxScrapes is how many scrapes are served at a time; others get 503.
	maxScrapes = 4
	// maxHeader bounds a request's header in bytes.
	maxHeader = 16 << 10
)

// Server serves over HTTP, for GET and HEAD:
//
//	/         a page with links to the others
//	/metrics  what the gatherer has; ?name[]=… for some names only
//	/livez    200 as long as the process serves
//	/readyz   200 when all checks that decide hold, else 503 and the checks;
//	          ?verbose lists them in any case
type Server struct {
	listener net.Listener
	server   *http.Server
	shutdown time.Duration
}

// Listen takes the address, so that an address in use is an error at once. Then
// Serve serves, or Close gives the address back.
func Listen(c ServerConfig) (*Server, error) {
	listener, err := net.Listen("tcp", c.Addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listening on %s for HTTP: the address is in use: stop what listens there, or set ROLLCALL_HTTP_ADDR to another", c.Addr)
	}
	if err != nil {
		return nil, fmt.Errorf("listening on %s for HTTP: %w: set ROLLCALL_HTTP_ADDR to an address of this machine", c.Addr, err)
	}
	timeouts := c.Timeouts.withDefaults()
	return &Server{
		listener: listener,
		server: &http.Server{
			Handler:           handler(&c, timeouts.Scrape),
			ReadHeaderTimeout: timeouts.Read,
			ReadTimeout:       timeouts.Read,
			WriteTimeout:      timeouts.Write,
			IdleTimeout:       timeouts.Idle,
			MaxHeaderBytes:    maxHeader,
			ErrorLog:          slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
		},
		shutdown: timeouts.Shutdown,
	}, nil
}

// Addr is where the server listens, with its real port.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Close gives the address back without serving.
func (s *Server) Close() error { return s.listener.Close() }

// Serve serves until the context is done; then it lets the answers under way
// come to their end, for a bounded time. It returns nil when the context ended
// it, and can be called once.
func (s *Server) Serve(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- s.server.Serve(s.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving HTTP on %s: %w", s.Addr(), err)
	case <-ctx.Done():
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.shutdown)
	defer cancel()
	err := s.server.Shutdown(bounded)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.server.Close()
	}
	<-served
	if err != nil {
		return fmt.Errorf("ending HTTP on %s: %w", s.Addr(), err)
	}
	return nil
}

// handler routes the requests. The mux answers 404 to other paths, and 405 with
// Allow to other methods.
func handler(c *ServerConfig, scrapeTimeout time.Duration) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", landing(c.Version))
	mux.HandleFunc("GET /livez", livez)
	mux.Handle("GET /readyz", readyz(c.Checks))
	// Not CoalesceGather: a scrape that comes while another is being answered
	// joins that one's data, the next joins again, and so two clients that
	// never stop asking see the same old numbers for ever.
	mux.Handle("GET /metrics", promhttp.HandlerFor(c.Gatherer, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(c.Log.Handler(), slog.LevelWarn),
		MaxRequestsInFlight: maxScrapes,
		Timeout:             scrapeTimeout,
		EnableOpenMetrics:   true,
	}))
	return secured(mux)
}

// secured sets the headers that every answer has.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}
