package faults

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

var (
	siteCuts  = flag.Int("faults.cuts", kit.Length(2, 10), "how often TestSites cuts the lines of the sites")
	siteCut   = flag.Duration("faults.cut", 1500*time.Millisecond, "how long each cut of TestSites lasts")
	hubDeaths = flag.Int("faults.hub.deaths", kit.Length(1, 3), "how often TestSites kills the leader of the hub's stream")
)

// site is a site with a leaf node of its own, where events are published with acks.
type site struct {
	t      *testing.T
	name   string
	server *server
	line   []*proxy // to each server of the hub
	js     jetstream.JetStream
	acked  *acked
}

// newSite starts a site, with a stream that has room for so many messages.
func newSite(t *testing.T, name string, hub []string, room int64) *site {
	t.Helper()
	s := &site{t: t, name: name}
	var urls []string
	for _, to := range hub {
		p := newProxy(t, to)
		s.line, urls = append(s.line, p), append(urls, strings.Replace(p.URL, "nats://", "nats-leaf://", 1))
	}
	s.server = newServerIn(t, name, fmt.Sprintf(`server_name: %s
leafnodes { reconnect: 1, remotes: [{
  urls: [%s], deny_exports: ["rollcall.events", "rollcall.events.>"], deny_imports: ["rollcall.events", "rollcall.events.>"]
}] }`, name, strings.Join(urls, ", ")))
	s.server.start()
	s.js = kit.JetStream(t, kit.Conn(t, s.server.url))
	kit.CreateStream(t, s.js, jetstream.StreamConfig{
		Name: rollcallv1.DefaultEventsStream, Subjects: []string{"rollcall.events", "rollcall.events.>"}, MaxMsgs: room, Duplicates: 100 * time.Millisecond,
	})
	return s
}

func (s *site) cut() {
	for _, p := range s.line {
		p.cut()
	}
}

func (s *site) heal() {
	for _, p := range s.line {
		p.heal()
	}
}

// source is the name of the site's stream in metrics.
func (s *site) source() string { return s.name + "/" + rollcallv1.DefaultEventsStream }

// ids returns the messages that a stream has, by what publishAcked calls them; a message that is
// there twice is an error.
func ids(t *testing.T, js jetstream.JetStream, of func(jetstream.Msg) string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for msg := range read(t, js, rollcallv1.DefaultEventsStream) {
		id := of(msg)
		if found[id] {
			t.Errorf("%s is stored twice", id)
		}
		found[id] = true
	}
	return found
}

// startHub starts a cluster of three servers that leaf nodes can join, and returns where they can.
func startHub(t *testing.T) (hub []*server, urls string, leafs []string) {
	t.Helper()
	var listeners []string
	for range 3 {
		address := fmt.Sprintf("127.0.0.1:%d", kit.FreePort(t))
		// Advertised addresses would let sites go round the line.
		leafs, listeners = append(leafs, "nats://"+address), append(listeners, fmt.Sprintf("leafnodes { listen: %q, no_advertise: true }", address))
	}
	hub, urls = startClusterIn(t, "hub", listeners)
	return hub, urls, leafs
}

// makeHubStream makes the stream that sources those of the sites.
func makeHubStream(t *testing.T, nc *nats.Conn, sites ...*site) {
	t.Helper()
	config := jetstream.StreamConfig{Name: rollcallv1.DefaultEventsStream, Duplicates: 100 * time.Millisecond, AllowDirect: true, Replicas: 3}
	for _, s := range sites {
		config.Sources = append(config.Sources, &jetstream.StreamSource{Name: rollcallv1.DefaultEventsStream, Domain: s.name})
	}
	js := kit.JetStream(t, nc)
	kit.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := js.CreateStream(ctx, config)
		return err == nil
	}, "the hub's stream is created")
}

