package natsconn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/roster"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// Streams holds the names of the three streams, and how to create those that are
// missing.
type Streams struct {
	Subjects                     rollcallv1.Subjects
	Events, Reports, DeadLetters string

	// AllowedLateness is how old an event may be and still count. A warning is
	// logged if the stream deletes events before that.
	AllowedLateness time.Duration

	// MaxAge and MaxBytes bound the stream of events; 0 means no bound. Dead
	// letters get the same age and a quarter of the bytes; reports (one message per
	// page) get no age and an eighth of the bytes. So bounding the stream of events
	// bounds all three. Replicas applies to all three.
	MaxAge   time.Duration
	MaxBytes int64
	Replicas int

	// Consumers is how many consumers of the stream of events we need at a time.
	// AccountConsumers is how many its account allows in all; 0 or less means no
	// limit. A warning is logged if the stream or the account allows fewer.
	Consumers, AccountConsumers int

	// Speakers are the sources that the stream of events must have, and may have.
	Speakers *roster.Speakers

	// Embedded says that the streams are in the embedded server. Its streams can only
	// have one replica, which is therefore logged at level info and is not a risk.
	Embedded bool
}

// requestTimeout bounds one request, readyTimeout the wait for JetStream to be
// ready; retryPause is the pause between attempts.
const (
	requestTimeout = 5 * time.Second
	readyTimeout   = 30 * time.Second
	retryPause     = 250 * time.Millisecond
)

// duplicateWindow is the shortest that the server allows. Message ids are shared by
// all machines, so one machine could suppress another's event by using its id first.
const duplicateWindow = 100 * time.Millisecond

// Prepare checks the existing streams, then creates the missing ones, and returns
// the server's info about the stream of events. An existing stream is never
// changed. If anything makes a stream unusable, none is created, and the error
// lists every cause. Settings that work but may lose messages are logged.
//
// Prepare waits for a JetStream that is not ready yet, for half a minute at most;
// each request takes a few seconds at most. An error that matches ErrConfiguration
// needs a change of configuration.
func Prepare(ctx context.Context, js jetstream.JetStream, s Streams, log *slog.Logger) (*jetstream.StreamInfo, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	warnOldServer(js.Conn().ConnectedServerVersion(), log)
	var info *jetstream.StreamInfo
	err := untilReady(ctx, func() (err error) {
		info, err = s.prepare(ctx, js, log)
		return err
	})
	return info, err
}

// prepare tries once.
func (s Streams) prepare(ctx context.Context, js jetstream.JetStream, log *slog.Logger) (*jetstream.StreamInfo, error) {
	roles := s.roles()
	infos, err := prepareOnce(ctx, js, roles, s.Subjects, log)
	if err != nil {
		return nil, err
	}
	for i, r := range roles {
		s.warn(ctx, r, infos[i], log)
	}
	return infos[0], nil
}

// role is what one of our streams is for.
type role struct {
	variable string                 // sets its name
	config   jetstream.StreamConfig // used to create it
	events   bool                   // read by position
	speakers *roster.Speakers       // of the stream of events
}

// roles returns the stream of events first.
func (s Streams) roles() []role {
	common := func(name, what string, subjects []string, maxBytes int64) jetstream.StreamConfig {
		return jetstream.StreamConfig{
			Name:        name,
			Description: "rollcall: " + what,
			Subjects:    subjects,
			Retention:   jetstream.LimitsPolicy,
			Storage:     jetstream.FileStorage,
			Discard:     jetstream.DiscardOld,
			MaxBytes:    limit(maxBytes),
			Replicas:    max(s.Replicas, 1),
			AllowDirect: true,
		}
	}
	events := common(s.Events, "logins and logouts", s.Subjects.AllEvents(), s.MaxBytes)
	events.MaxAge = s.MaxAge
	//guard:drop "nobody deletes events by mistake" TestPrepareCreatesStreams
	events.DenyDelete, events.DenyPurge = true, true
	//guard:drop "no machine suppresses another's event by its id" TestPrepareCreatesStreams
	events.Duplicates = duplicateWindow
	events.MaxMsgSize = rollcallv1.MaxMessage // a larger message would be stored only to be refused

	reports := common(s.Reports, "the last report", s.Subjects.AllReports(), s.MaxBytes/8)
	reports.MaxMsgsPerSubject = 1

	deadLetters := common(s.DeadLetters, "events that were refused", s.Subjects.AllDeadLetters(), s.MaxBytes/4)
	deadLetters.MaxAge = s.MaxAge
	deadLetters.MaxMsgsPerSubject = 1

	return []role{
		{variable: "ROLLCALL_STREAM", config: events, events: true, speakers: s.Speakers},
		{variable: "ROLLCALL_REPORTS_STREAM", config: reports},
		{variable: "ROLLCALL_DEADLETTERS_STREAM", config: deadLetters},
	}
}

