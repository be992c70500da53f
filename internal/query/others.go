package query

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/api"
)

const (
	// queryEvery is how often the other processes are queried; collectFor, how long
	// answers are collected; maxOthers, how many other processes are recorded.
	queryEvery = time.Minute
	collectFor = 2 * time.Second
	maxOthers  = 15
	// minQueryInterval is the shortest time between two queries.
	minQueryInterval = 5 * time.Second
	// logEvery is how often another process is logged as long as it answers.
	logEvery = 10 * time.Minute
)

// others are the other processes on the same subjects. Each should be one that stands by
// for this one, or for which this one stands by; the others are rivals.
type others struct {
	rivals  prometheus.Gauge
	standby prometheus.Gauge
	requery chan struct{} // receives a value when an unknown instance has asked

	mu         sync.Mutex
	list       []api.Instance
	lastLogged map[string]time.Time // when each instance was last logged
}

func newOthers(reg prometheus.Registerer) *others {
	o := &others{
		requery: make(chan struct{}, 1), lastLogged: make(map[string]time.Time),
		rivals: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "rollcall_instances",
			Help: "Processes that answer questions on the same subjects, including this one, without those that stand by for each other. If there are several, any one of them answers each question.",
		}),
		standby: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "rollcall_standbys",
			Help: "Other processes on the same subjects that stand by for this one, or for which it stands by.",
		}),
	}
	o.rivals.Set(1)
	if reg != nil {
		reg.MustRegister(o.rivals, o.standby)
	}
	return o
}

// known returns the other processes that answered the last query.
func (o *others) known() []api.Instance {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.list)
}

// askedBy handles a query from an instance. If it is unknown, it has just started,
// so the others are queried soon.
func (o *others) askedBy(instance string) {
	if instance == "" || slices.ContainsFunc(o.known(), func(i api.Instance) bool { return i.ID == instance }) {
		return
	}
	select {
	case o.requery <- struct{}{}:
	default:
	}
}

// watchOthers queries the other processes at intervals until the context is done.
func (s *Service) watchOthers(ctx context.Context) {
	every := time.NewTicker(s.queryEvery)
	defer every.Stop()
	for {
		s.queryOthers(ctx)
		rest := time.NewTimer(min(minQueryInterval, s.queryEvery))
		select {
		case <-ctx.Done():
			rest.Stop()
			return
		case <-rest.C:
		}
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		case <-s.others.requery:
		}
	}
}

// queryOthers queries the other processes once. While NATS is disconnected, it keeps
// the last result.
func (s *Service) queryOthers(ctx context.Context) {
	if !s.Conn.IsConnected() {
		return
	}
	answers, err := s.collect(ctx)
	if err != nil {
		s.Log.Debug("querying other instances failed", "err", err)
	}
	if err != nil || ctx.Err() != nil {
		return
	}
	ours := slices.IndexFunc(answers, func(i api.Instance) bool { return i.ID == s.Instance })
	if ours < 0 { // not even our own answer arrived
		s.Log.Debug("no instance answers, not even this one: allow rollcall's NATS user to publish to the subject and to its own inbox",
			"subject", s.Subjects.Query("instances"))
		return
	}
	s.recordOthers(slices.Delete(answers, ours, ours+1))
}

// collect returns the answers that arrive in time, one for each instance.
func (s *Service) collect(ctx context.Context) ([]api.Instance, error) {
	question, err := json.Marshal(api.InstancesRequest{Instance: s.Instance})
	if err != nil {
		return nil, err
	}
	inbox := s.Conn.NewInbox()
	replies, err := s.Conn.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("subscribing to answers: %w", err)
	}
	defer replies.Unsubscribe() //nolint:errcheck // the connection may be gone
	if err := s.Conn.PublishMsg(&nats.Msg{Subject: s.Subjects.Query("instances"), Reply: inbox, Data: question}); err != nil {
		return nil, fmt.Errorf("asking: %w", err)
	}
	within, cancel := context.WithTimeout(ctx, min(collectFor, s.queryEvery))
	defer cancel()
	var answers []api.Instance
	for len(answers) <= maxOthers {
		m, err := replies.NextMsgWithContext(within)
		if err != nil {
			break // timeout
		}
		answer, err := api.Decode[api.Instance](m.Data)
		if err == nil && !slices.ContainsFunc(answers, func(i api.Instance) bool { return i.ID == answer.ID }) {
			answers = append(answers, answer)
		}
	}
	return answers, nil
}

// recordOthers records the other processes that answered, and logs the rivals.
func (s *Service) recordOthers(found []api.Instance) {
	o := s.others
	o.mu.Lock()
	defer o.mu.Unlock()
	self := s.self()
	lastLogged := make(map[string]time.Time)
	for _, other := range found {
		//guard:drop other.Standby "a process that does not stand by is a rival" TestRivals
		if self.Standby && other.Standby {
			continue
		}
		last, ok := o.lastLogged[other.ID]
		if !ok || time.Since(last) >= logEvery {
			last = time.Now()
			s.Log.Warn("another rollcall answers on the same subjects, so either one answers each question: stop one, set ROLLCALL_STANDBY=true for both, or set another ROLLCALL_SUBJECT for it",
				"subject", s.Subjects.AllQueries(), "other", instanceLog(other), "same_settings", other.Settings == s.Settings)
		}
		lastLogged[other.ID] = last
	}
	if len(lastLogged) == 0 && len(o.lastLogged) > 0 {
		s.Log.Info("no other rollcall answers any more", "subject", s.Subjects.AllQueries())
	}
	o.list, o.lastLogged = found, lastLogged
	o.rivals.Set(float64(1 + len(lastLogged)))
	o.standby.Set(float64(len(found) - len(lastLogged)))
}

// instanceLog is an instance in a log message, with what identifies its process.
type instanceLog api.Instance

func (l instanceLog) LogValue() slog.Value {
	return slog.GroupValue(slog.String("instance", l.ID), slog.String("version", l.Version),
		slog.Time("started", l.Started), slog.String("stream", l.Stream), slog.Uint64("place", l.Place))
}
