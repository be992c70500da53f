package nats_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"rollcall/deploy/internal/program"
)

// operated is a world whose accounts "rollcall enroll" has made.
type operated struct {
	*world
	mqtt string // the address of its listener
}

// newOperated starts a server; the files in more are appended to its configuration.
func newOperated(t *testing.T, more ...string) *operated {
	t.Helper()
	return newOperatedIn(t, "", more...)
}

// newOperatedIn is newOperated in a JetStream domain, if there is one.
func newOperatedIn(t *testing.T, domain string, more ...string) *operated {
	t.Helper()
	o := &operated{newServer(t), fmt.Sprintf("127.0.0.1:%d", freePort(t))}
	var variables []string
	in := ""
	if domain != "" {
		variables, in = []string{"NATS_JS_DOMAIN=" + domain}, " in domain "+domain
		o.write("nats-server.conf", o.replaced(read(t, o.path("nats-server.conf")), "jetstream {", "jetstream {\n  domain: "+domain))
	}
	for _, file := range more {
		o.write("nats-server.conf", read(t, o.path("nats-server.conf"))+o.replaced(read(t, file),
			"0.0.0.0:8883", o.mqtt, "/etc/nats/tls/server.pem", o.path("tls/server.pem"), "/etc/nats/tls/server-key.pem", o.path("tls/server-key.pem")))
	}
	if out, err := command(t, variables, "enroll", "--init", o.path("enrolled"), "--url", o.url, "--ca", o.path("ca.pem")); err != nil {
		t.Fatalf("enroll --init: %v: %s", err, out)
	}
	o.write("accounts.conf", read(t, o.path("enrolled/accounts.conf")))
	o.start()
	if out, err := command(t, append(o.as("admin"), streamsMaxBytes), "streams"); err != nil || !strings.HasSuffix(out, strings.TrimSuffix(ready, "\n")+in+"\n") {
		t.Fatalf("streams: %v: %s", err, out)
	}
	return o
}

// enroll runs "rollcall enroll" in the folder that it made.
func (o *operated) enroll(args ...string) string {
	o.t.Helper()
	args = append([]string{"--dir", o.path("enrolled")}, args...)
	out, err := command(o.t, nil, append([]string{"enroll"}, args...)...)
	if err != nil {
		o.t.Fatalf("enroll %q: %v: %s", args, err, out)
	}
	return out
}

// load gives the server the accounts, as its operator would.
func (o *operated) load() {
	o.t.Helper()
	o.write("accounts.conf", read(o.t, o.path("enrolled/accounts.conf")))
	o.reload()
}

// folder returns where the files of service, admin, page, reader, or a machine are; a
// machine is named as in subjects.
func (o *operated) folder(name string) string {
	for _, folder := range []string{name, "readers/" + name, "machines/" + name} {
		if info, err := os.Stat(o.path("enrolled/" + folder + "/ca.pem")); err == nil && !info.IsDir() {
			return o.path("enrolled/" + folder)
		}
	}
	o.t.Helper()
	o.t.Fatalf("nobody is called %s", name)
	return ""
}

// as returns the variables in a user's file, with the paths of this machine.
func (o *operated) as(name string) (variables []string) {
	o.t.Helper()
	for _, file := range []string{"agent.env", "rollcall.env", "web.env", "nats.env"} {
		text, err := os.ReadFile(filepath.Join(o.folder(name), file))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			variable, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			if filepath.IsAbs(value) {
				value = filepath.Join(o.folder(name), filepath.Base(value))
			}
			if strings.HasPrefix(variable, "NATS_") {
				variables = append(variables, variable+"="+value)
			}
		}
	}
	return variables
}

// inbox returns a user's prefix for answers.
func (o *operated) inbox(name string) string {
	o.t.Helper()
	for _, variable := range o.as(name) {
		if prefix, is := strings.CutPrefix(variable, "NATS_INBOX_PREFIX="); is {
			return prefix
		}
	}
	o.t.Fatalf("%s has no prefix for answers", name)
	return ""
}

// dial connects as a user.
func (o *operated) dial(name string, more ...nats.Option) *conn {
	o.t.Helper()
	set := map[string]string{}
	for _, variable := range o.as(name) {
		key, value, _ := strings.Cut(variable, "=")
		set[key] = value
	}
	return dial(o.t, set["NATS_URL"], append(more, nats.RootCAs(set["NATS_CA"]), nats.UserCredentials(set["NATS_CREDS"]), nats.CustomInboxPrefix(set["NATS_INBOX_PREFIX"]))...)
}

