// Package httpd serves HTTP with TLS, users and limits: metrics and health, Go profiles on
// a separate listener, and the handlers of others.
package httpd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/exporter-toolkit/web"
)

// ServerConfig configures the Server of metrics and health.
type ServerConfig struct {
	// Addr is where to listen: "127.0.0.1:8080"; port 0 is any free one.
	Addr string
	// Version is shown on the landing page.
	Version  string
	Gatherer prometheus.Gatherer
	Checks   []Check
	// WebConfigFile is the path of a web configuration file: TLS, client
	// certificates, users with passwords, for all paths. Empty: plain HTTP without
	// a login.
	WebConfigFile string
	Log           *slog.Logger
	// Timeouts that are 0 get their defaults.
	Timeouts Timeouts
}

// Timeouts bound how long one client can use resources.
type Timeouts struct {
	// Read is for a whole request, Write from the end of its header to the end
	// of the answer, Idle for the next request on the same connection.
	Read, Write, Idle time.Duration
	// Scrape is for gathering and encoding the metrics; it should be below
	// Write.
	Scrape time.Duration
	// Shutdown is for the answers in flight when the server stops.
	Shutdown time.Duration
	// Recheck is how often the web configuration file is checked for errors.
	Recheck time.Duration
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
		{&t.Recheck, 30 * time.Second},
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

// Server serves over HTTP. That of metrics and health serves, for GET and HEAD:
//
//	/         a page with links to the others
//	/metrics  what the gatherer has; ?name[]=… for some names only
//	/livez    200 as long as the process serves
//	/readyz   200 when all checks that decide hold, else 503 and the checks;
//	          ?verbose lists them in any case
//
// Changes of the web configuration file apply while the server runs: certificates
// from the next connection on, users from the next request on. Only turning TLS on
// or off, HTTP/2 and the rate limit need a restart.
type Server struct {
	listener  net.Listener
	server    *http.Server
	shutdown  time.Duration
	webConfig string // its path, or empty
	recheck   time.Duration
	scheme    string
	log       *slog.Logger
}

// Listen listens on the address, so that an address in use is an error at once.
// Call Serve next, or Close to release the address.
func Listen(c ServerConfig) (*Server, error) {
	return ListenHandler(HandlerConfig{
		Addr: c.Addr, For: "HTTP", Remedy: "set ROLLCALL_HTTP_ADDR to",
		Handler:        handler(&c, c.Timeouts.withDefaults().Scrape),
		MaxConnections: maxConnections,
		WebConfigFile:  c.WebConfigFile, Log: c.Log, Timeouts: c.Timeouts,
	})
}

// HandlerConfig configures the Server of a handler.
type HandlerConfig struct {
	// Addr is where to listen; port 0 is any free one. For says what for in errors, and
	// Remedy how to listen elsewhere: "set ROLLCALL_HTTP_ADDR to".
	Addr, For, Remedy string
	// Handler answers the requests of the users whom the web configuration file lets in.
	Handler http.Handler
	// Before, if not nil, is called with the handler that checks users, and answers all
	// requests.
	Before func(http.Handler) http.Handler
	// EndRequests says that the contexts of requests in flight are canceled when the
	// server stops.
	EndRequests bool
	// MaxConnections bounds the open connections.
	MaxConnections int
	// WebConfigFile, Log and Timeouts are as in ServerConfig.
	WebConfigFile string
	Log           *slog.Logger
	Timeouts      Timeouts
}

// ListenHandler is Listen for a handler.
func ListenHandler(c HandlerConfig) (*Server, error) {
	timeouts := c.Timeouts.withDefaults()
	found, err := readWebConfig(c.WebConfigFile)
	if err != nil {
		return nil, err
	}
	listener, err := listen(c.Addr, c.For, c.Remedy)
	if err != nil {
		return nil, err
	}
	s := newServer(listener, c.MaxConnections, c.Handler, timeouts, c.Log)
	s.webConfig, s.recheck = c.WebConfigFile, timeouts.Recheck
	s.before(c.Before, c.EndRequests)
	switch {
	case found.TLS:
		s.scheme = "https"
	case found.Users && s.Reachable():
		c.Log.Warn("passwords travel in clear text: the web configuration file has users and no TLS", "path", c.WebConfigFile)
	}
	return s, nil
}

// before puts a handler before all others, also before the check of users. That one is set
// by the toolkit when it begins to serve, right before the server asks for the context of
// its requests.
func (s *Server) before(wrap func(http.Handler) http.Handler, endRequests bool) {
	ctx, cancel := context.Background(), func() {}
	if endRequests {
		ctx, cancel = context.WithCancel(ctx)
	}
	s.server.RegisterOnShutdown(cancel)
	s.server.BaseContext = func(net.Listener) context.Context {
		if wrap != nil {
			s.server.Handler = wrap(s.server.Handler)
			s.server.DisableGeneralOptionsHandler = true
		}
		return ctx
	}
}

// readWebConfig reads the web configuration file, if there is one.
func readWebConfig(path string) (WebConfig, error) {
	if path == "" {
		return WebConfig{}, nil
	}
	found, err := ReadWebConfig(path)
	if err != nil {
		return WebConfig{}, fmt.Errorf("reading the web configuration file %s: %w", path, err)
	}
	return found, nil
}

// ErrInUse means that another program listens on the address.
var ErrInUse = errors.New("the address is in use")

// listen listens on an address. Its errors say what for, and how to listen elsewhere.
func listen(addr, what, remedy string) (net.Listener, error) {
	listener, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listening on %s for %s: %w: stop the program that listens there, or %s another", addr, what, ErrInUse, remedy)
	}
	if err != nil {
		return nil, fmt.Errorf("listening on %s for %s: %w: %s an address of this machine", addr, what, err, remedy)
	}
	return listener, nil
}

