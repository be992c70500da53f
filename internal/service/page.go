package service

import (
	"context"
	"errors"

	"rollcall/internal/httpd"
	"rollcall/internal/web/server"
)

// listenPage listens for the page, which is served with the embedded server only. The
// service runs without it if the address is taken.
func (s *service) listenPage() error {
	if s.cfg.NATSURL != "" || s.cfg.PageAddr.IsOff() {
		return nil
	}
	cfg := s.cfg.Page
	if cfg.PageExpectedFile == "" {
		cfg.PageExpectedFile = s.cfg.ExpectedFile
	}
	page, err := server.Listen(&cfg, s.cfg.Subjects(), string(s.cfg.DeadlettersStream), s.build.Version, s.log)
	//guard:false "another program on the page's address does not stop the service" ./cmd/rollcall:TestPageAddressTaken
	if errors.Is(err, httpd.ErrInUse) {
		s.log.Warn("no page", "err", err)
		return nil
	}
	if err != nil {
		return err
	}
	s.page = page
	return nil
}

// runPage serves the page until ctx is done. It asks as any program on this machine may,
// without the key of the embedded server.
func (s *service) runPage(ctx context.Context) {
	if s.page == nil {
		return
	}
	if err := s.page.Run(ctx, s.cfg.Anonymously(s.embedded.URL())); err != nil && ctx.Err() == nil {
		s.log.Error("page ended, the service goes on without it", "err", err)
	}
}