// limit converts one of our limits to the server's form, in which -1 means none.
func limit(n int64) int64 {
	if n <= 0 {
		return -1
	}
	return n
}

// check rejects names that the server would reject, and two streams with one name.
func (s Streams) check() error {
	variables := make(map[string]string) // by stream name
	for _, r := range s.roles() {
		name := r.config.Name
		if name == "" || strings.ContainsAny(name, " \t\r\n\f.*>/\\") {
			return Misconfigured("%s %q is not the name of a stream: want letters, digits, - and _", r.variable, name)
		}
		if other, ok := variables[name]; ok {
			return Misconfigured("%s and %s are both %q: want two different streams", other, r.variable, name)
		}
		variables[name] = r.variable
	}
	return nil
}

// prepareOnce checks and creates the streams, and returns their infos in the order
// of the roles.
func prepareOnce(ctx context.Context, js jetstream.JetStream, roles []role, subjects rollcallv1.Subjects, log *slog.Logger) ([]*jetstream.StreamInfo, error) {
	all, err := list(ctx, js)
	if err != nil {
		return nil, explain(js, "listing the streams", "STREAM.LIST", err)
	}
	if err := validate(all, roles, subjects, js.Conn().ConnectedServerVersion()); err != nil {
		return nil, err
	}
	found := make(map[string]*jetstream.StreamInfo)
	for _, info := range all {
		found[info.Config.Name] = info
	}
	infos := make([]*jetstream.StreamInfo, len(roles))
	for i, r := range roles {
		//guard:false "an operator's settings stay" TestPrepareChangesNothing
		if infos[i] = found[r.config.Name]; infos[i] != nil {
			continue
		}
		if infos[i], err = create(ctx, js, r.config); err != nil {
			return nil, explainCreate(js, r, absentNames(roles[i:], found), err)
		}
		infos[i] = withDomain(ctx, js, infos[i])
		logCreated(infos[i], log)
	}
	return infos, nil
}

// withDomain asks again for the info of a stream that was created: the server's answer to
// that does not have the domain. Without an answer it returns the info as it was.
func withDomain(ctx context.Context, js jetstream.JetStream, info *jetstream.StreamInfo) *jetstream.StreamInfo {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stream, err := js.Stream(ctx, info.Config.Name)
	if err != nil {
		return info
	}
	return stream.CachedInfo()
}

// logCreated says which stream was created, and in which domain, if its server is in one:
// on a leaf node with a JetStream of its own it is easily the wrong one.
func logCreated(info *jetstream.StreamInfo, log *slog.Logger) {
	args := []any{"stream", info.Config.Name}
	//guard:false "a stream in the wrong domain is noticed" ./internal/service:TestDomain
	if info.Domain != "" {
		args = append(args, "domain", info.Domain)
	}
	log.Info("stream created", args...)
}

// absentNames returns the names of the streams that are not in found.
func absentNames(roles []role, found map[string]*jetstream.StreamInfo) []string {
	var names []string
	for _, r := range roles {
		if found[r.config.Name] == nil {
			names = append(names, r.config.Name)
		}
	}
	return names
}

// list returns all streams of the account. In a cluster it lacks those whose leader does not
// answer.
// Without the time-out, the library would wait for ever if the context has no
// deadline.
func list(ctx context.Context, js jetstream.JetStream) ([]*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var all []*jetstream.StreamInfo
	lister := js.ListStreams(ctx)
	for info := range lister.Info() {
		all = append(all, info)
	}
	return all, orDenial(ctx, lister.Err())
}

func create(ctx context.Context, js jetstream.JetStream, config jetstream.StreamConfig) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stream, err := js.CreateStream(ctx, config)
	if err != nil {
		return nil, orDenial(ctx, err)
	}
	return stream.CachedInfo(), nil
}

// orDenial returns the denial with which ctx was canceled, if it was, else err.
func orDenial(ctx context.Context, err error) error {
	if denial, ok := errors.AsType[*Denial](context.Cause(ctx)); ok && errors.Is(err, context.Canceled) {
		return denial
	}
	return err
}