// reachable reports whether other machines may reach an address.
func reachable(listener net.Listener) bool {
	at, ok := listener.Addr().(*net.TCPAddr)
	return !ok || !at.IP.IsLoopback()
}

func newServer(listener net.Listener, limit int, handler http.Handler, timeouts Timeouts, log *slog.Logger) *Server {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: timeouts.Read,
		ReadTimeout:       timeouts.Read,
		//guard:drop "a client that doesn't read is disconnected" TestClientThatDoesNotRead
		WriteTimeout: timeouts.Write,
		//guard:set timeouts.Idle time.Hour "an idle client is disconnected" TestSlowAndLongRequests
		IdleTimeout:    timeouts.Idle,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	bound(server, limit)
	return &Server{
		listener: listener,
		server:   server,
		shutdown: timeouts.Shutdown,
		scheme:   "http",
		log:      log,
	}
}

// Reachable reports whether other machines may reach the server.
func (s *Server) Reachable() bool { return reachable(s.listener) }

// Addr is where the server listens, with its real port.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// URL is the base URL of the server, without a slash at the end.
func (s *Server) URL() string { return s.scheme + "://" + s.Addr().String() }

// Close releases the address without serving.
func (s *Server) Close() error { return s.listener.Close() }

// Serve serves until the context is done, then waits for the answers in flight, for
// a bounded time. It returns nil if the context ended it, and can be called once.
func (s *Server) Serve(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- s.serve() }()
	if s.webConfig != "" {
		var watch sync.WaitGroup
		defer watch.Wait()
		watched, end := context.WithCancel(ctx)
		defer end()
		watch.Go(func() { watchWebConfig(watched, s.webConfig, s.recheck, s.log) })
	}
	select {
	case err := <-served:
		return fmt.Errorf("serving HTTP on %s: %w", s.Addr(), err)
	case <-ctx.Done():
	}
	//guard:set s.shutdown time.Hour "no client delays the shutdown" TestShutdown
	shutdownCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.shutdown)
	defer cancel()
	err := s.server.Shutdown(shutdownCtx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.server.Close()
	}
	<-served
	if err != nil {
		return fmt.Errorf("shutting down HTTP on %s: %w", s.Addr(), err)
	}
	return nil
}

func (s *Server) serve() error {
	if s.webConfig == "" {
		return s.server.Serve(s.listener)
	}
	// The toolkit's log is discarded: watchWebConfig reports errors in the file.
	return web.Serve(s.listener, s.server, &web.FlagConfig{WebConfigFile: &s.webConfig}, slog.New(slog.DiscardHandler))
}

// handler routes the requests. The mux answers other paths with 404, and other methods
// with 405 and Allow.
func handler(c *ServerConfig, scrapeTimeout time.Duration) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", landing(c.Version))
	mux.HandleFunc("GET /livez", livez)
	mux.Handle("GET /readyz", readyz(c.Checks))
	// Not CoalesceGather: it lets a scrape share the data of one in flight, and the
	// next one share that again, so two clients that scrape without pause would see
	// the same old numbers for ever.
	mux.Handle("GET /metrics", promhttp.HandlerFor(c.Gatherer, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelWarn),
		//guard:drop "scrapers don't fill the memory" TestScrapeTimesOut
		MaxRequestsInFlight: maxScrapes,
		Timeout:             scrapeTimeout,
		EnableOpenMetrics:   true,
	}))
	return secured(mux)
}

// secured sets the security headers of every answer. Those of the web configuration
// file are already set.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		if h.Get("Content-Security-Policy") == "" {
			h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		}
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}
