package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/config"
	"rollcall/internal/httpd"
	"rollcall/internal/natsconn"
	"rollcall/internal/test/kit"
)

// sites is a hub that sources the streams of two sites, each a leaf node, and the service
// that reads it.
type sites struct {
	t        *testing.T
	hub      *kit.Server
	leafs    map[string]*kit.Server
	js       map[string]jetstream.JetStream
	events   jetstream.Stream // at the hub
	dir      string
	speakers string // ROLLCALL_SOURCES
	log      *kit.Output
	end      func()
	machines int
}

// siteStream is the stream of a site, with room for so many messages.
func siteStream(room int64) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: "ROLLCALL_EVENTS", Subjects: []string{"rollcall.events", "rollcall.events.>"}, Duplicates: 100 * time.Millisecond, MaxMsgs: room,
	}
}

func newSites(t *testing.T) *sites {
	s := &sites{t: t, hub: kit.StartHub(t), leafs: map[string]*kit.Server{}, js: map[string]jetstream.JetStream{}, dir: t.TempDir()}
	for _, name := range []string{"fra", "ber"} {
		s.leafs[name] = kit.StartLeaf(t, s.hub.LeafURL(), name, "rollcall.events", "rollcall.events.>")
		s.js[name] = kit.JetStream(t, kit.Conn(t, s.leafs[name].URL))
		kit.CreateStream(t, s.js[name], siteStream(50))
		far, err := jetstream.NewWithDomain(kit.Conn(t, s.hub.URL), name)
		if err != nil {
			t.Fatal(err)
		}
		kit.AwaitDomain(t, far)
	}
	s.events = kit.CreateStream(t, kit.JetStream(t, kit.Conn(t, s.hub.URL)), jetstream.StreamConfig{
		Name: "ROLLCALL_EVENTS", Duplicates: 100 * time.Millisecond, AllowDirect: true,
		Sources: []*jetstream.StreamSource{{Name: "ROLLCALL_EVENTS", Domain: "fra"}, {Name: "ROLLCALL_EVENTS", Domain: "ber"}},
	})
	s.start()
	t.Cleanup(func() { s.end() })
	return s
}

// configuration returns that of the service.
func (s *sites) configuration() *config.Serve {
	s.t.Helper()
	kit.Environment(s.t, map[string]string{"ROLLCALL_DATA_DIR": s.dir, "NATS_URL": s.hub.URL, "ROLLCALL_HTTP_ADDR": "127.0.0.1:0", "ROLLCALL_SOURCES": s.speakers})
	cfg, err := config.ReadServe(httpd.CheckWebConfig)
	if err != nil {
		s.t.Fatal(err)
	}
	return cfg
}

// start starts the service.
func (s *sites) start() {
	s.t.Helper()
	cfg := s.configuration()
	log := new(kit.Output)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, *cfg, Build{Version: "test"}, slog.New(slog.NewTextHandler(log, nil))) }()
	kit.Eventually(s.t, func() bool { return log.Has("msg=ready") }, "the service is ready")
	s.log = log
	s.end = func() {
		s.t.Helper()
		cancel()
		if err := <-ended; err != nil {
			s.t.Error(err)
		}
		s.end = func() {}
	}
}

// publish publishes n events at a site.
func (s *sites) publish(site string, n int) {
	s.t.Helper()
	for range n {
		s.machines++
		if _, err := s.js[site].Publish(s.t.Context(), "rollcall.events", kit.LoginNow(s.machines)); err != nil {
			s.t.Fatal(err)
		}
	}
}

// want waits for the values of metrics.
func (s *sites) want(values ...string) {
	s.t.Helper()
	var text string
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		text = metricsOf(s.t, value(s.log, "url="))
		missing := ""
		for _, v := range values {
			if !strings.Contains(text, "\nrollcall_"+v+"\n") {
				missing += v + "; "
			}
		}
		if missing == "" {
			return
		}
		if time.Since(began) > time.Minute {
			info, err := s.events.Info(s.t.Context())
			s.t.Fatalf("not so: %s\n%s\n%+v %v", missing, s.log, info, err)
		}
	}
}

