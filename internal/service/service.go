// Package service wires the parts together and runs them: from an event in the stream to
// the roster, reports, changes, answers, metrics and snapshots. It starts them in that
// order, and ends them in the reverse.
//
// service.go has the life cycle; wire.go and nats.go connect the parts; each other file is
// one thing that a long-running service needs: the data folder and its lock, the monitor
// of the streams, health checks, systemd, the part of a service that stands by.
package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"rollcall/internal/changes"
	"rollcall/internal/config"
	"rollcall/internal/history"
	"rollcall/internal/ingest"
	"rollcall/internal/metrics"
	"rollcall/internal/natsconn"
	"rollcall/internal/natsserver"
	"rollcall/internal/query"
	"rollcall/internal/report"
	"rollcall/internal/roster"
	"rollcall/internal/snapshot"
	"rollcall/internal/stream"
	"rollcall/internal/web/server"
)

// Build is the version of the program.
type Build struct{ Version, Revision string }

// service holds everything that serve runs, in the order of an event's path.
type service struct {
	cfg   config.Serve
	build Build
	log   *slog.Logger
	reg   *metrics.Registry

	folder   *dataFolder
	embedded *natsserver.Server // nil: NATS_URL names another server
	reading  *nats.Conn         // events only, so that nothing delays them
	other    *nats.Conn         // dead letters, reports, changes, questions
	lost     chan error         // why a connection was closed for good

	reader    *stream.Reader
	letters   *ingest.DeadLetters
	ingest    *ingest.Ingest
	roster    *roster.Roster
	history   *history.History // nil: turned off
	snapshots *snapshot.Store
	publisher *report.Publisher
	changes   *changes.Publisher
	questions *query.Service
	instance  string         // names this run of the service
	standby   *standby       // nil: it stands alone
	replicas  int            // of the stream of events, and of the buckets that it creates
	accepted  atomic.Uint64  // place up to which losses are accepted
	page      *server.Server // nil: it is not served here

	// For the health checks, which run before the fields above are set.
	links    links
	caughtUp atomic.Pointer[stream.Reader]
	monitor  atomic.Pointer[monitor]
	waiting  startWait

	watchdog watchdog // of the fold
}

// errClosed means that a connection to NATS was closed for good.
var errClosed = errors.New("connection to NATS closed")

// Run runs the service until ctx is done. If systemd started the process, it is notified
// of the service's state.
func Run(ctx context.Context, cfg config.Serve, build Build, log *slog.Logger) error {
	return runService(ctx, cfg, build, log, &notifier{log: log})
}

