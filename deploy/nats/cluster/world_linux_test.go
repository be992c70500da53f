// Package cluster_test boots machines, and follows README.md on them while events are published.
package cluster_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/deploy/internal/program"
	"rollcall/internal/test/machine"
)

func TestMain(m *testing.M) { program.Main(m) }

// checkout is the folder on the operator's computer in which the blocks are run.
const checkout = "/root/rollcall"

// hosts are the servers, in the order of the README.
var hosts = []string{"nats1", "nats2", "nats3"}

// world has the operator's computer, and the machines of the servers and services.
type world struct {
	t        *testing.T
	sections map[string][]block
	operator *machine.Machine
	machines map[string]*machine.Machine // by name
}

// block is a block of commands, with what the comment above it says: where it is run.
type block struct{ where, commands string }

var fences = regexp.MustCompile("(?m)^## (.+)$|^(?:<!-- (.+) -->\n)?```sh\n((?:.*\n)*?)```$")

// newWorld boots the machines, and puts on the operator's what the README presumes.
func newWorld(t *testing.T) *world {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	w, began := &world{t: t, sections: map[string][]block{}}, time.Now()
	section := ""
	for _, found := range fences.FindAllStringSubmatch(string(text), -1) {
		if found[1] != "" {
			section = found[1]
			continue
		}
		if found[2] != "operator" && found[2] != "operator, later" {
			t.Fatalf("%s: where is this run?\n%s", section, found[3])
		}
		w.sections[section] = append(w.sections[section], block{found[2], found[3]})
	}
	w.boot()
	w.operator.Copy(program.Rollcall(t), "/usr/local/bin/rollcall")
	w.operator.Copy(program.NATS(t), "/usr/local/bin/nats")
	w.operator.Copy(program.Build(t, "github.com/nats-io/nats-server/v2"), checkout+"/dist/nats-server")
	for _, file := range []string{
		"nats/nats-server.conf", "nats/cluster/cluster.conf", "nats/cluster/service.conf", "nats/cluster/standby.conf", "nats/cluster/install",
		"systemd/nats-server.service", "systemd/nats-user.conf",
	} {
		w.operator.Copy(filepath.Join("../..", file), checkout+"/deploy/"+file)
	}
	for _, host := range services {
		w.install(w.machines[host])
	}
	t.Logf("the machines: %v", time.Since(began).Round(time.Millisecond))
	return w
}

// boot boots the machines, and connects them.
func (w *world) boot() {
	w.t.Helper()
	w.operator = machine.Boot(w.t, "operator")
	machine.Need(w.t, "openssl", "curl")
	w.machines = map[string]*machine.Machine{}
	names := slices.Concat(hosts, services)
	others := make([]*machine.Machine, len(names))
	var booting sync.WaitGroup
	for i, name := range names {
		booting.Go(func() { others[i] = machine.Boot(w.t, name) })
	}
	booting.Wait()
	if w.t.Failed() { // which ended only the goroutine that has booted
		w.t.FailNow()
	}
	for i, name := range names {
		w.machines[name] = others[i]
	}
	all := append([]*machine.Machine{w.operator}, others...)
	machine.Connect(all...)
	w.t.Cleanup(func() {
		if !w.t.Failed() {
			return
		}
		for _, m := range all {
			log, _ := m.Try("journalctl", "--quiet", "--no-pager", "--output=short-precise", "--unit=nats-server", "--unit=rollcall", "--lines=100")
			w.t.Logf("%s", log)
		}
	})
	for _, m := range others {
		m.Trust(w.operator)
	}
}

// follow runs the blocks of a section that are to be run at once.
func (w *world) follow(section string) { w.followBlocks(section, "operator") }

// followLater runs the blocks of a section that are for later.
func (w *world) followLater(section string) { w.followBlocks(section, "operator, later") }

