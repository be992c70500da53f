package service

import (
	"context"

	"golang.org/x/sync/errgroup"

	"rollcall/internal/httpd"
)

// web holds the HTTP servers.
type web struct {
	main      *httpd.Server // metrics and health
	profiling *httpd.Server // nil: not configured
}

// listen listens on the configured addresses.
func (s *service) listen() (*web, error) {
	main, err := httpd.Listen(httpd.ServerConfig{
		Addr:          string(s.cfg.HTTPAddr),
		Version:       s.build.Version,
		Gatherer:      s.reg,
		Log:           s.log,
		Checks:        s.checks(),
		WebConfigFile: string(s.cfg.HTTPConfigFile),
	})
	if err != nil {
		return nil, err
	}
	w := &web{main: main}
	if s.cfg.PprofAddr != "" {
		if w.profiling, err = httpd.ListenProfiling(string(s.cfg.PprofAddr), s.log); err != nil {
			w.close()
			return nil, err
		}
	}
	return w, nil
}

// close releases the addresses of servers that do not serve.
func (w *web) close() {
	w.main.Close()
	if w.profiling != nil {
		w.profiling.Close()
	}
}

// serve serves until ctx is done, or one of the servers fails.
func (w *web) serve(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return w.main.Serve(ctx) })
	if w.profiling != nil {
		g.Go(func() error { return w.profiling.Serve(ctx) })
	}
	return g.Wait()
}
