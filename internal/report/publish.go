package report

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/api"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// PublisherConfig is what a Publisher needs.
type PublisherConfig struct {
	Source
	JetStream jetstream.JetStream
	// Reports is the name of the stream of reports, for error messages.
	Reports  string
	Subjects rollcallv1.Subjects
	// Interval is how often a changed report is published.
	Interval time.Duration
	// Fence is set if one of several processes publishes, the active one. It calls send
	// while this process is it, else it returns why this one may not publish. Each page is
	// then stored only if it follows the one before: a page that the process that was active
	// before sends late is refused by the stream.
	Fence    func(send func()) error
	Log      *slog.Logger
	Registry prometheus.Registerer
}

// Publisher publishes the reports of a roster.
type Publisher struct {
	PublisherConfig
	metrics   *publisherMetrics
	now       func() time.Time
	published bool              // since Run began
	last      *uint64           // with a fence: the sequence of the last page in the stream; nil: not known
	content   [sha256.Size]byte // hash of the last published report
	buffer    []byte            // of the last pages, reused
	failure   failure
}

// failure is why the last report could not be published; err is nil if it could.
type failure struct {
	mu    sync.Mutex
	since time.Time
	err   error
}

// ackTimeout is how long a page may take to be stored.
const ackTimeout = 5 * time.Second

// startPoll is how often to check whether the roster has caught up.
const startPoll = 50 * time.Millisecond

// NewPublisher returns a publisher and registers its metrics.
func NewPublisher(c PublisherConfig) *Publisher {
	return &Publisher{PublisherConfig: c, metrics: newPublisherMetrics(c.Registry), now: time.Now}
}

type publisherMetrics struct {
	ok, failed, unchanged prometheus.Counter
	failing               prometheus.Gauge
}

func newPublisherMetrics(reg prometheus.Registerer) *publisherMetrics {
	reports := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rollcall_reports_total",
		Help: "Reports since the process began, by result: ok (published), failed (retried at the next interval), unchanged (not published).",
	}, []string{"result"})
	failing := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "rollcall_reports_failing",
		Help: "1 if the last attempt to publish a report failed, else 0.",
	})
	reg.MustRegister(reports, failing)
	return &publisherMetrics{
		failing:   failing,
		ok:        reports.WithLabelValues("ok"),
		failed:    reports.WithLabelValues("failed"),
		unchanged: reports.WithLabelValues("unchanged"),
	}
}

// Run publishes until the context is done: once when the source has caught up,
// then at each interval if anything changed except report, when, sequence, place
// and heard. A report that could not be published is dropped: the next interval
// builds a new one. Run returns nil.
//
// A report's pages are published last page first. So once page 1 has arrived, a
// reader that keeps the last message of each subject has the whole report, until a
// page with another ID arrives. Pages of an earlier, longer report stay in the
// stream after the last page: readers must check the ID and the number of pages.
//
// With a fence, Run may be called again, when the process is the active one again.
func (p *Publisher) Run(ctx context.Context) error {
	p.published, p.last = false, nil
	//guard:drop "one that publishes no more does not fail to" TestFailsNoMore
	defer p.recordResult(nil)
	if !p.awaitCaughtUp(ctx) {
		return nil
	}
	p.tick(ctx)
	ticker := time.NewTicker(p.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			p.tick(ctx)
		}
	}
}

// awaitCaughtUp returns false if the context is done first.
func (p *Publisher) awaitCaughtUp(ctx context.Context) bool {
	ticker := time.NewTicker(startPoll)
	defer ticker.Stop()
	for !p.CaughtUp() {
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
	}
	return ctx.Err() == nil
}

// tick publishes a report, if the roster has caught up and the report has
// changed.
func (p *Publisher) tick(ctx context.Context) {
	//guard:false "a partial roster is never published" TestNothingBeforeCaughtUp
	if !p.CaughtUp() {
		return
	}
	//guard:false "a process that is not the active one publishes no report" TestFence
	if p.Fence != nil && p.Fence(func() {}) != nil {
		return
	}
	changed, err := p.publish(ctx)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		p.metrics.failed.Inc()
		p.Log.Warn("report not published, retrying at the next interval with a new one", "err", err)
	case changed:
		p.metrics.ok.Inc()
	default:
		p.metrics.unchanged.Inc()
	}
	p.recordResult(err)
}

// recordResult records whether the last report could be published.
func (p *Publisher) recordResult(err error) {
	p.failure.mu.Lock()
	defer p.failure.mu.Unlock()
	if p.failure.err == nil {
		p.failure.since = p.now()
	}
	p.failure.err = err
	p.metrics.failing.Set(0)
	if err != nil {
		p.metrics.failing.Set(1)
	}
}