// untilReady retries while JetStream is not ready or somebody else creates our
// streams at the same moment.
func untilReady(ctx context.Context, do func() error) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		err := do()
		if err == nil || !isTemporary(err) {
			return err
		}
		if pause(ctx, retryPause) != nil {
			return err
		}
	}
}

// The error codes of the server's API that we distinguish (its errors.json).
const (
	errAccountResources = 10002 // the account's limit
	errIncomplete       = 10004 // not all of the cluster has answered
	errNoPeers          = 10005 // too few servers for the replicas
	errNotAssigned      = 10007
	errNotAvailable     = 10008 // the cluster has no leader
	errNotLeader        = 10009
	errInsufficient     = 10023 // no server of the cluster has enough space
	errStorage          = 10047 // the server's limit
	errNameInUse        = 10058
	errNoReplicas       = 10074 // the server is not in a cluster
	errMaxBytesRequired = 10113
	errMaxBytesExceeded = 10122
)

func codeOf(err error) jetstream.ErrorCode {
	var api jetstream.JetStreamError
	if errors.As(err, &api) && api.APIError() != nil {
		return api.APIError().ErrorCode
	}
	return 0
}

func isTemporary(err error) bool {
	if errors.Is(err, ErrConfiguration) {
		return false
	}
	switch codeOf(err) {
	case errIncomplete, errNotAssigned, errNotAvailable, errNotLeader, errNameInUse:
		return true
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout)
}

// explain explains an error of the API. A denied request looks like a time-out; the
// connection's last error has the reason.
func explain(js jetstream.JetStream, doing, request string, err error) error {
	nc, domain := js.Conn(), domainOf(js)
	last := nc.LastError()
	denial, denied := errors.AsType[*Denial](err)
	switch {
	case denied:
		return Misconfigured("%s: %w", doing, denial)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", doing, err)
	//guard:false "a wrong domain is named" TestWrongDomain
	case domain != "" && errors.Is(err, nats.ErrNoResponders):
		return noJetStream("no JetStream%s answers on NATS at %s: start the servers of that domain, or correct NATS_JS_DOMAIN", domain.In(), Redact(nc.ConnectedUrl()))
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrJetStreamNotEnabled):
		return noJetStream("NATS at %s has no JetStream: enable it (`nats-server -js`), or use another server", Redact(nc.ConnectedUrl()))
	case errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return noJetStream("the account on NATS at %s has no JetStream: enable it for the account, or use another account", Redact(nc.ConnectedUrl()))
	case errors.Is(err, context.DeadlineExceeded) && errors.Is(last, nats.ErrPermissionViolation):
		return Misconfigured("%s: %w: let this login publish to %s%s and subscribe to its inbox (NATS_INBOX_PREFIX)", doing, last, domain.API(), request)
	case isTemporary(err):
		return fmt.Errorf("%s: JetStream is not ready or doesn't answer: %w", doing, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// explainCreate says what to do when a stream cannot be created. absent names all
// streams still to be created: a login that may not create one can usually create
// none.
func explainCreate(js jetstream.JetStream, r role, absent []string, err error) error {
	name, doing := r.config.Name, "creating stream "+r.config.Name
	switch codeOf(err) {
	case errAccountResources, errInsufficient, errStorage, errMaxBytesExceeded:
		return Misconfigured("%s: %w: lower ROLLCALL_STREAM_MAX_BYTES (this stream would have max_bytes %d), or raise the limit of the account or server", doing, err, r.config.MaxBytes)
	case errMaxBytesRequired:
		return Misconfigured("%s: %w: set ROLLCALL_STREAM_MAX_BYTES", doing, err)
	case errNoPeers, errNoReplicas:
		return Misconfigured("%s: %w: lower ROLLCALL_STREAM_REPLICAS (%d) to the number of servers, or add servers", doing, err, r.config.Replicas)
	}
	last := js.Conn().LastError()
	denial, denied := errors.AsType[*Denial](err)
	if denied {
		last = denial
	}
	if denied && denial.Publish || errors.Is(err, context.DeadlineExceeded) && errors.Is(last, nats.ErrPermissionViolation) {
		create := domainOf(js).API() + "STREAM.CREATE."
		return Misconfigured("missing streams %s: this login may not create them: %w: create them with a login that may (commands: deploy/nats/README.md, Streams), or let this one publish to %s",
			strings.Join(absent, ", "), last, create+strings.Join(absent, ", "+create))
	}
	explained := explain(js, doing, "STREAM.CREATE."+name, err)
	if codeOf(err) != 0 && !isTemporary(err) {
		return configurationError{explained}
	}
	return explained
}