// runService runs the service until ctx is done. If a connection is closed for good,
// or the embedded server loses its store, it restarts from the last snapshot, as after
// a crash.
func runService(ctx context.Context, cfg config.Serve, build Build, log *slog.Logger, n *notifier) error {
	folder, err := openDataFolder(cfg.DataDir, log)
	if err != nil {
		return err
	}
	defer folder.close()
	ended, end := context.WithCancel(context.Background())
	var notifying sync.WaitGroup
	defer notifying.Wait()
	defer end()
	notifying.Go(func() { n.run(ctx, ended) })
	for {
		err := runOnce(ctx, cfg, build, log, n, folder)
		//guard:true "reading goes on after a closed connection" ./internal/test/faults:TestClosed
		if !restarts(err) || ctx.Err() != nil {
			return err
		}
		log.Error("restarting from the last snapshot", "err", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// restarts reports whether the service restarts from the last snapshot because of this
// error: a connection was closed for good, or the embedded server must be restarted.
func restarts(err error) bool {
	return errors.Is(err, errClosed) || errors.Is(err, errDiskBack) || errors.Is(err, errStoreLost)
}

// runOnce runs the service once, and stops its parts in the reverse order of their
// start: the fold, a last snapshot, the dead letters that the snapshot waits for, the
// connections, the embedded server.
func runOnce(ctx context.Context, cfg config.Serve, build Build, log *slog.Logger, n *notifier, folder *dataFolder) error {
	s := &service{cfg: cfg, build: build, log: log, folder: folder, reg: metrics.NewRegistry(), lost: make(chan error, 2)}
	n.service.Store(s)
	s.links.register(s.reg)
	s.reg.MustRegister(folder.losses)
	s.reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	web, err := s.listen()
	if err != nil {
		return err
	}
	if err := s.listenPage(); err != nil {
		web.close()
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	webCtx, endWeb := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- web.serve(webCtx)
		cancel() // the service does not run without health checks and metrics
	}()
	defer s.close()
	err = s.openHeld(ctx)
	if err == nil {
		s.announce(web)
		n.notifyReady()
		err = s.run(ctx)
	}
	//guard:false "SIGTERM ends with code 0 at any moment" ./internal/test/faults:TestTerminateStalled/starting
	canceled := ctx.Err() != nil && errors.Is(err, context.Canceled)
	cancel()
	endWeb()
	webErr := <-served
	if canceled {
		err = nil
	}
	return errors.Join(err, webErr)
}

// openHeld opens everything, which may wait long for NATS, and holds the data folder
// meanwhile. The connections use its context for dialing as long as they exist, so it is
// canceled only if another process has locked the folder.
func (s *service) openHeld(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	opening, opened := context.WithCancel(ctx)
	var holding sync.WaitGroup
	holding.Go(func() {
		if err := s.folder.watch(opening, nil); err != nil {
			cancel(err)
		}
	})
	err := s.open(ctx)
	opened()
	holding.Wait()
	if cause := context.Cause(ctx); errors.Is(cause, errFolderUsed) {
		return cause
	}
	return err
}

// open opens everything, in the order of the fields of service.
func (s *service) open(ctx context.Context) error {
	err := s.folder.hold()
	if err != nil {
		return err
	}
	s.snapshots, err = snapshot.Open(filepath.Join(s.cfg.DataDir, "snapshots"), s.build.Version, s.log, s.reg)
	if err != nil {
		return err
	}
	s.snapshots.EnsureFolder = s.folder.hold
	if err := s.receiveHandover(ctx); err != nil {
		return err
	}
	if err := s.load(); err != nil {
		return err
	}
	s.openHistory()
	if err := s.connect(ctx); err != nil {
		return err
	}
	js, err := s.cfg.Domain().JetStream(s.other)
	if err != nil {
		return fmt.Errorf("opening JetStream: %w", err)
	}
	lost := s.links.events.lost.Load()
	info, err := natsconn.AwaitStreams(ctx, js, s.streams(), s.log, s.waiting.set)
	if err != nil {
		return err
	}
	if err := s.prepareStandby(ctx, js, info); err != nil {
		return err
	}
	s.waiting.clear()
	events, err := s.cfg.Domain().JetStream(s.reading)
	if err != nil {
		return fmt.Errorf("opening JetStream: %w", err)
	}
	monitor := newMonitor(s.streams().WithAccountLimits(ctx, js, info, s.log), &s.links.events, events, js, s.log, s.reg)
	monitor.diskBack = s.diskBack
	monitor.durability.record(info)
	monitor.record(info, lost)
	s.monitor.Store(monitor)
	return s.wire(js)
}

// load loads the roster from the newest snapshot, or creates an empty one.
func (s *service) load() error {
	r, from, err := s.snapshots.Load(s.cfg.Settings())
	if err != nil {
		return err
	}
	if r == nil {
		r = roster.New(s.cfg.Settings())
	} else {
		s.log.Info("snapshot loaded", "path", from.Path, "place", from.Status.Position.Place, "machines", from.Status.Machines)
		if from.Settings != s.cfg.Settings() {
			s.log.Warn("settings changed since the snapshot, earlier decisions stay as they are", "before", from.Settings, "now", s.cfg.Settings())
		}
	}
	s.accepted.Store(uint64(s.cfg.AcceptLoss))
	if place := s.accepted.Load(); place > 0 {
		//guard:drop "an operator can accept losses" ./cmd/rollcall:TestAcceptLoss
		r.Accept(place)
		s.log.Warn("losses are accepted", "place", place)
	}
	s.roster = r
	return nil
}

// run runs the parts until ctx is done or one of them fails.
func (s *service) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	s.runInOrder(ctx, g)
	g.Go(func() error { return s.folder.watch(ctx, s.storeLost) })
	if s.standby != nil {
		s.runStandby(ctx, g)
	} else {
		g.Go(func() error { return s.publisher.Run(ctx) })
		g.Go(func() error { return s.changes.Run(ctx) })
		g.Go(func() error { return s.questions.Run(ctx) })
	}
	g.Go(func() error {
		s.monitor.Load().run(ctx)
		return nil
	})
	g.Go(func() error {
		s.runPage(ctx)
		return nil
	})
	g.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case err := <-s.lost:
			return err
		}
	})
	g.Go(func() error {
		s.watchReplay(ctx)
		return nil
	})
	return g.Wait()
}

