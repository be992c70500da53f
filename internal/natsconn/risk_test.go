package natsconn

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// TestRisks: each setting by which a stream of events may lose messages is a
// risk with a reason of its own, and there are no other reasons.
func TestRisks(t *testing.T) {
	good := jetstream.StreamConfig{Storage: jetstream.FileStorage, Replicas: 3, Duplicates: duplicateWindow, MaxAge: 720 * time.Hour}
	s := Streams{AllowedLateness: 720 * time.Hour}
	if got := s.Risks(&jetstream.StreamInfo{Config: good}); len(got) != 0 {
		t.Errorf("a stream without risks has %v", got)
	}
	reasons := RiskReasons()
	for want, change := range map[string]func(*jetstream.StreamConfig){
		"async_persistence": func(c *jetstream.StreamConfig) { c.PersistMode = jetstream.AsyncPersistMode },
		"discard_new":       func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardNew },
		"long_duplicate_window, duplicate_window 2m0s": func(c *jetstream.StreamConfig) { c.Duplicates = 2 * time.Minute },
		"memory_storage":    func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage },
		"message_ttl":       func(c *jetstream.StreamConfig) { c.AllowMsgTTL = true },
		"counters":          func(c *jetstream.StreamConfig) { c.AllowMsgCounter = true },
		"republish, to x.>": func(c *jetstream.StreamConfig) { c.RePublish = &jetstream.RePublish{Source: ">", Destination: "x.>"} },
		"small_max_msg_size, max_msg_size 262143, largest_event 262144": func(c *jetstream.StreamConfig) { c.MaxMsgSize = rollcallv1.MaxPayload - 1 },
		"sources_and_subjects, sources fra/E S, subjects a b": func(c *jetstream.StreamConfig) {
			c.Subjects, c.Sources = []string{"a", "b"}, []*jetstream.StreamSource{{Name: "E", External: &jetstream.ExternalStream{APIPrefix: "$JS.fra.API"}}, {Name: "S"}}
		},
		"one_replica": func(c *jetstream.StreamConfig) { c.Replicas = 1 },
		"short_max_age, max_age 719h0m0s, allowed_lateness 720h0m0s": func(c *jetstream.StreamConfig) { c.MaxAge = 719 * time.Hour },
	} {
		c := good
		change(&c)
		got := s.Risks(&jetstream.StreamInfo{Config: c})
		if len(got) != 1 || got[0].Reason != want && fmt.Sprintf("%s%s", got[0].Reason, settings(got[0])) != want {
			t.Errorf("%v, want %s", got, want)
			continue
		}
		if !slices.Contains(reasons, got[0].Reason) {
			t.Errorf("%s is not in RiskReasons", got[0].Reason)
		}
		reasons = slices.DeleteFunc(reasons, func(r string) bool { return r == got[0].Reason })
	}
	if !slices.Equal(reasons, []string{cannotServe, fewConsumers}) { // TestFewConsumers
		t.Errorf("reasons without a risk: %v", reasons)
	}
}

