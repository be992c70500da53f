package nats_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/deploy/internal/program"
)

// place is a hub or a site: a folder for its /etc/nats, and its server.
type place struct {
	*world
	leafs string // where it listens for leaf nodes
}

// commandsOf returns the commands of sites/README.md that are run at a place.
func commandsOf(t *testing.T, where string) string {
	t.Helper()
	found := regexp.MustCompile("(?m)^<!-- "+regexp.QuoteMeta(where)+" -->\n```sh\n((?:.*\n)*?)```$").FindAllStringSubmatch(read(t, "sites/README.md"), -1)
	if len(found) != 1 {
		t.Fatalf("%d blocks for %q", len(found), where)
	}
	return found[0][1]
}

// newPlace makes the folder of a server, with certificates and the programs of the README.
func newPlace(t *testing.T, ca *authority) *place {
	t.Helper()
	p := &place{world: &world{t: t, dir: t.TempDir(), ca: ca, url: fmt.Sprintf("tls://127.0.0.1:%d", freePort(t))}, leafs: fmt.Sprintf("127.0.0.1:%d", freePort(t))}
	p.write("tls/ca.pem", ca.pem)
	p.certify(ca)
	p.write("bin/scp", "#!/bin/sh\nexec cp \"${1#*:}\" \"$2\"\n")
	if err := os.Chmod(p.path("bin/scp"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"nats": program.NATS(t), "rollcall": program.Rollcall(t)} {
		if err := os.Symlink(path, p.path("bin/"+name)); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// begin begins a process with commands of the README.
func (p *place) begin(commands string) *program.Process {
	p.t.Helper()
	return program.Start(p.t, []string{
		"PATH=" + p.path("bin") + ":" + os.Getenv("PATH"), "XDG_CONFIG_HOME=" + p.dir,
		"ROLLCALL_DATA_DIR=" + p.path("data"), "ROLLCALL_HTTP_ADDR=127.0.0.1:0", "ROLLCALL_PAGE_ADDR=off",
	}, "sh", "-ec", commands)
}

// follow runs commands of the README, and returns what they print.
func (p *place) follow(commands string) string {
	p.t.Helper()
	c := p.begin(commands)
	if err := c.Wait(); err != nil {
		p.t.Fatalf("%v:\n%s\n%s", err, commands, c.Log())
	}
	return c.Log()
}

// serve starts the server with a file of its folder, of which only addresses and paths are
// changed.
func (p *place) serve(file string) {
	p.t.Helper()
	text := strings.ReplaceAll(read(p.t, p.path(file)), "/etc/nats", p.dir)
	pairs := []string{"listen: 127.0.0.1:4222", "listen: " + strings.TrimPrefix(p.url, "tls://"), `store_dir: "/var/lib/nats"`, fmt.Sprintf("store_dir: %q", p.path("store"))}
	if strings.Contains(text, "0.0.0.0:7422") {
		pairs = append(pairs, "0.0.0.0:7422", p.leafs)
	}
	p.write(file, p.replaced(text, pairs...))
	s := program.Start(p.t, nil, program.Build(p.t, "github.com/nats-io/nats-server/v2"), "-c", p.path(file))
	s.AwaitLog("Server is ready")
}

// installation is a hub with two sites, installed as sites/README.md says, and its service.
type installation struct {
	t       *testing.T
	hub     *place
	sites   map[string]*place
	lines   map[string]*program.Line
	service *program.Service
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	ca := newAuthority(t)
	i := &installation{t: t, hub: newPlace(t, ca), sites: map[string]*place{}, lines: map[string]*program.Line{}}
	at := func(p *place, where string) string {
		return strings.NewReplacer(
			"root@hub.example.com:/etc/nats", "root@hub.example.com:"+i.hub.dir, "/etc/nats", p.dir, "tls://hub.example.com", i.hub.url,
		).Replace(commandsOf(t, where))
	}
	i.hub.follow(at(i.hub, "hub"))
	i.hub.serve("hub.conf")
	if out := i.hub.follow(at(i.hub, "hub, running")); !strings.HasSuffix(out, "ready: ROLLCALL_EVENTS, ROLLCALL_REPORTS, ROLLCALL_DEADLETTERS in domain hub\n") {
		t.Errorf("streams: %s", out)
	}
	for _, name := range []string{"fra", "ber"} {
		site := newPlace(t, ca)
		i.sites[name], i.lines[name] = site, program.NewLine(t, i.hub.leafs)
		local := func(where string) string {
			text := strings.ReplaceAll(commandsOf(t, where), "tls://hub.example.com:7422", "tls://"+i.lines[name].Address)
			text = strings.NewReplacer("root@hub.example.com:/etc/nats", "root@hub.example.com:"+i.hub.dir, "/etc/nats", site.dir, "tls://nats.fra.example.com", site.url).Replace(text)
			return strings.ReplaceAll(text, "fra", name)
		}
		site.follow(local("site"))
		site.serve("site.conf")
		site.follow(local("site, running"))
		if out := site.follow(local("machine")); out != "1 stored\n" {
			t.Errorf("%s: %s", name, out)
		}
	}
	i.service = &program.Service{Process: i.hub.begin(at(i.hub, "service"))}
	i.service.AwaitLog("ready")
	i.service.URL = "http://" + regexp.MustCompile(`url"?[=:]"?http://([0-9.:]+)`).FindStringSubmatch(i.service.Log())[1]
	return i
}

// want waits for metrics of the service.
func (i *installation) want(values ...string) {
	i.t.Helper()
	var lacking []string
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(100 * time.Millisecond) {
		text := "\n" + i.service.Get("/metrics")
		lacking = nil
		for _, v := range values {
			if !strings.Contains(text, "\nrollcall_"+v+"\n") {
				lacking = append(lacking, v)
			}
		}
		if len(lacking) == 0 {
			return
		}
	}
	i.t.Fatalf("not so: %s\n%s", lacking, i.service.Log())
}

// connect connects to a server as a user with a key of its folder.
func (p *place) connect(key, inbox string) *conn {
	p.t.Helper()
	login, err := nats.NkeyOptionFromSeed(p.path("keys/" + key))
	if err != nil {
		p.t.Fatal(err)
	}
	return dial(p.t, p.url, nats.RootCAs(p.path("tls/ca.pem")), login, nats.CustomInboxPrefix(inbox))
}

func missingOf(site string, n int) string {
	return fmt.Sprintf("source_missing{source=\"%s/ROLLCALL_EVENTS\"} %d", site, n)
}

// TestSites installs a hub and two sites with the files of sites and the commands of its README,
// on real servers: machines log people in at their site, also while its line is cut, and all of it
// arrives. A site can do no more than that.
func TestSites(t *testing.T) {
	i := newInstallation(t)
	i.want("position 2", "machines 2", "complete 1", missingOf("fra", 0), missingOf("ber", 0))

	fra := i.sites["fra"]
	key := strings.TrimSpace(read(t, fra.path("keys/web1.fra.example.com.key")))
	machine := jetStream(t, fra.connect("web1.fra.example.com.machine", "_INBOX_"+key))
	publish := func(n int) {
		t.Helper()
		var acks []jetstream.PubAckFuture
		for session := range n {
			event := fmt.Appendf(nil, `{"date":%q,"type":"login","machine":"web1.fra.example.com","user":"lane","session":"%d","service":%q,"remote":%[3]q,"terminal":%[3]q}`,
				time.Now().UTC().Format(time.RFC3339Nano), session, strings.Repeat("x", 255))
			ack, err := machine.PublishAsync("rollcall.events.web1.fra.example.com", event)
			if err != nil {
				t.Fatal(err)
			}
			acks = append(acks, ack)
		}
		for _, a := range acks {
			select {
			case ack := <-a.Ok():
				if ack.Stream != "ROLLCALL_EVENTS" || ack.Domain != "fra" {
					t.Fatalf("%+v", ack)
				}
			case err := <-a.Err():
				t.Fatal(err)
			}
		}
	}
	i.lines["fra"].Cut()
	publish(300)
	i.want("position 2")
	i.lines["fra"].Heal()
	i.want("position 302", "complete 1", missingOf("fra", 0), missingOf("ber", 0))

	// More than what the hub allows to be on its way at once.
	publish(3000)
	i.want("position 3302", missingOf("fra", 0))
	i.isolated(fra)
}

// isolated checks that whoever has the server of a site can only store events, and those of the
// site's own machines.
func (i *installation) isolated(site *place) {
	i.t.Helper()
	admin := site.connect("admin.nk", "_INBOX_admin")
	js := jetStream(i.t, admin)
	if _, err := js.Publish(i.t.Context(), "rollcall.events.web1.ber.example.com", []byte(`{"date":"2026-11-22T20:00:00Z","type":"login","machine":"web1.ber.example.com","user":"eve"}`)); err != nil {
		i.t.Fatal(err)
	}
	i.want(`refused_total{reason="identity"} 1`, "machines 2", missingOf("fra", 0))
	for _, subject := range []string{"$JS.hub.API.STREAM.DELETE.ROLLCALL_EVENTS", "$JS.hub.API.INFO", "$JS.ber.API.INFO"} {
		if _, err := admin.Request(subject, nil, time.Second); err == nil {
			i.t.Errorf("a site may ask %s", subject)
		}
	}
	i.want("position 3303")
	hub := jetStream(i.t, i.hub.connect("admin.nk", "_INBOX_admin"))
	if ack, err := hub.Publish(i.t.Context(), "rollcall.events.web1.fra.example.com", nil, jetstream.WithRetryAttempts(0)); err == nil {
		i.t.Errorf("a site acknowledged what was published at the hub: %+v", ack)
	}
}

// TestHubAccounts: the permissions at the hub are those of an installation without sites, and
// what is marked as of the sites.
func TestHubAccounts(t *testing.T) {
	accounts := func(path string) string {
		_, text, _ := strings.Cut(read(t, filepath.FromSlash(path)), "accounts {\n")
		return text
	}
	hub := regexp.MustCompile(`(?ms)^ *# sites$.*?^ *# end of sites\n\n?`).ReplaceAllString(accounts("sites/hub-accounts.conf"), "")
	if want := accounts("nkeys/accounts.conf"); strings.ReplaceAll(hub, "\n\n}\n", "\n}\n") != want {
		t.Errorf("%s\nwant\n%s", hub, want)
	}
}
