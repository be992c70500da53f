package prometheus_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/deploy/internal/program"
	"rollcall/deploy/prometheus/prometheustest"
)

// siteWorld is a hub with two sites, its service and a Prometheus, each a process. The line of
// a site can be cut. The hub may not tell the server of ber to go on, so that source stalls inside
// nats-server, with its line up.
type siteWorld struct {
	t      *testing.T
	hub    *program.Process
	conf   string // the hub's configuration
	port   int
	leafs  string
	lines  map[string]*program.Line // of the sites
	sites  map[string]jetstream.JetStream
	server *prometheustest.Server
}

// goOn is what the account of the hub needs, to tell the server of a site to go on.
const goOn = `{ service: { account: BER, subject: "$JS.FC.ROLLCALL_EVENTS.>" } }`

// hubAccounts are the accounts of deploy/nats/sites/hub-accounts.conf, as far as they concern sites.
const hubAccounts = `accounts {
  HUB {
    jetstream: enabled, users: [{ user: hub, password: x }]
    imports: [
      { service: { account: FRA, subject: "$JS.fra.API.CONSUMER.CREATE.ROLLCALL_EVENTS" } }
      { service: { account: FRA, subject: "$JS.FC.ROLLCALL_EVENTS.>" } }
      { stream: { account: FRA, subject: "sites.fra.>" } }
      { service: { account: BER, subject: "$JS.ber.API.CONSUMER.CREATE.ROLLCALL_EVENTS" } }
      { stream: { account: BER, subject: "sites.ber.>" } }
      # go on
    ]
  }
  FRA { users: [{ user: fra, password: x }], exports: [
    { service: "$JS.fra.API.CONSUMER.CREATE.ROLLCALL_EVENTS" }, { service: "$JS.FC.ROLLCALL_EVENTS.>" }, { stream: "sites.fra.>" }
  ] }
  BER { users: [{ user: ber, password: x }], exports: [
    { service: "$JS.ber.API.CONSUMER.CREATE.ROLLCALL_EVENTS" }, { service: "$JS.FC.ROLLCALL_EVENTS.>" }, { stream: "sites.ber.>" }
  ] }
}
`

func newSiteWorld(t *testing.T) *siteWorld {
	t.Helper()
	w := &siteWorld{t: t, port: freePort(t), leafs: fmt.Sprintf("127.0.0.1:%d", freePort(t)), lines: map[string]*program.Line{}, sites: map[string]jetstream.JetStream{}}
	w.conf = w.config("hub", w.port, fmt.Sprintf("leafnodes { listen: %q, no_advertise: true }\n%s", w.leafs, hubAccounts))
	w.hub = startNATS(t, w.conf)
	hub := w.connect(w.port, "hub:x@")
	config := jetstream.StreamConfig{Name: "ROLLCALL_EVENTS", Duplicates: 100 * time.Millisecond, AllowDirect: true}
	for _, name := range []string{"ber", "fra"} {
		w.lines[name] = program.NewLine(t, w.leafs)
		port := freePort(t)
		startNATS(t, w.config(name, port, fmt.Sprintf(`leafnodes { reconnect: 1, remotes: [{
  url: "nats-leaf://%s:x@%s", deny_exports: ["rollcall.events", "rollcall.events.>"], deny_imports: ["rollcall.events", "rollcall.events.>"]
}] }`, name, w.lines[name].Address)))
		w.sites[name] = w.connect(port, "")
		if _, err := w.sites[name].CreateStream(t.Context(), jetstream.StreamConfig{
			Name: "ROLLCALL_EVENTS", Subjects: []string{"rollcall.events", "rollcall.events.>"}, Duplicates: 100 * time.Millisecond,
		}); err != nil {
			t.Fatal(err)
		}
		config.Sources = append(config.Sources, &jetstream.StreamSource{
			Name: "ROLLCALL_EVENTS", External: &jetstream.ExternalStream{APIPrefix: "$JS." + name + ".API", DeliverPrefix: "sites." + name},
		})
	}
	if _, err := hub.CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	service := program.Serve(t, fmt.Sprintf("NATS_URL=nats://hub:x@127.0.0.1:%d", w.port))
	w.server = prometheustest.StartAs(t, service.URL, shortSiteAlert)
	return w
}

// config writes the configuration of a server.
func (w *siteWorld) config(name string, port int, rest string) string {
	w.t.Helper()
	dir := w.t.TempDir()
	path := filepath.Join(dir, "nats.conf")
	text := fmt.Sprintf("server_name: %s\nlisten: 127.0.0.1:%d\njetstream { domain: %s, store_dir: %q, max_file_store: 1G }\n%s\n", name, port, name, dir, rest)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// startNATS starts a server.
func startNATS(t *testing.T, conf string) *program.Process {
	t.Helper()
	s := program.Start(t, nil, program.Build(t, "github.com/nats-io/nats-server/v2"), "-c", conf)
	s.AwaitLog("Server is ready")
	return s
}

func (w *siteWorld) connect(port int, as string) jetstream.JetStream {
	w.t.Helper()
	nc, err := nats.Connect(fmt.Sprintf("nats://%s127.0.0.1:%d", as, port))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		w.t.Fatal(err)
	}
	return js
}