// hostile are names that mean something to NATS.
var hostile = []string{
	"web1", "web.example.com", "space ship", "*", "web.>", "50%", "{{subject()}}", ".", "a..b", "-x", `O"Brien\`, "$JS", "名前", strings.Repeat("x", 255),
}

// TestEnrolledMachines: each machine that was enrolled can publish for itself, whatever its
// name is, and for nobody else.
func TestEnrolledMachines(t *testing.T) {
	o := newOperated(t)
	s := program.Serve(t, o.as("service")...)
	report := ""
	for _, name := range hostile {
		_, made, _ := strings.Cut(o.enroll("--", name), ": ")
		folder := filepath.Base(strings.TrimSuffix(made, ", for /etc/rollcall-agent\n"))
		out, err := command(t, o.as(folder), "publish", "--login", "lane", "--machine="+name)
		if err != nil || out != "1 stored\n" {
			t.Errorf("%q: %v: %s", name, err, out)
		}
		other := "web1"
		if name == other {
			other = "web2"
		}
		out, err = command(t, o.as(folder), "publish", "--login", "mallory", "--machine", other)
		if err == nil || !strings.Contains(out, `publish to "rollcall.events.`+other+`"`) {
			t.Errorf("%q publishes for another machine: %v: %s", name, err, out)
		}
		report += "\n" + name + ": lane\n"
	}
	program.Eventually(t, "all are on", func() bool {
		out, err := command(t, o.as("reader"), "report", "--output", "text")
		all := err == nil && strings.Count(out, "\n") == len(hostile)+1 && // and how many are on
			!strings.Contains(out, "mallory")
		for line := range strings.SplitSeq(report, "\n") {
			all = all && strings.Contains("\n"+out, "\n"+line)
		}
		return all
	})
	wantNoDenials(t, s.Log())
}

// TestEnrolledDomain: where the streams are in a JetStream domain, everybody's permissions and
// settings name it, but those of machines, whose events find the stream.
func TestEnrolledDomain(t *testing.T) {
	o := newOperatedIn(t, "hub")
	o.enroll("web1")
	s := program.Serve(t, append(o.as("service"), "ROLLCALL_REPORT_INTERVAL=50ms")...)
	for _, args := range [][]string{{"--login", "lane"}, {"--login", "ada", "--date", "2001-01-01T00:00:00Z"}} {
		if out, err := command(t, o.as("web1"), append([]string{"publish", "--machine", "web1"}, args...)...); err != nil || !strings.HasSuffix(out, "1 stored\n") {
			t.Fatalf("%v: %s", err, out)
		}
	}
	program.Eventually(t, "the dead letter is listed", func() bool {
		out, err := command(t, o.as("reader"), "deadletters")
		return err == nil && strings.Contains(out, "late")
	})
	if out, err := command(t, o.as("reader"), "report"); err != nil || !strings.HasPrefix(out, "web1: lane\n") {
		t.Errorf("%v: %s", err, out)
	}
	if got := s.Get("/readyz?verbose"); !strings.Contains(got, "[+] reports: stored") || !strings.Contains(got, "[+] dead letters: stored") {
		t.Error(got)
	}
	for _, name := range []string{"web1", "service", "admin", "page", "reader"} {
		if has := slices.Contains(o.as(name), "NATS_JS_DOMAIN=hub"); has == (name == "web1") {
			t.Errorf("%s: %s", name, o.as(name))
		}
	}
}

// TestEnrolledRights: with the credentials of each role, what it is for is allowed, and
// nothing else.
func TestEnrolledRights(t *testing.T) {
	o := newOperated(t)
	o.enroll("web1", "web3")
	o.enroll("--role", "reader", "ada")
	s := program.Serve(t, o.as("service")...)
	if out, err := command(t, o.as("web1"), "publish", "--login", "lane", "--machine", "web1"); err != nil {
		t.Fatal(out)
	}
	for _, name := range []string{"reader", "ada", "page", "admin"} {
		for _, c := range []struct{ command, want string }{
			{"report", "web1: lane\n"}, {"who web1", "lane"}, {"where lane", "web1"}, {"history --user lane", "web1"}, {"status", "ROLLCALL_EVENTS"}, {"deadletters", ""},
		} {
			if out, err := command(t, o.as(name), strings.Fields(c.command)...); err != nil || !strings.Contains(out, c.want) {
				t.Errorf("%s as %s: %v: %s", c.command, name, err, out)
			}
		}
	}
	inbox := o.inbox
	machine := cases{
		publish: []string{
			"rollcall.events.web1.x", "rollcall.events.web3", "rollcall.events.WEB1", "rollcall.reports", "rollcall.changes.web1", "rollcall.deadletters.1", "rollcall.query.report",
			"$JS.API.STREAM.INFO.ROLLCALL_EVENTS", "$JS.API.STREAM.MSG.GET.ROLLCALL_EVENTS", "$JS.API.CONSUMER.CREATE.ROLLCALL_EVENTS.x", "$JS.API.INFO",
			"$SRV.PING", "_R_.x", "_INBOX_rollcall.x", inbox("web3") + ".x",
		},
		subscribe: []string{"rollcall.reports", "rollcall.changes.>", "rollcall.query.>", "$SRV.>", "_INBOX_rollcall.>", inbox("web3") + ".>", inbox("reader") + ".>"},
	}
	machine.denied(t, o.dial("web1"))
	reader := cases{
		publish:   []string{"rollcall.events.web1", "rollcall.reports", "rollcall.changes.web1", "_R_.x", "_INBOX_rollcall.x", "$JS.API.STREAM.MSG.GET.ROLLCALL_EVENTS"},
		subscribe: []string{"rollcall.query.>", "_INBOX_rollcall.>", inbox("ada") + ".>"},
	}
	reader.denied(t, o.dial("reader"))
	reader.denied(t, o.dial("page"))
	cases{
		publish:   []string{"rollcall.events.web1", "rollcall.query.report", "$JS.API.STREAM.CREATE.ROLLCALL_DEADLETTERS", inbox("reader") + ".x"},
		subscribe: []string{"rollcall.events", "rollcall.reports", inbox("reader") + ".>"},
	}.denied(t, o.dial("service"))
	wantNoDenials(t, s.Log())
}

// TestCredentialsEnd: expired and revoked credentials are reported as such, and a service
// uses new ones in its file without a restart.
func TestCredentialsEnd(t *testing.T) {
	o := newOperated(t)
	o.enroll("--expire", "1s", "web1")
	o.enroll("web.example.com")
	s := program.Serve(t, append(o.as("service"), "ROLLCALL_REPORT_INTERVAL=100ms")...)
	web, service := o.as("web.example.com"), o.as("service")

	publish := func(variables []string, machine string) (string, error) {
		return command(t, variables, "publish", "--login", "lane", "--machine", machine)
	}
	program.Eventually(t, "the credentials expire", func() bool {
		out, err := publish(o.as("web1"), "web1")
		return fmt.Sprint(err) == "exit status 78" && strings.Contains(out, "which expired at 2") && strings.Contains(out, ": renew it")
	})
	stolen := read(t, o.folder("web.example.com")+"/agent.creds")
	o.enroll("--role", "service", "--revoke", "service")
	out := o.enroll("--revoke", "web.example.com")
	if !strings.Contains(out, "web.example.com: 1 credentials revoked") || !strings.Contains(out, "nats-server --signal reload") {
		t.Error(out)
	}
	o.load()
	s.AwaitLog("nats refuses the login, retrying")
	write(t, o.path("enrolled/machines/web.example.com/agent.creds"), stolen)
	write(t, o.path("enrolled/machines/web.example.com/ca.pem"), o.ca.pem)
	if out, err := publish(web, "web.example.com"); fmt.Sprint(err) != "exit status 78" || !strings.Contains(out, "is it not revoked?") {
		t.Errorf("revoked: %v: %s", err, out)
	}
	if err := os.Remove(o.path("enrolled/machines/web.example.com/agent.creds")); err != nil {
		t.Fatal(err)
	}

	o.enroll("--role", "service", "service")
	if again := o.as("service"); fmt.Sprint(again) != fmt.Sprint(service) {
		t.Errorf("the service needs other variables after it was enrolled again: %q, before %q", again, service)
	}
	s.AwaitLog("reconnected to nats")
	o.enroll("web1", "web.example.com")
	for _, name := range []string{"web1", "web.example.com"} {
		if out, err := publish(o.as(name), name); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
	program.Eventually(t, "the service reads on", func() bool {
		out, err := command(t, o.as("reader"), "report")
		return err == nil && strings.HasPrefix(out, "web.example.com: lane\nweb1: lane\n2 of 2 machines in use")
	})
}

// TestExpires: credentials that expire while the service runs are refused, and renewed ones
// in the same file are used without a restart.
func TestExpires(t *testing.T) {
	o := newOperated(t)
	o.enroll("--role", "service", "--expire", "6s", "service")
	s := program.Serve(t, o.as("service")...)
	s.AwaitLog("nats refuses the login, retrying")
	s.AwaitLog("expired")
	o.enroll("--role", "service", "--expire", "90d", "service")
	s.AwaitLog("reconnected to nats")
}

// TestAccountsAgain: accounts that are written anew, as after an upgrade, are loaded while the
// server runs; nobody is disconnected, and who was revoked stays so.
func TestAccountsAgain(t *testing.T) {
	o := newOperated(t)
	o.enroll("web1", "web3")
	web3 := o.dial("web3")
	kept := read(t, o.folder("web3")+"/agent.creds")
	reader := o.dial("reader", nats.NoReconnect())
	o.enroll("--revoke", "web3")
	before := read(t, o.path("enrolled/accounts.conf"))
	program.Eventually(t, "the accounts are another text", func() bool { // as soon as the second is another
		o.enroll("--accounts")
		return read(t, o.path("enrolled/accounts.conf")) != before
	})
	o.load()
	program.Eventually(t, "who was revoked is cut off", func() bool { return !web3.IsConnected() })
	if err := reader.Flush(); err != nil {
		t.Errorf("the reader was disconnected: %v", err)
	}
	if out, err := command(t, o.as("web1"), "publish", "--login", "lane", "--machine", "web1"); err != nil || out != "1 stored\n" {
		t.Errorf("%v: %s", err, out)
	}
	file := o.path("web3.creds")
	write(t, file, kept)
	if nc, err := nats.Connect(o.url, nats.RootCAs(o.path("ca.pem")), nats.UserCredentials(file)); err == nil {
		nc.Close()
		t.Error("who was revoked is accepted")
	}
}

// TestEnrolledWhileRunning: a machine that is enrolled while the server runs needs nothing
// of the server.
func TestEnrolledWhileRunning(t *testing.T) {
	o := newOperated(t)
	began := time.Now()
	o.enroll("--expire", "90d", "web9")
	if out, err := command(t, o.as("web9"), "publish", "--login", "lane", "--machine", "web9"); err != nil || out != "1 stored\n" {
		t.Errorf("%v after the enrolment: %v: %s", time.Since(began), err, out)
	}
}

// TestSys: who manages servers can see all of them, and can neither replace accounts nor take
// part in what rollcall does.
func TestSys(t *testing.T) {
	o := newOperated(t)
	o.enroll("--role", "sys", "ops")
	ops := o.dial("sys/ops")
	if pong, err := ops.Request("$SYS.REQ.SERVER.PING.JSZ", nil, 5*time.Second); err != nil || !strings.Contains(string(pong.Data), `"streams":3`) {
		t.Errorf("%v: %+v", err, pong)
	}
	cases{
		publish:   []string{"$SYS.REQ.CLAIMS.UPDATE", "$SYS.REQ.CLAIMS.DELETE", "rollcall.events.web1", "rollcall.query.report", "$JS.API.INFO"},
		subscribe: []string{"rollcall.reports", "$SYS.ACCOUNT.>"},
	}.deniedOnly(t, ops)
}

// TestSameRights: with keys instead of an operator, everybody has the same permissions, but
// for the inbox: readers with a key share theirs. Who manages servers has no key.
func TestSameRights(t *testing.T) {
	o, w := newOperated(t), newFolder(t)
	signed := map[string]jwt.Permissions{}
	for line := range strings.Lines(read(t, o.path("accounts.conf"))) {
		_, token, _ := strings.Cut(strings.TrimSpace(line), ": ")
		account, err := jwt.DecodeAccountClaims(token)
		if err != nil {
			continue
		}
		for _, key := range account.SigningKeys.Keys() {
			scope, _ := account.SigningKeys.GetScope(key)
			role := scope.(*jwt.UserScope)
			signed[role.Role] = role.Template.Permissions
		}
	}
	options, err := server.ProcessConfigFile(w.path("nats-server.conf"))
	if err != nil {
		t.Fatal(err)
	}
	for role, permissions := range signed {
		if role == "device" || role == "machine" || role == "sys" {
			continue
		}
		key := strings.TrimSpace(w.tool(w.path("bin/nats"), "auth", "nkey", "show", w.path("keys/"+role+".nk")))
		i := slices.IndexFunc(options.Nkeys, func(u *server.NkeyUser) bool { return u.Nkey == key })
		if i < 0 {
			t.Fatalf("no user has the key of the role %s", role)
		}
		listed := options.Nkeys[i].Permissions
		for what, lists := range map[string][2][]string{
			"publish":   {listed.Publish.Allow, permissions.Pub.Allow},
			"subscribe": {listed.Subscribe.Allow, permissions.Sub.Allow},
		} {
			for i := range lists {
				for j, subject := range lists[i] {
					if strings.HasPrefix(subject, "_INBOX_reader.") || strings.HasPrefix(subject, "_INBOX_page.") || strings.HasPrefix(subject, "_INBOX_{{") {
						lists[i][j] = "its inbox"
					}
				}
				slices.Sort(lists[i])
			}
			if !slices.Equal(lists[0], lists[1]) {
				t.Errorf("%s may %s with a key\n%q, and signed\n%q", role, what, lists[0], lists[1])
			}
		}
	}
}