// killLeader kills the server that leads the hub's stream, and starts it again.
func killLeader(t *testing.T, hub []*server, nc *nats.Conn) {
	t.Helper()
	js := kit.JetStream(t, nc)
	var leader string
	kit.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		stream, err := js.Stream(ctx, rollcallv1.DefaultEventsStream)
		if err == nil && stream.CachedInfo().Cluster != nil {
			leader = stream.CachedInfo().Cluster.Leader
		}
		return leader != ""
	}, "the hub's stream has a leader")
	victim := hub[leader[len(leader)-1]-'0'] // n0 to n2
	victim.kill()
	<-time.After(time.Second)
	victim.start()
}

// TestSites: the lines of two sites to a hub of three servers are cut and restored, again and
// again, while events are published at the sites, and the leader of the hub's stream is killed.
// Every event that was acknowledged at a site arrives at the hub, once; rollcall says of no source
// that it lost anything, and has the roster of an undisturbed run. At length, some 20 minutes:
//
//	go test ./internal/test/faults -run 'TestSites$' -v -timeout 60m -faults.cuts=10 -faults.cut=60s -faults.hub.deaths=3
func TestSites(t *testing.T) {
	t.Parallel()
	rng := random(t)
	hub, urls, leafs := startHub(t)
	sites := []*site{newSite(t, "fra", leafs, -1), newSite(t, "ber", leafs, -1)}
	nc := kit.Conn(t, urls, nats.Timeout(time.Second))
	makeHubStream(t, nc, sites...)
	p := serve(t, t.TempDir(), urls, "ROLLCALL_STREAM_REPLICAS=3", "ROLLCALL_SOURCES=fra/ROLLCALL_EVENTS=*,ber/ROLLCALL_EVENTS=*")
	p.awaitLog("ready", "place")
	awaitReplicas(t, nc)
	for _, s := range sites {
		s.acked = publishAcked(t, rng, s.server.url)
	}
	began, worst := time.Now(), 0
	for i := range *siteCuts {
		s := sites[i%len(sites)]
		s.cut()
		<-time.After(*siteCut / 2)
		if i < *hubDeaths {
			killLeader(t, hub, nc)
		}
		<-time.After(*siteCut / 2)
		s.heal()
		healed := time.Now()
		recovers(t, p, nc, s, i, &worst)
		at := p.metric("rollcall_position")
		t.Logf("cut %d of %s: all of it at the hub after %.1fs; rollcall is at %d, %.0f/s on average", i+1, s.name, time.Since(healed).Seconds(), at, float64(at)/time.Since(began).Seconds())
	}
	stored := 0
	want := map[string]bool{}
	for _, s := range sites {
		acks := s.acked.stop()
		s.acked.wantStored(acks)
		for id := range ids(t, s.js, func(m jetstream.Msg) string { return s.name + " " + m.Headers().Get(headerID) }) {
			want[id] = true
		}
		stored += len(acks)
	}
	awaitReplicas(t, nc)
	wantArrived(t, nc, sites, want)
	p.awaitPlace(uint64(len(want)))
	for _, s := range sites {
		if n := p.metric(`rollcall_source_missing{source="` + s.source() + `"}`); n != 0 {
			t.Errorf("%s: %d events missing", s.name, n)
		}
	}
	if p.metric("rollcall_complete") != 1 {
		t.Error("incomplete")
	}
	t.Logf("%d cuts of %v, %d deaths of the leader: %d events acknowledged at the sites, all of them at the hub; lag of a source up to %d", *siteCuts, *siteCut, *hubDeaths, stored, worst)
	wantUndisturbed(t, p, urls)
}