// TestFewConsumers: a limit of consumers below what we need is a risk, whether the
// stream or its account has it.
func TestFewConsumers(t *testing.T) {
	for _, c := range []struct {
		stream, account int
		want            string
	}{
		{-1, -1, ""},
		{0, 0, ""},
		{5, 5, ""},
		{4, -1, ", max_consumers 4, needed 5"},
		{-1, 4, ", account_max_consumers 4, needed 5"},
		{1, 4, ", max_consumers 1, needed 5"},
	} {
		good := jetstream.StreamConfig{Replicas: 3, MaxConsumers: c.stream}
		got := Streams{Consumers: 5, AccountConsumers: c.account}.Risks(&jetstream.StreamInfo{Config: good})
		switch {
		case c.want == "" && len(got) == 0:
		case len(got) != 1 || got[0].Reason != fewConsumers || settings(got[0]) != c.want:
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// TestAccountLimits: the account's limit is requested, and logged if too low.
func TestAccountLimits(t *testing.T) {
	account := server.NewAccount("A")
	s := kit.StartServer(t, func(o *server.Options) {
		o.Accounts = []*server.Account{account}
		o.Users = []*server.User{{Username: "u", Password: "p", Account: account}}
	})
	running, err := s.NATS().LookupAccount("A")
	if err != nil {
		t.Fatal(err)
	}
	limits := map[string]server.JetStreamAccountLimits{"": {
		MaxMemory: -1, MaxStore: -1, MaxStreams: -1, MaxConsumers: 3,
		MaxAckPending: -1, MemoryMaxStreamBytes: -1, StoreMaxStreamBytes: -1,
	}}
	if err := running.EnableJetStream(limits, nil); err != nil {
		t.Fatal(err)
	}
	js := kit.JetStream(t, kit.Conn(t, s.URL, nats.UserInfo("u", "p")))
	log, r := logger()
	info := &jetstream.StreamInfo{Config: jetstream.StreamConfig{Name: "E"}}
	limited := Streams{Consumers: 5}.WithAccountLimits(t.Context(), js, info, log)
	if limited.AccountConsumers != 3 || !r.Has("stream=E account_max_consumers=3 needed=5") {
		t.Errorf("%d consumers; the log says %s", limited.AccountConsumers, r)
	}
}

// settings is the part of a risk's text that follows its log message.
func settings(r Risk) string { return r.String()[len(r.text)-len("stream "):] }

// TestEmbeddedReplica: one replica is not a risk in the embedded server, which can only
// have one.
func TestEmbeddedReplica(t *testing.T) {
	info := &jetstream.StreamInfo{Config: jetstream.StreamConfig{Replicas: 1, Duplicates: time.Minute}}
	got := Streams{Embedded: true}.Risks(info)
	if len(got) != 1 || got[0].Reason != "long_duplicate_window" {
		t.Error(got)
	}
}

// TestCurrentRisks: what a start would refuse in any stream is reported while rollcall
// runs, besides the risks; so is another stream that feeds events.
func TestCurrentRisks(t *testing.T) {
	js, s := newJetStream(t), ourStreams(t)
	reasons := func() string {
		t.Helper()
		risks, err := s.CurrentRisks(t.Context(), js)
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		for _, risk := range risks {
			list = append(list, risk.Reason+": "+risk.String())
		}
		return strings.Join(list, "\n")
	}
	if got := reasons(); got != "" {
		t.Errorf("without streams: %s", got)
	}
	info, err := Prepare(t.Context(), js, s, quiet())
	if err != nil {
		t.Fatal(err)
	}
	const replica = "one_replica: has one replica: it is lost with its server's disk"
	if got := reasons(); got != replica {
		t.Errorf("as created: %s", got)
	}
	config := info.Config
	config.AllowRollup, config.DenyPurge = true, false
	if _, err := js.UpdateStream(t.Context(), config); err == nil {
		t.Fatal("deny_purge can be undone: the streams that rollcall creates are no longer protected") // nats-server 2.15.2 refuses
	}
	makeStream(t, js, jetstream.StreamConfig{Name: "FEED", Subjects: []string{"feed.*"}, RePublish: &jetstream.RePublish{Source: "feed.*", Destination: "rollcall.events.{{wildcard(1)}}"}})
	makeStream(t, js, jetstream.StreamConfig{Name: "ANSWERS", Subjects: []string{"rollcall.query.>"}})
	got := reasons()
	for _, want := range []string{
		`cannot_serve: is no longer usable: rollcall would refuse to start with it: stream ANSWERS: subject "rollcall.query.>" captures rollcall.query.>`,
		replica,
		"republish: receives the messages of another stream (republish): whoever may publish to that one can forge events, from FEED, to rollcall.events.{{wildcard(1)}}",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nlacks %s", got, want)
		}
	}
}

// TestDestination: which subjects a transform can produce.
func TestDestination(t *testing.T) {
	for template, want := range map[string]string{
		"a.b": "a.b", "a.>": "a.>", "a.*.b": "a.*.b", "a.$1.b": "a.*.b", "a.{{wildcard(2)}}": "a.*", "a.{{ Partition(3,1,2) }}.b": "a.*.b",
		"a.{{split(1,-)}}.b": "a.>", "a.{{splitFromLeft(1,2)}}": "a.>", "a.{{split(1,.)}}.b": "a.>", "{{slicefromright(1,2)}}": ">",
	} {
		if got := destination(template); got != want {
			t.Errorf("%s: %s, want %s", template, got, want)
		}
	}
}