// Failing returns since when reports cannot be published, and why the last one
// failed; a nil error if publishing works.
func (p *Publisher) Failing() (since time.Time, err error) {
	p.failure.mu.Lock()
	defer p.failure.mu.Unlock()
	return p.failure.since, p.failure.err
}

// publish builds a report and publishes it if it changed.
func (p *Publisher) publish(ctx context.Context) (changed bool, err error) {
	// While disconnected, the connection would buffer the pages and send them,
	// outdated, when it reconnects.
	nc := p.JetStream.Conn()
	//guard:false "no outdated report is published after an outage" TestNoStaleReportAfterOutage
	if !nc.IsConnected() {
		return false, fmt.Errorf("publishing: the connection to NATS is %s", strings.ToLower(nc.Status().String()))
	}
	head, pages, err := p.build(nc.MaxPayload())
	if err != nil {
		return false, err
	}
	p.buffer = pages.body
	content := [sha256.Size]byte(pages.content.Sum(nil))
	//guard:false "an unchanged report is not published again" TestPublishWhatChanged
	if p.published && content == p.content {
		return false, nil
	}
	if err := p.readLast(ctx); err != nil {
		return true, err
	}
	for page, message := range pages.messages(head) {
		if err := p.send(ctx, p.Subjects.ReportPage(page), message); err != nil {
			return true, fmt.Errorf("publishing page %d of %d: %w", page, pages.count(), err)
		}
	}
	p.published, p.content = true, content
	p.Log.Debug("report published", "report", head.ID, "place", head.Place, "pages", pages.count())
	return true, nil
}

// readLast reads the sequence of the last page in the stream, with a fence, unless it is
// known.
func (p *Publisher) readLast(ctx context.Context) error {
	if p.Fence == nil || p.last != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	stream, err := p.JetStream.Stream(ctx, p.Reports)
	if err != nil {
		return fmt.Errorf("reading the last sequence of stream %s: %w", p.Reports, err)
	}
	p.last = &stream.CachedInfo().State.LastSeq
	return nil
}

// send publishes one page and waits until it is stored. With a fence, a page that was not
// stored makes the last sequence unknown.
func (p *Publisher) send(ctx context.Context, subject string, message []byte) error {
	ctx, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	if p.Fence == nil {
		_, err := p.JetStream.Publish(ctx, subject, message)
		return p.explain(err, len(message))
	}
	if err := p.Fence(func() {}); err != nil {
		return err
	}
	//guard:drop jetstream.WithExpectLastSequence(*p.last) "a page that is sent late is not stored" TestLatePage
	ack, err := p.JetStream.Publish(ctx, subject, message, jetstream.WithExpectLastSequence(*p.last))
	if p.last = nil; err == nil {
		p.last = &ack.Sequence
	}
	return p.explain(err, len(message))
}

// errMessageSize is the server's error code for a message larger than the
// max_msg_size of its stream.
const errMessageSize = 10054

// explain adds to an error which stream refused a page, and the remedy if the page
// is too large.
func (p *Publisher) explain(err error, size int) error {
	refusal, ok := errors.AsType[jetstream.JetStreamError](err)
	if !ok || refusal.APIError() == nil {
		return err
	}
	api := refusal.APIError()
	if api.ErrorCode == errMessageSize {
		return fmt.Errorf("stream %s refuses a message of %d bytes (%w): raise its max_msg_size to the server's max_payload: nats stream edit %s --max-msg-size=%d",
			p.Reports, size, api, p.Reports, p.JetStream.Conn().MaxPayload())
	}
	return fmt.Errorf("stream %s refuses the page: %w", p.Reports, api)
}

// build builds the report of the roster as it is between two batches, in messages
// of at most maxPayload bytes.
func (p *Publisher) build(maxPayload int64) (api.Report, *pages, error) {
	cut := p.Roster.Cut()
	defer cut.Close()
	head := p.Head(&cut.Status, p.now())
	capacity, err := PageCapacity(maxPayload, longestHead(head))
	if err != nil {
		return api.Report{}, nil, err
	}
	pages := newPages(&head, capacity, p.buffer)
	var m Row
	for v := range cut.All() {
		if m = RowOf(v, m); m.Shown {
			m.Silent = p.Silent(m.Heard, m.Every, head.When)
			pages.add(&m)
		}
	}
	return head, pages, nil
}

// longestHead returns the greatest length that a report's head has on any page.
func longestHead(r api.Report) int {
	r.Page, r.Pages = math.MaxInt32, math.MaxInt32
	return len(AppendHead(nil, &r))
}