// recovers waits until all that a site has told so far is at the hub, and keeps the worst lag that
// rollcall showed meanwhile.
func recovers(t *testing.T, p *process, nc *nats.Conn, s *site, cut int, worst *int) {
	t.Helper()
	e := event{Date: time.Now().Truncate(time.Second), Type: "boot", Machine: fmt.Sprintf("marker.%s.%d", s.name, cut)}
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	msg := nats.NewMsg(rollcallv1.DefaultSubject + ".events." + e.Machine)
	msg.Data = text
	msg.Header.Set(headerMeaning, string(text))
	if _, err := s.acked.publish(t.Context(), msg, e.Machine); err != nil {
		t.Fatal(err)
	}
	js := kit.JetStream(t, nc)
	arrived := func() bool {
		*worst = max(*worst, p.metric(`rollcall_source_lag{source="`+s.source()+`"}`))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		stream, err := js.Stream(ctx, rollcallv1.DefaultEventsStream)
		if err != nil {
			return false
		}
		_, err = stream.GetLastMsgForSubject(ctx, msg.Subject)
		return err == nil
	}
	// The hub tries to read a source again later and later.
	for began := time.Now(); !arrived(); time.Sleep(100 * time.Millisecond) {
		if time.Since(began) > 5*time.Minute {
			t.Fatalf("the hub does not have what happened during the cut of %s, after %v", s.name, time.Since(began))
		}
	}
}

// wantArrived waits until all events are at the hub, and checks that each is there once.
func wantArrived(t *testing.T, nc *nats.Conn, sites []*site, want map[string]bool) {
	t.Helper()
	js := kit.JetStream(t, nc)
	kit.Eventually(t, func() bool {
		stream, err := js.Stream(t.Context(), rollcallv1.DefaultEventsStream)
		return err == nil && stream.CachedInfo().State.LastSeq >= uint64(len(want))
	}, "all events are at the hub")
	written := map[string]string{}
	for _, s := range sites {
		written[roster.WrittenSource(rollcallv1.DefaultEventsStream, "$JS."+s.name+".API")] = s.name
	}
	got := ids(t, js, func(m jetstream.Msg) string {
		source, _, _ := strings.Cut(m.Headers().Get("Nats-Stream-Source"), " ")
		return written[source] + " " + m.Headers().Get(headerID)
	})
	if !maps.Equal(got, want) {
		t.Errorf("%d events are at the hub, want %d", len(got), len(want))
	}
}

// TestSiteTooSmall: of what a site could not keep during a cut, exactly so many events are missing,
// and all others arrive; nothing is missing of the other site, whose line was cut, too.
func TestSiteTooSmall(t *testing.T) {
	t.Parallel()
	rng := random(t)
	_, urls, leafs := startHub(t)
	small, large := newSite(t, "fra", leafs, 100), newSite(t, "ber", leafs, -1)
	nc := kit.Conn(t, urls, nats.Timeout(time.Second))
	makeHubStream(t, nc, small, large)
	p := serve(t, t.TempDir(), urls, "ROLLCALL_STREAM_REPLICAS=3")
	p.awaitLog("ready", "place")
	tell := func(s *site, n int) {
		t.Helper()
		if err := newTraffic(rand.New(rand.NewPCG(rng.Uint64(), 2))).publish(s.js, n); err != nil {
			t.Fatal(err)
		}
	}
	place, missing := uint64(0), 0
	for range 3 {
		tell(small, 10)
		tell(large, 10)
		place += 20
		p.awaitPlace(place)
		small.cut()
		large.cut()
		tell(small, 137)
		tell(large, 137)
		small.heal()
		large.heal()
		place, missing = place+100+137, missing+37
		p.awaitPlace(place)
	}
	for s, want := range map[*site]int{small: missing, large: 0} {
		if n := p.metric(`rollcall_source_missing{source="` + s.source() + `"}`); n != want {
			t.Errorf("%s: %d events missing, want %d", s.name, n, want)
		}
	}
	lines := p.lines("events of a source are lost")
	if len(lines) != 3 || slices.ContainsFunc(lines, func(l map[string]any) bool { return l["count"] != 37.0 || l["source"] != small.source() }) {
		t.Errorf("%v", lines)
	}
	if lost := p.fates()["lost"]; lost != 0 || p.metric("rollcall_complete") != 0 {
		t.Errorf("%d places are lost; complete: %d", lost, p.metric("rollcall_complete"))
	}
}