func metricsOf(t *testing.T, url string) string {
	t.Helper()
	answer, err := http.Get(url + "metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return "\n" + string(text)
}

// missing is the metric of what is missing of a site.
func missing(site string, n int) string {
	return fmt.Sprintf("source_missing{source=\"%s/ROLLCALL_EVENTS\"} %d", site, n)
}

// TestSites: what two sites tell arrives, also after a cut; what one of them could not keep is
// counted once, exactly, and nothing where nothing was lost.
func TestSites(t *testing.T) {
	s := newSites(t)
	s.publish("fra", 20)
	s.publish("ber", 20)
	s.want("position 40", "machines 40", missing("fra", 0), missing("ber", 0), "complete 1")

	s.wantActive("fra", true)
	s.leafs["fra"].CutLine() // a short one: nothing is lost
	s.publish("fra", 20)
	s.publish("ber", 5)
	s.want("position 45")
	s.leafs["fra"].RestoreLine()
	s.want("position 65", "machines 65", missing("fra", 0), missing("ber", 0), "complete 1")

	s.leafs["fra"].CutLine() // too long for the site's room
	s.publish("fra", 80)
	s.leafs["fra"].RestoreLine()
	s.want("position 115", missing("fra", 30), missing("ber", 0), "complete 0", `incomplete{reason="source_gap"} 1`, `fates{fate="lost"} 0`)
	if !s.log.Has(`msg="events of a source are lost" reason=source_gap source=fra/ROLLCALL_EVENTS count=30 accept="ROLLCALL_ACCEPT_LOSS=66"`) {
		t.Error(s.log)
	}

	s.end() // a restart, and a replay from the beginning, count nothing twice
	s.start()
	s.want("position 115", missing("fra", 30), `incomplete{reason="source_gap"} 1`)
	s.end()
	if err := os.RemoveAll(filepath.Join(s.dir, "snapshots")); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.want("position 115", missing("fra", 30), `incomplete{reason="source_gap"} 1`)
}

// TestSiteDuplicates: events with the same id, which a site stored long after each other, arrive
// at once after a cut; those that the hub drops are counted.
func TestSiteDuplicates(t *testing.T) {
	s := newSites(t)
	s.publish("fra", 1)
	s.want("position 1")
	s.leafs["fra"].CutLine()
	for i := range 3 {
		m := nats.NewMsg("rollcall.events")
		m.Data = kit.LoginNow(i)
		m.Header.Set(jetstream.MsgIDHeader, "same")
		time.Sleep(150 * time.Millisecond)
		if ack, err := s.js["fra"].PublishMsg(t.Context(), m); err != nil || ack.Duplicate {
			t.Fatal(ack, err)
		}
	}
	s.leafs["fra"].RestoreLine()
	s.publish("fra", 1)
	s.want("position 3", missing("fra", 2))
}

// TestSiteRecreated: a site's stream that was created anew is a loss, not a gap.
func TestSiteRecreated(t *testing.T) {
	s := newSites(t)
	s.publish("fra", 5)
	s.publish("ber", 5)
	s.want("position 10")
	if err := s.js["fra"].DeleteStream(t.Context(), "ROLLCALL_EVENTS"); err != nil {
		t.Fatal(err)
	}
	kit.CreateStream(t, s.js["fra"], siteStream(50))
	s.publish("fra", 3)
	s.want("position 13", missing("fra", 0), missing("ber", 0), "complete 0", `incomplete{reason="source_recreated"} 1`, `incomplete{reason="source_gap"} 0`, "machines_unsettled 8")
}

// TestSiteHole: a message that the hub itself lost is not missing at its site.
func TestSiteHole(t *testing.T) {
	s := newSites(t)
	s.publish("fra", 5)
	s.want("position 5")
	s.end()
	s.publish("fra", 3)
	kit.Eventually(t, func() bool {
		info, err := s.events.Info(t.Context())
		return err == nil && info.State.LastSeq == 8
	}, "the hub has them")
	if err := s.events.DeleteMsg(t.Context(), 7); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.want("position 8", missing("fra", 0), `fates{fate="lost"} 1`, `incomplete{reason="deleted"} 1`, `incomplete{reason="source_gap"} 0`)
}

// TestSiteSpeakers: a site speaks for its own machines only, from the moment that this is set; what
// was decided before stays, also when the stream is read anew. What is refused is not missing.
func TestSiteSpeakers(t *testing.T) {
	s := newSites(t)
	s.publish("fra", 2) // m1, m2
	s.publish("ber", 1) // m3
	s.want("position 3", "machines 3", "refused_total{reason=\"identity\"} 0")
	s.end()
	s.speakers = "ber/ROLLCALL_EVENTS=m? other,local=*"
	s.start()
	if !s.log.Has("settings changed since the snapshot") || !s.log.Has("a source of the stream is not in ROLLCALL_SOURCES: all its events are refused") || !s.log.Has("source=fra/ROLLCALL_EVENTS") {
		t.Error(s.log)
	}
	s.publish("fra", 1) // m4, for whom it does not speak any more
	s.publish("ber", 7) // m5 to m11
	s.want("position 11", "machines 8", "refused_total{reason=\"identity\"} 3", missing("fra", 0), missing("ber", 0), "complete 1")
	s.end()
	if err := os.RemoveAll(filepath.Join(s.dir, "snapshots")); err != nil {
		t.Fatal(err)
	}
	s.speakers = "ber/ROLLCALL_EVENTS=*,fra/ROLLCALL_EVENTS=m4"
	s.start()
	s.want("position 11", "machines 9", "refused_total{reason=\"identity\"} 2", missing("fra", 0), missing("ber", 0))
	s.end()
	s.speakers = "ham/ROLLCALL_EVENTS=*"
	cfg := s.configuration()
	if err := Run(t.Context(), *cfg, Build{Version: "test"}, slog.New(slog.DiscardHandler)); !errors.Is(err, natsconn.ErrConfiguration) || !strings.Contains(err.Error(), `has no source "ham/ROLLCALL_EVENTS"; its sources are fra/ROLLCALL_EVENTS, ber/ROLLCALL_EVENTS`) {
		t.Error(err)
	}
}

// wantActive waits until a site has, or has not, been heard within the last seconds.
func (s *sites) wantActive(site string, want bool) {
	s.t.Helper()
	kit.Eventually(s.t, func() bool {
		_, rest, ok := strings.Cut(metricsOf(s.t, value(s.log, "url=")), fmt.Sprintf("\nrollcall_source_active_seconds{source=\"%s/ROLLCALL_EVENTS\"} ", site))
		seconds, err := strconv.ParseFloat(strings.Fields(rest + " none")[0], 64)
		return ok && err == nil && (seconds < 15) == want
	}, "the site is, or is not, active")
}

// TestSourceProgress: what the server says of sources is shown as long as it is known; a source
// that was never heard is not active.
func TestSourceProgress(t *testing.T) {
	nc := kit.Conn(t, kit.StartServer(t).URL)
	js := kit.JetStream(t, nc)
	kit.CreateStream(t, js, jetstream.StreamConfig{Name: "SITE", Subjects: []string{"site"}})
	stream := kit.CreateStream(t, js, jetstream.StreamConfig{Name: "EVENTS", Sources: []*jetstream.StreamSource{{Name: "SITE"}, {Name: "SITE", Domain: "away"}}})
	m := newTestMonitor(t, natsconn.Streams{Events: "EVENTS"}, js)
	show := func() string {
		reg := prometheus.NewPedanticRegistry()
		reg.MustRegister(sourceProgress{m})
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var text string
		for _, f := range families {
			for _, metric := range f.Metric {
				text += fmt.Sprintf("%s %s %v; ", f.GetName(), metric.Label[0].GetValue(), metric.GetGauge().GetValue() < 10)
			}
		}
		return text
	}
	if got := show(); got != "" {
		t.Errorf("before the stream was seen: %s", got)
	}
	kit.Eventually(t, func() bool {
		info, err := stream.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m.record(info, m.link.lost.Load())
		return show() == "rollcall_source_active_seconds SITE true; rollcall_source_active_seconds away/SITE false; rollcall_source_lag SITE true; rollcall_source_lag away/SITE true; "
	}, "the sources are shown")
}