// runInOrder runs the parts that stop one after the other: the fold; then the snapshots,
// after a last one; then the dead letters, which the last snapshot waits for.
func (s *service) runInOrder(ctx context.Context, g *errgroup.Group) {
	folded, saved := make(chan struct{}), make(chan struct{})
	s.watchdog.receipt.Store(int64(s.roster.Status().Position.Proof.Receipt))
	g.Go(func() error {
		defer close(folded)
		//guard:set s.watchdog.watch(...) s.ingest.Fold "a stuck service is restarted" TestStuckFold
		if err := s.reader.Run(ctx, s.roster.Status().Position, s.watchdog.watch(s.ingest.Fold)); err != nil {
			return fmt.Errorf("%w: %w", errClosed, err)
		}
		return nil
	})
	g.Go(func() error {
		defer close(saved)
		// Without a last snapshot nothing is lost: the next start continues from an
		// earlier one.
		if err := s.snapshots.Run(until(folded), s.roster, time.Duration(s.cfg.SnapshotInterval)); err != nil {
			//guard:set s.log.Error(...) "return err" "a full disk doesn't prevent a clean end" ./cmd/rollcall:TestNoLastSnapshot
			s.log.Error("last snapshot not written", "err", err)
		} else if last, ok := s.snapshots.Last(); ok {
			s.log.Info("last snapshot written, ending", "place", last.Status.Position.Place)
		}
		return nil
	})
	if s.history != nil {
		g.Go(func() error {
			s.history.Run(until(folded))
			return nil
		})
	}
	g.Go(func() error {
		//guard:set until(saved) ctx "dead letters are sent until the last snapshot" ./cmd/rollcall:TestLettersAtTheEnd
		s.letters.Run(until(saved))
		return nil
	})
}

// until is a context that is done when the channel is closed.
func until(done <-chan struct{}) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-done
		cancel()
	}()
	return ctx
}

// close closes whatever open has opened.
func (s *service) close() {
	if s.page != nil {
		s.page.Close()
	}
	if s.history != nil {
		s.history.Close()
	}
	for _, nc := range []*nats.Conn{s.other, s.reading} {
		if nc != nil {
			nc.SetClosedHandler(nil)
			nc.Close()
		}
	}
	if s.embedded != nil {
		s.embedded.Shutdown()
	}
}

// announce logs the addresses and subjects of the service.
func (s *service) announce(web *web) {
	subjects := s.cfg.Subjects()
	s.log.Info("events in", "nats", s.reading.ConnectedUrlRedacted(), "server", s.reading.ConnectedServerVersion(), "subject", subjects.Events())
	if s.embedded != nil {
		s.log.Info("nats needs no login: every user of this machine may publish events and ask who is logged in where")
	}
	s.log.Info("reports out", "subject", subjects.Reports(), "ask", subjects.Query("report"))
	s.log.Info("metrics and health", "url", web.main.URL()+"/")
	if web.profiling != nil {
		s.log.Info("profiling", "url", web.profiling.URL()+"/debug/pprof/")
	}
}

// watchReplay logs the progress of a long replay, and its end.
func (s *service) watchReplay(ctx context.Context) {
	lastLogged := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !s.reader.CaughtUp() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if time.Since(lastLogged) > 5*time.Second && s.reader.Target() > 0 {
			lastLogged = time.Now()
			s.log.Info("replaying", "seq", s.roster.Status().Position.Sequence(), "of", s.reader.Target())
		}
	}
	st := s.roster.Status()
	s.log.Info("ready", "place", st.Position.Place, "machines", st.Machines, "users", st.Users,
		"sessions", st.Sessions)
	if st.Machines == 0 {
		s.log.Info("no machine has been heard from yet", "try", "rollcall publish --login USER --machine MACHINE, then rollcall who",
			"machines", "rollcall enroll --help, and docs/installation.md")
	}
}