// mayGoOn lets the hub tell the server of ber to go on.
func (w *siteWorld) mayGoOn() {
	w.t.Helper()
	text, err := os.ReadFile(w.conf)
	if err == nil {
		err = os.WriteFile(w.conf, []byte(strings.Replace(string(text), "# go on", goOn, 1)), 0o600)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.hub.Signal(syscall.SIGHUP)
}

// publish publishes n events at a site, which stores them. They are long, so that many are more than
// a stalled source gets: 2 MB, and 2 MB more each time that nats-server starts it anew, as it does
// after 10 s without a word.
func (w *siteWorld) publish(site string, n int) {
	w.t.Helper()
	long := strings.Repeat("x", 200)
	for i := range n {
		event := fmt.Sprintf(`{"date":%q,"type":"login","machine":"web1.%s","user":"lane","session":"%d","service":%q,"terminal":%q,"remote":%q}`,
			time.Now().UTC().Format(time.RFC3339Nano), site, i, long, long, long)
		if _, err := w.sites[site].PublishAsync("rollcall.events.web1."+site, []byte(event)); err != nil {
			w.t.Fatal(err)
		}
		if i%1000 == 999 || i == n-1 {
			w.awaitAcks(site)
		}
	}
}

func (w *siteWorld) awaitAcks(site string) {
	w.t.Helper()
	select {
	case <-w.sites[site].PublishAsyncComplete():
	case <-time.After(time.Minute):
		w.t.Fatalf("%s does not acknowledge its events", site)
	}
}

// await waits until an expression has a value.
func (w *siteWorld) await(expr string) {
	w.t.Helper()
	for began := time.Now(); len(w.server.Query(expr)) == 0; time.Sleep(100 * time.Millisecond) {
		if time.Since(began) > 3*time.Minute {
			w.t.Fatalf("not so: %s; %v", expr, w.server.Query(`{__name__=~"rollcall_source_.*|rollcall_position"}`))
		}
	}
}

// wantFiring waits until the alert fires for exactly these sites.
func (w *siteWorld) wantFiring(sites ...string) {
	w.t.Helper()
	began := time.Now()
	for {
		got := map[string]bool{}
		for _, s := range w.server.Query(`ALERTS{alertstate="firing",alertname="RollcallSourceStalled"}`) {
			got[strings.TrimSuffix(s.Labels["source"], "/ROLLCALL_EVENTS")] = true
		}
		if list := slices.Sorted(maps.Keys(got)); slices.Equal(list, sites) {
			w.t.Logf("firing for %q after %v", list, time.Since(began).Round(time.Second))
			return
		} else if time.Since(began) > 3*time.Minute {
			w.t.Fatalf("firing for %q, want %q; %v", list, sites, w.server.Query(`{__name__=~"rollcall_source_.*|rollcall_position"}`))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// shortSiteAlert also shortens how long a site may be silent.
var shortSiteAlert = strings.NewReplacer(
	"scrape_interval: 15s", "scrape_interval: 200ms\n  scrape_timeout: 200ms", "evaluation_interval: 15s", "evaluation_interval: 200ms",
	"for: 5m\n", "for: 1s\n", "[15m]", "[10s]", "rollcall_source_active_seconds > 120", "rollcall_source_active_seconds > 20",
)

// TestSiteStalls: RollcallSourceStalled fires for a site whose line is cut, and for one whose
// source has stalled inside nats-server though its line is up; it ends with its cause.
func TestSiteStalls(t *testing.T) {
	t.Parallel()
	w := newSiteWorld(t)
	w.publish("fra", 5)
	w.publish("ber", 5)
	w.await("rollcall_position == 10")
	w.wantFiring()

	// Events have to wait before the source stalls: nats-server reports no lag of a source that
	// stalled while none waited, and the alert would not fire.
	w.lines["ber"].Cut()
	w.lines["fra"].Cut()
	w.publish("fra", 10)
	w.publish("ber", 20_000)
	w.lines["ber"].Heal()
	w.wantFiring("ber", "fra")
	w.await(`rollcall_source_active_seconds{source="fra/ROLLCALL_EVENTS"} > 20`)
	w.await(`rollcall_source_active_seconds{source="ber/ROLLCALL_EVENTS"} < 20 and rollcall_source_lag > 0`)

	w.lines["fra"].Heal()
	w.wantFiring("ber")
	w.mayGoOn()
	w.wantFiring()
	w.await("rollcall_position == 20020 and on () rollcall_complete == 1")
}
