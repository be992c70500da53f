package service

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/test/kit"
)

// TestSiteRewind: the hub's stream is restored from an older copy, and sources once more what it
// had sourced after that. What the site lost is not counted again, and nothing is missing since.
func TestSiteRewind(t *testing.T) {
	kit.Long(t)
	s := newSites(t)
	s.publish("fra", 20)
	s.want("position 20")
	s.leafs["fra"].CutLine()
	s.publish("fra", 80)
	s.leafs["fra"].RestoreLine()
	s.want("position 70", missing("fra", 30))
	s.end()
	copied := filepath.Join(t.TempDir(), "copy")
	s.hub.Stop()
	if err := os.CopyFS(copied, os.DirFS(s.hub.Dir)); err != nil {
		t.Fatal(err)
	}
	s.hub.Start()
	s.start()
	s.publish("fra", 5)
	s.want("position 75", missing("fra", 30))
	s.end()
	s.hub.Stop()
	if err := os.RemoveAll(s.hub.Dir); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(s.hub.Dir, os.DirFS(copied)); err != nil {
		t.Fatal(err)
	}
	s.hub.Start()
	s.start()
	s.publish("fra", 1)
	s.want("machines 76", missing("fra", 30), `incomplete{reason="source_gap"} 1`, `incomplete{reason="source_recreated"} 0`, `refused_total{reason="late"} 0`)
}

// TestSiteSameAccount: without deny_exports and deny_imports, a hub that listens to the events as
// well stores each event of a site twice. That is a risk of the stream; the roster is right.
func TestSiteSameAccount(t *testing.T) {
	s := &sites{t: t, hub: kit.StartHub(t), leafs: map[string]*kit.Server{}, js: map[string]jetstream.JetStream{}, dir: t.TempDir()}
	s.leafs["fra"] = kit.StartLeaf(t, s.hub.LeafURL(), "fra")
	s.js["fra"] = kit.JetStream(t, kit.Conn(t, s.leafs["fra"].URL))
	kit.CreateStream(t, s.js["fra"], siteStream(50))
	far, err := jetstream.NewWithDomain(kit.Conn(t, s.hub.URL), "fra")
	if err != nil {
		t.Fatal(err)
	}
	kit.AwaitDomain(t, far)
	s.events = kit.CreateStream(t, kit.JetStream(t, kit.Conn(t, s.hub.URL)), jetstream.StreamConfig{
		Name: "ROLLCALL_EVENTS", Subjects: []string{"rollcall.events", "rollcall.events.>"}, Duplicates: 100 * time.Millisecond, AllowDirect: true,
		Sources: []*jetstream.StreamSource{{Name: "ROLLCALL_EVENTS", Domain: "fra"}},
	})
	s.start()
	t.Cleanup(func() { s.end() })
	s.publish("fra", 10)
	s.want("position 20", "machines 10", "sessions 10", missing("fra", 0), "complete 1", `stream_risk{reason="sources_and_subjects"} 1`)
	if !s.log.Has("stream has sources and subjects of its own") {
		t.Error(s.log)
	}
}