func (w *world) followBlocks(section, where string) {
	w.t.Helper()
	began, n := time.Now(), 0
	for _, b := range w.sections[section] {
		if b.where == where {
			w.run(b.commands)
			n++
		}
	}
	if n == 0 {
		w.t.Fatalf("README.md has no block below %q to be run by the %s", section, where)
	}
	w.t.Logf("%s, by the %s: %v", section, where, time.Since(began).Round(time.Millisecond))
}

// run runs commands in the checkout of the operator's computer.
func (w *world) run(commands string) string {
	w.t.Helper()
	return w.operator.Run("env", "-C", checkout, "bash", "-euo", "pipefail", "-c", commands)
}

// user is who connects: a folder in enrolled.
type user string

// environment returns the variables of a user's file.
func (w *world) environment(u user) map[string]string {
	w.t.Helper()
	set := map[string]string{}
	for line := range strings.Lines(w.operator.Run("bash", "-c", "cat "+checkout+"/enrolled/"+string(u)+"/*.env")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		set[name] = value
	}
	return set
}

// connect connects as a user from the operator's computer, first to the server of this number,
// and then to the others.
func (w *world) connect(u user, first int, more ...nats.Option) *nats.Conn {
	w.t.Helper()
	dir := w.t.TempDir()
	for _, name := range []string{"nats.creds", "agent.creds", "ca.pem"} {
		if text, err := w.operator.Try("cat", checkout+"/enrolled/"+string(u)+"/"+name); err == nil {
			if err := os.WriteFile(filepath.Join(dir, strings.Replace(name, "agent", "nats", 1)), []byte(text), 0o600); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	set := w.environment(u)
	servers := strings.Split(set["NATS_URL"], ",")
	first %= len(servers)
	servers = append(servers[first:len(servers):len(servers)], servers[:first]...)
	nc, err := nats.Connect(strings.Join(servers, ","), append([]nats.Option{
		nats.DontRandomize(), nats.SkipHostLookup(), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), nats.SetCustomDialer(dialer{w.operator}),
		nats.RootCAs(filepath.Join(dir, "ca.pem")), nats.UserCredentials(filepath.Join(dir, "nats.creds")),
		nats.CustomInboxPrefix(set["NATS_INBOX_PREFIX"]), nats.MaxReconnects(-1), nats.ReconnectWait(250 * time.Millisecond),
		nats.Timeout(5 * time.Second), nats.PingInterval(8 * time.Second), nats.MaxPingsOutstanding(2), // as rollcall has it
	}, more...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(nc.Close)
	return nc
}

// dialer connects from a machine.
type dialer struct{ from *machine.Machine }

func (d dialer) Dial(_, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	for i, name := range hosts { // the operator's computer has the first address
		if name == host {
			return d.from.Dial(fmt.Sprintf("10.86.0.%d:%s", i+2, port))
		}
	}
	return nil, fmt.Errorf("no server is called %s", host)
}

// leader returns the server that leads a stream.
func (w *world) leader(admin *nats.Conn, stream string) *machine.Machine {
	w.t.Helper()
	leader := ""
	program.Eventually(w.t, stream+" has a leader", func() bool {
		leader = info(w.t.Context(), admin, stream).leader
		return leader != ""
	})
	return w.machines[strings.TrimSuffix(leader, "b")]
}

// The stream of events, and that of the lease.
const (
	events = "ROLLCALL_EVENTS"
	lease  = "KV_ROLLCALL_LEASE"
)

// streamInfo is what the server says of a stream.
type streamInfo struct {
	leader  string
	current int // replicas, besides the leader
	last    uint64
}

func info(ctx context.Context, admin *nats.Conn, stream string) (i streamInfo) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	js, err := admin.JetStream()
	if err != nil {
		return i
	}
	s, err := js.StreamInfo(stream, nats.Context(ctx))
	if err != nil || s.Cluster == nil {
		return i
	}
	i.leader, i.last = s.Cluster.Leader, s.State.LastSeq
	for _, r := range s.Cluster.Replicas {
		if r.Current && !r.Offline {
			i.current++
		}
	}
	return i
}
