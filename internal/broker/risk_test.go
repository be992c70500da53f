package broker

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
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
		"memory_storage": func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage },
		"one_replica":    func(c *jetstream.StreamConfig) { c.Replicas = 1 },
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
			t.Errorf("%s is not among the reasons", got[0].Reason)
		}
		reasons = slices.DeleteFunc(reasons, func(r string) bool { return r == got[0].Reason })
	}
	if len(reasons) > 0 {
		t.Errorf("reasons for nothing: %v", reasons)
	}
}

// settings is what a risk's text has behind what its log says.
func settings(r Risk) string { return r.String()[len(r.text)-len("stream "):] }

// TestRiskOfTheEmbedded: the server inside can only have one replica.
func TestRiskOfTheEmbedded(t *testing.T) {
	info := &jetstream.StreamInfo{Config: jetstream.StreamConfig{Replicas: 1, Duplicates: time.Minute}}
	got := Streams{Embedded: true}.Risks(info)
	if len(got) != 1 || got[0].Reason != "long_duplicate_window" {
		t.Error(got)
	}
}
