package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"rollcall/deploy/internal/program"
	"rollcall/internal/test/machine"
)

// checkout is the folder on the operator's computer in which the blocks are run.
const checkout = "/root/rollcall"

// guide is docs/installation.md, and the machines that it is followed on.
type guide struct {
	t        *testing.T
	blocks   []block
	operator *machine.Machine
	server   *machine.Machine
	web1     *machine.Machine
	web2     *machine.Machine
}

// block is a block of commands, with the section that it is in, and what the comment above
// it says: where it is run.
type block struct{ section, where, commands string }

var (
	fences = regexp.MustCompile("(?m)^## (.+)$|^(?:<!-- (.+) -->\n)?```sh\n((?:.*\n)*?)```$")
	places = []string{"checkout", "operator", "server", "server, of the distribution", "machine", "ansible", "cloud-init"}
)

// readGuide reads the blocks.
func readGuide(t *testing.T) (blocks []block) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(program.Root(t), "docs/installation.md"))
	if err != nil {
		t.Fatal(err)
	}
	section := ""
	for _, found := range fences.FindAllStringSubmatch(string(text), -1) {
		if found[1] != "" {
			section = found[1]
			continue
		}
		if !slices.Contains(places, found[2]) {
			t.Fatalf("%s: where is this run?\n%s", section, found[3])
		}
		blocks = append(blocks, block{section, found[2], found[3]})
	}
	return blocks
}

// newGuide boots a server, two machines and the operator's computer, whose root may log in
// to the others, and puts there what the first block makes.
func newGuide(t *testing.T) *guide {
	t.Helper()
	g := &guide{t: t, blocks: readGuide(t), server: machine.Boot(t, "server")}
	machine.Need(t, "openssl", "prometheus")
	g.web1, g.web2, g.operator = machine.Boot(t, "web1"), machine.Boot(t, "web2"), machine.Boot(t, "operator")
	machine.Connect(g.server, g.web1, g.web2, g.operator)
	for _, m := range []*machine.Machine{g.server, g.web1, g.web2} {
		m.Trust(g.operator)
		m.Run("bash", "-c", listing+" >/run/before")
	}
	for _, m := range []*machine.Machine{g.server, g.web1, g.web2, g.operator} {
		// What takes seconds at each installation: the index of manuals, telling a desktop, and
		// reading all lists of packages again.
		m.Run("rm", "-f", "/var/lib/man-db/auto-update", "/etc/apt/apt.conf.d/20packagekit", "/etc/apt/apt.conf.d/docker-clean")
	}
	const makes = "make packages VERSION=v1.2.3\nCGO_ENABLED=0 go build -o dist/nats-server github.com/nats-io/nats-server/v2\n"
	if first := g.blocks[0]; first.where != "checkout" || first.commands != makes {
		t.Fatalf("the first block is\n%swant\n%s", first.commands, makes)
	}
	debs, err := filepath.Glob(filepath.Join(packagesOf(t, "v1.2.3"), "*.deb"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range debs {
		g.operator.Copy(file, checkout+"/dist/"+filepath.Base(file))
	}
	g.operator.Copy(program.Build(t, "github.com/nats-io/nats-server/v2"), checkout+"/dist/nats-server")
	return g
}

// listing lists the files of a machine, but those that every machine and every package
// writes: what is installed, and who has an account. The folders in /etc/grafana would be
// Grafana's.
const listing = `(find /etc /usr /opt /srv /var/lib -xdev \( -path '/etc/*-' -o -path /var/lib/apt -o -path /var/lib/dpkg \
	-o -path /var/lib/PackageKit -o -path /var/lib/systemd \) -prune -o -print; ls -d /root/*) | grep -vE '^/etc/grafana(/provisioning(/[a-z]+)?)?$' | sort`

// section returns the blocks of a section that the test can run.
func (g *guide) section(name string) (blocks []block) {
	g.t.Helper()
	for _, b := range g.blocks {
		if b.section == name && b.where != "checkout" && b.where != "server, of the distribution" {
			blocks = append(blocks, b)
		}
	}
	if len(blocks) == 0 {
		g.t.Fatalf("docs/installation.md has no blocks below %q", name)
	}
	return blocks
}

// follow runs all blocks of these sections, which belong to the operator's computer and to
// the server.
func (g *guide) follow(sections ...string) {
	g.t.Helper()
	for _, name := range sections {
		for _, b := range g.section(name) {
			g.run(b)
		}
	}
}

// run runs a block where it belongs, and returns its output.
func (g *guide) run(b block) string {
	g.t.Helper()
	where, folder := g.operator, checkout
	if b.where == "server" {
		where, folder = g.server, "/root"
	}
	return g.runOn(where, folder, b)
}

// runOn runs a block in a folder of a machine.
func (g *guide) runOn(m *machine.Machine, folder string, b block) string {
	g.t.Helper()
	began := time.Now()
	out, err := g.try(m, folder, b)
	g.t.Logf("%s, on %s: %v", b.section, b.where, time.Since(began).Round(time.Millisecond))
	if err != nil {
		g.t.Fatalf("%s, on %s: %v\n%s\n%s", b.section, b.where, err, b.commands, out)
	}
	return out
}

// try runs a block, which may fail.
func (g *guide) try(m *machine.Machine, folder string, b block) (string, error) {
	return m.Try("env", "-C", folder, "bash", "-euo", "pipefail", "-c", b.commands)
}

// eventually waits until a condition is true, and prints what it last saw if it is not.
func (g *guide) eventually(what string, condition func() (saw string, ok bool)) {
	g.t.Helper()
	last, done := "", false
	defer func() {
		if !done {
			g.t.Logf("%s: last seen\n%s", what, last)
		}
	}()
	program.Eventually(g.t, what, func() bool {
		last, done = condition()
		return done
	})
}

// ask runs a command of the operator's with the variables of a user.
func (g *guide) ask(user, command string) (string, error) {
	return g.operator.Try("env", "-C", checkout, "bash", "-ec", fmt.Sprintf("set -a; . enrolled/%s/nats.env; %s", user, command))
}

// report returns what "rollcall report" prints to a reader.
func (g *guide) report() string {
	// Without the note on stderr that counts them.
	out, err := g.ask("readers/reader", "rollcall report 2>/dev/null")
	if err != nil {
		return fmt.Sprintf("%v: %s", err, out)
	}
	return out
}

// await waits until the report is as wanted.
func (g *guide) await(what, want string) {
	g.t.Helper()
	g.eventually(what, func() (string, bool) {
		got := g.report()
		return got, got == want
	})
}
