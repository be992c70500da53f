package natsconn

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

func ourStreams(t *testing.T) Streams {
	subjects, err := rollcallv1.NewSubjects(rollcallv1.DefaultSubject)
	if err != nil {
		t.Fatal(err)
	}
	return Streams{
		Subjects:        subjects,
		Events:          rollcallv1.DefaultEventsStream,
		Reports:         rollcallv1.DefaultReportsStream,
		DeadLetters:     rollcallv1.DefaultDeadLettersStream,
		AllowedLateness: 720 * time.Hour,
		MaxAge:          2160 * time.Hour,
		MaxBytes:        64 << 20,
		Replicas:        1,
	}
}

// newJetStream returns the JetStream of a new server for the test.
func newJetStream(t *testing.T, options ...func(*server.Options)) jetstream.JetStream {
	return kit.JetStream(t, kit.Conn(t, kit.StartServer(t, options...).URL))
}

func TestPrepareCreatesStreams(t *testing.T) {
	js := newJetStream(t)
	log, r := logger()
	events, err := Prepare(t.Context(), js, ourStreams(t), log)
	if err != nil {
		t.Fatal(err)
	}
	if events.Config.Name != "ROLLCALL_EVENTS" || events.Created.IsZero() {
		t.Errorf("returned %+v", events)
	}
	all, err := list(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 3 {
		t.Fatalf("%d streams, want 3", len(all))
	}
	configs := make(map[string]jetstream.StreamConfig)
	for _, info := range all {
		c := info.Config
		configs[c.Name] = c
		if c.Retention != jetstream.LimitsPolicy || c.Storage != jetstream.FileStorage || c.Discard != jetstream.DiscardOld || !c.AllowDirect {
			t.Errorf("stream %s: %+v", c.Name, c)
		}
	}
	c := configs["ROLLCALL_EVENTS"]
	if !c.DenyDelete || !c.DenyPurge || c.Duplicates != 100*time.Millisecond || c.MaxMsgsPerSubject != -1 || c.MaxMsgSize != 256<<10+4<<10 ||
		c.MaxAge != 2160*time.Hour || c.MaxBytes != 64<<20 || !slices.Equal(c.Subjects, []string{"rollcall.events", "rollcall.events.>"}) {
		t.Errorf("events: %+v", c)
	}
	c = configs["ROLLCALL_REPORTS"]
	if c.MaxMsgsPerSubject != 1 || c.MaxAge != 0 || c.MaxBytes != 8<<20 || !slices.Equal(c.Subjects, []string{"rollcall.reports", "rollcall.reports.>"}) {
		t.Errorf("reports: %+v", c)
	}
	c = configs["ROLLCALL_DEADLETTERS"]
	if c.MaxMsgsPerSubject != 1 || c.MaxAge != 2160*time.Hour || c.MaxBytes != 16<<20 || !slices.Equal(c.Subjects, []string{"rollcall.deadletters.>"}) {
		t.Errorf("dead letters: %+v", c)
	}
	if !r.Has(`level=WARN msg="stream has one replica`) || r.Count("\n") != 4 || r.Count(`level=INFO msg="stream created" stream=ROLLCALL_`) != 3 {
		t.Errorf("log says:\n%s", r)
	}
}

func TestPrepareWithoutLimits(t *testing.T) {
	s := ourStreams(t)
	s.MaxAge, s.MaxBytes, s.Replicas = 0, 0, 0
	info, err := Prepare(t.Context(), newJetStream(t), s, kit.Logger(t))
	if err != nil {
		t.Fatal(err)
	}
	if info.Config.MaxBytes != -1 || info.Config.MaxAge != 0 || info.Config.Replicas != 1 {
		t.Errorf("created %+v", info.Config)
	}
}

// TestPrepareChangesNothing: streams that were created earlier with other settings
// keep them, and their messages.
func TestPrepareChangesNothing(t *testing.T) {
	js := newJetStream(t)
	s := ourStreams(t)
	if _, err := Prepare(t.Context(), js, s, kit.Logger(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), s.Subjects.Events(), []byte("x")); err != nil {
		t.Fatal(err)
	}
	before := everything(t, js, true)
	s.MaxAge, s.MaxBytes, s.AllowedLateness = 24*time.Hour, 1<<20, time.Hour
	if _, err := Prepare(t.Context(), js, s, kit.Logger(t)); err != nil {
		t.Fatal(err)
	}
	if after := everything(t, js, true); after != before {
		t.Errorf("before %s\nafter %s", before, after)
	}
}

// everything returns the server's info about all streams, with or without their
// contents.
func everything(t *testing.T, js jetstream.JetStream, content bool) string {
	t.Helper()
	all, err := list(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range all {
		info.TimeStamp = time.Time{}
		if !content {
			info.State = jetstream.StreamState{}
		}
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Several services that start at the same moment create one set of streams.
func TestPrepareTogether(t *testing.T) {
	js := newJetStream(t)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if _, err := Prepare(t.Context(), js, ourStreams(t), kit.Logger(t)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

func TestSealedStream(t *testing.T) {
	js := newJetStream(t)
	c := jetstream.StreamConfig{Name: "ROLLCALL_EVENTS", Subjects: []string{"rollcall.events", "rollcall.events.>"}}
	makeStream(t, js, c)
	c.Sealed = true
	if _, err := js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	refused(t, js, "stream ROLLCALL_EVENTS: sealed is true")
}

func makeStream(t *testing.T, js jetstream.JetStream, c jetstream.StreamConfig) {
	t.Helper()
	if _, err := js.CreateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// Unrelated streams of others are allowed, and so are wider subjects of ours.
func TestStreamsThatServe(t *testing.T) {
	js := newJetStream(t)
	makeStream(t, js, jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"rollcalls.>", "rollcall.other", "x.*"}, Retention: jetstream.WorkQueuePolicy})
	makeStream(t, js, jetstream.StreamConfig{Name: "COPY", Sources: []*jetstream.StreamSource{{Name: "OTHER"}}})
	makeStream(t, js, jetstream.StreamConfig{Name: "SITE", Subjects: []string{"site.*"}})
	makeStream(t, js, jetstream.StreamConfig{
		Name: "ROLLCALL_EVENTS", Subjects: []string{"logins", "rollcall.events", "rollcall.events.>"},
		Sources:   []*jetstream.StreamSource{{Name: "SITE", FilterSubject: ">"}},
		RePublish: &jetstream.RePublish{Source: "logins", Destination: "again.logins"}, AllowMsgTTL: true, AllowAtomicPublish: true, AllowBatchPublish: true,
	})
	makeStream(t, js, jetstream.StreamConfig{Name: "SCHEDULES", Subjects: []string{"jobs.>"}, AllowMsgSchedules: true})
	if _, err := Prepare(t.Context(), js, ourStreams(t), kit.Logger(t)); err != nil {
		t.Error(err)
	}
}

func TestWarnings(t *testing.T) {
	events := jetstream.StreamConfig{Name: "ROLLCALL_EVENTS", Subjects: []string{"rollcall.events", "rollcall.events.>"}}
	with := func(change func(*jetstream.StreamConfig)) jetstream.StreamConfig {
		c := events
		change(&c)
		return c
	}
	for name, c := range map[string]struct {
		stream jetstream.StreamConfig
		says   string
	}{
		"discard new": {with(func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardNew }), "level=WARN msg=\"stream rejects new messages when full"},
		"memory":      {with(func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage }), "level=WARN msg=\"stream is in memory"},
		"one replica": {events, "level=WARN msg=\"stream has one replica"},
		"long window": {events, "duplicate_window=2m0s"},
		"TTLs":        {with(func(c *jetstream.StreamConfig) { c.AllowMsgTTL = true }), "allow_msg_ttl"},
		"counters":    {with(func(c *jetstream.StreamConfig) { c.AllowMsgCounter = true }), "allow_msg_counter"},
		"republish": {with(func(c *jetstream.StreamConfig) {
			c.RePublish = &jetstream.RePublish{Source: ">", Destination: "copy.>"}
		}), "to=copy.>"},
		"max size": {with(func(c *jetstream.StreamConfig) { c.MaxMsgSize = 1 << 10 }), "max_msg_size=1024 largest_event=262144"},
		"max age":  {with(func(c *jetstream.StreamConfig) { c.MaxAge = 719 * time.Hour }), "max_age=719h0m0s allowed_lateness=720h0m0s"},
		"reports":  {jetstream.StreamConfig{Name: "ROLLCALL_REPORTS", Subjects: []string{"rollcall.reports", "rollcall.reports.>"}, Storage: jetstream.MemoryStorage}, "in memory"},
	} {
		t.Run(name, func(t *testing.T) {
			js := newJetStream(t)
			makeStream(t, js, c.stream)
			log, r := logger()
			if _, err := Prepare(t.Context(), js, ourStreams(t), log); err != nil {
				t.Fatal(err)
			}
			if !r.Has(c.says) || !r.Has("stream="+c.stream.Name) {
				t.Errorf("log doesn't say %q:\n%s", c.says, r)
			}
		})
	}
	ours := ourStreams(t)
	ours.Embedded = true
	log, r := logger()
	if _, err := Prepare(t.Context(), newJetStream(t), ours, log); err != nil || !r.Has(`level=INFO msg="stream has one replica`) {
		t.Errorf("%v, the log of the embedded server's says:\n%s", err, r)
	}
}

func TestWrongNames(t *testing.T) {
	js := newJetStream(t)
	s := ourStreams(t)
	s.Reports = s.Events
	_, err := Prepare(t.Context(), js, s, kit.Logger(t))
	wantError(t, err, true, "ROLLCALL_STREAM and ROLLCALL_REPORTS_STREAM", "ROLLCALL_EVENTS")
	for _, name := range []string{"", "a.b", "a b", "a*", ">"} {
		s := ourStreams(t)
		s.DeadLetters = name
		_, err := Prepare(t.Context(), js, s, kit.Logger(t))
		wantError(t, err, true, "ROLLCALL_DEADLETTERS_STREAM", `"`+name+`"`)
	}
}

func TestNoJetStream(t *testing.T) {
	s := kit.StartServer(t, kit.WithoutJetStream)
	js := kit.JetStream(t, kit.Conn(t, s.URL))
	_, err := Prepare(t.Context(), js, ourStreams(t), kit.Logger(t))
	wantError(t, err, true, s.URL, "no JetStream", "nats-server -js")
}

func TestNoJetStreamForAccount(t *testing.T) {
	account := server.NewAccount("A")
	js := kit.JetStream(t, kit.Conn(t, kit.StartServer(t, func(o *server.Options) {
		o.Accounts = []*server.Account{account}
		o.Users = []*server.User{{Username: "u", Password: "p", Account: account}}
	}).URL, nats.UserInfo("u", "p")))
	_, err := Prepare(t.Context(), js, ourStreams(t), kit.Logger(t))
	wantError(t, err, true, "no JetStream")
}

func TestServerLimits(t *testing.T) {
	js := newJetStream(t, func(o *server.Options) { o.JetStreamMaxStore = 32 << 20 })
	_, err := Prepare(t.Context(), js, ourStreams(t), kit.Logger(t))
	wantError(t, err, true, "creating stream ROLLCALL_EVENTS", "ROLLCALL_STREAM_MAX_BYTES", "67108864")

	s := ourStreams(t)
	s.Replicas = 3
	_, err = Prepare(t.Context(), newJetStream(t), s, kit.Logger(t))
	wantError(t, err, true, "creating stream ROLLCALL_EVENTS", "ROLLCALL_STREAM_REPLICAS (3)")
}

// The error for a login that may not list or create streams names what it lacks.
func TestDeniedRequests(t *testing.T) {
	const create = "$JS.API.STREAM.CREATE."
	for denied, want := range map[string][]string{
		"$JS.API.STREAM.LIST": {"let this login publish to $JS.API.STREAM.LIST"},
		create + "*": {
			"missing streams ROLLCALL_EVENTS, ROLLCALL_REPORTS, ROLLCALL_DEADLETTERS: this login may not create them", "deploy/nats",
			create + "ROLLCALL_EVENTS, " + create + "ROLLCALL_REPORTS, " + create + "ROLLCALL_DEADLETTERS",
		},
		create + "ROLLCALL_REPORTS": {"missing streams ROLLCALL_REPORTS, ROLLCALL_DEADLETTERS: this"},
	} {
		t.Run(denied, func(t *testing.T) {
			s := kit.StartServer(t, func(o *server.Options) {
				o.Users = []*server.User{{Username: "u", Password: "p", Permissions: &server.Permissions{
					Publish: &server.SubjectPermission{Deny: []string{denied}},
				}}}
			})
			js := kit.JetStream(t, kit.Conn(t, s.URL, nats.UserInfo("u", "p")))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := Prepare(ctx, js, ourStreams(t), kit.Logger(t))
			wantError(t, err, true, want...)
		})
	}
}

func TestServerGoneWhilePreparing(t *testing.T) {
	s := kit.StartServer(t)
	js := kit.JetStream(t, kit.Conn(t, s.URL))
	s.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := Prepare(ctx, js, ourStreams(t), kit.Logger(t))
	wantError(t, err, false, "listing the streams", "doesn't answer")
}

func TestUntilReady(t *testing.T) {
	for code, want := range map[jetstream.ErrorCode]int{
		errNotAvailable: 2, errNotLeader: 2, errIncomplete: 2, errNameInUse: 2, errStorage: 1, errMaxBytesRequired: 1,
	} {
		calls := 0
		failure := error(&jetstream.APIError{ErrorCode: code})
		err := untilReady(t.Context(), func() error {
			calls++
			if calls == 2 {
				return nil
			}
			return failure
		})
		if calls != want || errors.Is(err, failure) != (want == 1) {
			t.Errorf("code %d: called %d times, %v", code, calls, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	failure := &jetstream.APIError{ErrorCode: errNotAvailable}
	if err := untilReady(ctx, func() error { return failure }); !errors.Is(err, failure) {
		t.Errorf("with a context that has ended: %v", err)
	}
}
