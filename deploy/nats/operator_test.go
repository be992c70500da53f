package nats_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"rollcall/deploy/internal/program"
)

// role has the permissions that a signing key gives to users, as in the README.
type role struct {
	account            string
	publish, subscribe []string
}

// roles have the accounts and permissions of accounts.conf; one template replaces the
// entries of the machines.
var roles = map[string]role{
	"service": {
		"ROLLCALL",
		[]string{
			"rollcall.reports", "rollcall.reports.>", "rollcall.changes", "rollcall.changes.>", "rollcall.deadletters.>", "_R_.>", "_INBOX_admin.>",
			"_INBOX_rollcall.>", "rollcall.query.instances",
			"$JS.API.STREAM.LIST", "$JS.API.STREAM.NAMES", "$JS.API.INFO", "$JS.API.STREAM.INFO.ROLLCALL_EVENTS", "$JS.API.STREAM.INFO.ROLLCALL_DEADLETTERS",
			"$JS.API.CONSUMER.CREATE.ROLLCALL_EVENTS.>", "$JS.API.CONSUMER.DELETE.ROLLCALL_EVENTS.*", "$JS.API.CONSUMER.MSG.NEXT.ROLLCALL_EVENTS.*",
			"$JS.API.STREAM.MSG.GET.ROLLCALL_EVENTS", "$JS.API.DIRECT.GET.ROLLCALL_DEADLETTERS.>",
			"$JS.API.DIRECT.GET.ROLLCALL_DEADLETTERS", "$JS.API.DIRECT.GET.ROLLCALL_REPORTS",
		},
		[]string{"_INBOX_rollcall.>", "rollcall.query.>", "$SRV.>"},
	},
	"admin": {
		"ROLLCALL",
		[]string{"$JS.>", "$SRV.>", "rollcall.events.>", "rollcall.query.>"},
		[]string{"_INBOX_admin.>", "$JS.EVENT.>", "rollcall.reports", "rollcall.reports.>", "rollcall.changes", "rollcall.changes.>"},
	},
	"machine": {"MACHINES", []string{"rollcall.events.{{name()}}"}, []string{"_INBOX_{{subject()}}.>"}},
	"reader": {
		"READERS",
		[]string{"rollcall.query.>", "$JS.API.DIRECT.GET.ROLLCALL_DEADLETTERS", "$JS.API.DIRECT.GET.ROLLCALL_REPORTS.>"},
		[]string{"_INBOX_reader.>", "rollcall.reports", "rollcall.reports.>", "rollcall.changes", "rollcall.changes.>"},
	},
}

// imports are the accounts' imports from ROLLCALL.
var imports = []struct {
	account, subject string
	kind             jwt.ExportType
}{
	{"MACHINES", "rollcall.events.>", jwt.Service},
	{"READERS", "rollcall.query.>", jwt.Service},
	{"READERS", "$JS.API.DIRECT.GET.ROLLCALL_DEADLETTERS", jwt.Service},
	{"READERS", "$JS.API.DIRECT.GET.ROLLCALL_REPORTS.>", jwt.Service},
	{"READERS", "rollcall.reports", jwt.Stream},
	{"READERS", "rollcall.reports.>", jwt.Stream},
	{"READERS", "rollcall.changes", jwt.Stream},
	{"READERS", "rollcall.changes.>", jwt.Stream},
}

// operated is a world whose accounts are signed by an operator.
type operated struct {
	*world
	operator nkeys.KeyPair
	accounts map[string]*jwt.AccountClaims
	keys     map[string]nkeys.KeyPair // of accounts
	signing  map[string]nkeys.KeyPair // of roles
	users    map[string]string        // public keys
}

func newOperated(t *testing.T) *operated {
	t.Helper()
	o := &operated{
		world: newFolder(t), accounts: map[string]*jwt.AccountClaims{},
		keys: map[string]nkeys.KeyPair{}, signing: map[string]nkeys.KeyPair{}, users: map[string]string{},
	}
	o.operator = created(t, nkeys.CreateOperator)
	claims := jwt.NewOperatorClaims(public(t, o.operator))
	o.write("operator.jwt", encode(t, claims, o.operator))
	for _, name := range []string{"SYSTEM", "ROLLCALL", "MACHINES", "READERS"} {
		o.keys[name] = created(t, nkeys.CreateAccount)
		o.accounts[name] = jwt.NewAccountClaims(public(t, o.keys[name]))
		o.accounts[name].Name = name
	}
	limits := &o.accounts["ROLLCALL"].Limits
	limits.DiskStorage, limits.MemoryStorage = jwt.NoLimit, jwt.NoLimit
	for name, r := range roles {
		o.signing[name] = created(t, nkeys.CreateAccount)
		scope := jwt.NewUserScope()
		scope.Key, scope.Role = public(t, o.signing[name]), name
		scope.Template.Pub.Allow, scope.Template.Sub.Allow = r.publish, r.subscribe
		o.accounts[r.account].SigningKeys.AddScopedSigner(scope)
	}
	for _, i := range imports {
		subject := jwt.Subject(i.subject)
		o.accounts["ROLLCALL"].Exports.Add(&jwt.Export{Name: i.subject, Subject: subject, Type: i.kind})
		o.accounts[i.account].Imports.Add(&jwt.Import{Name: i.subject, Subject: subject, Account: o.accounts["ROLLCALL"].Subject, Type: i.kind})
	}
	o.configure()
	o.start()
	for _, user := range []string{"service", "admin", "reader"} {
		o.credential(user, user, time.Hour)
	}
	for _, machine := range machines {
		o.credential(machine, "machine", time.Hour)
	}
	o.makeStreams(o.dial("admin"))
	return o
}

// configure writes the server's configuration with the current accounts.
func (o *operated) configure() {
	o.t.Helper()
	var preload strings.Builder
	for _, a := range o.accounts {
		fmt.Fprintf(&preload, "  %s: %s\n", a.Subject, encode(o.t, a, o.operator))
	}
	o.write("accounts.conf", fmt.Sprintf("operator: %q\nsystem_account: %s\nresolver: MEMORY\nresolver_preload {\n%s}\n",
		o.path("operator.jwt"), o.accounts["SYSTEM"].Subject, preload.String()))
}

// credential creates a user with a role, and its credentials file.
func (o *operated) credential(name, roleName string, valid time.Duration) {
	o.t.Helper()
	key := created(o.t, nkeys.CreateUser)
	user := jwt.NewUserClaims(public(o.t, key))
	user.Name = name
	user.IssuerAccount = o.accounts[roles[roleName].account].Subject
	user.SetScoped(true)
	user.Expires = time.Now().Add(valid).Unix()
	seed, err := key.Seed()
	if err != nil {
		o.t.Fatal(err)
	}
	creds, err := jwt.FormatUserConfig(encode(o.t, user, o.signing[roleName]), seed)
	if err != nil {
		o.t.Fatal(err)
	}
	o.users[name] = user.Subject
	o.write("keys/"+name+".creds", string(creds))
}

// as returns the variables with which rollcall logs in as a user.
func (o *operated) as(name string) []string {
	inbox := map[string]string{"service": "_INBOX_rollcall", "admin": "_INBOX_admin", "reader": "_INBOX_reader"}[name]
	if inbox == "" {
		inbox = "_INBOX_" + o.users[name]
	}
	return []string{
		"NATS_URL=" + o.url, "NATS_CA=" + o.path("ca.pem"), "NATS_CREDS=" + o.path("keys/"+name+".creds"), "NATS_INBOX_PREFIX=" + inbox,
	}
}

// dial connects as a user.
func (o *operated) dial(name string) *conn {
	o.t.Helper()
	_, inbox, _ := strings.Cut(o.as(name)[3], "=")
	return dial(o.t, o.url, nats.RootCAs(o.path("ca.pem")), nats.UserCredentials(o.path("keys/"+name+".creds")), nats.CustomInboxPrefix(inbox))
}

func created(t *testing.T, create func() (nkeys.KeyPair, error)) nkeys.KeyPair {
	t.Helper()
	key, err := create()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func public(t *testing.T, key nkeys.KeyPair) string {
	t.Helper()
	text, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func encode(t *testing.T, claims jwt.Claims, key nkeys.KeyPair) string {
	t.Helper()
	text, err := claims.Encode(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestOperator: with an operator everybody has the permissions they need, and one template
// gives each machine its own subject.
func TestOperator(t *testing.T) {
	o := newOperated(t)
	s := program.Serve(t, o.as("service")...)
	for name, machine := range map[string]string{"web1": "web1", "web.example.com": "web.example.com", "space%20ship": "space ship"} {
		out, err := command(t, o.as(name), "publish", "--login", "lane", "--machine", machine)
		if err != nil || out != "1 stored\n" {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
	out, err := command(t, o.as("web1"), "publish", "--login", "lane", "--machine", "web2")
	if err == nil || !strings.Contains(out, `Permissions Violation for Publish to "rollcall.events.web2"`) {
		t.Errorf("publishing for another machine: %v: %s", err, out)
	}
	for _, c := range []struct{ command, want string }{
		{"report", "space ship: lane\nweb.example.com: lane\nweb1: lane\n"},
		{"deadletters", ""},
	} {
		if out, err := command(t, o.as("reader"), c.command); err != nil || !strings.Contains(out, c.want) {
			t.Errorf("%s: %v: %s", c.command, err, out)
		}
	}
	cases{
		publish:   []string{"rollcall.events.web1.x", "rollcall.reports", "$JS.API.STREAM.INFO.ROLLCALL_EVENTS", "_R_.x"},
		subscribe: []string{"rollcall.reports", "_INBOX_reader.>"},
	}.denied(t, o.dial("web1"))
	cases{publish: []string{"rollcall.events.web1"}, subscribe: []string{"_INBOX_rollcall.>"}}.denied(t, o.dial("reader"))
	cases{publish: []string{"rollcall.events.web1"}, subscribe: []string{"_INBOX_reader.>"}}.denied(t, o.dial("service"))
	wantNoDenials(t, s.Log())
}

// TestCredentialsEnd: expired and revoked credentials are reported as such, and a service
// uses new ones in its file without a restart.
func TestCredentialsEnd(t *testing.T) {
	o := newOperated(t)
	s := program.Serve(t, append(o.as("service"), "ROLLCALL_REPORT_INTERVAL=100ms")...)

	o.credential("web1", "machine", -time.Minute)
	out, err := command(t, o.as("web1"), "publish", "--login", "lane", "--machine", "web1")
	if fmt.Sprint(err) != "exit status 78" || !strings.Contains(out, "which expired at 2") || !strings.Contains(out, ": renew it") {
		t.Errorf("expired: %v: %s", err, out)
	}

	o.accounts["ROLLCALL"].Revoke(o.users["service"])
	o.accounts["MACHINES"].Revoke(o.users["web.example.com"])
	o.configure()
	o.reload()
	s.AwaitLog("nats refuses the login, retrying")
	out, err = command(t, o.as("web.example.com"), "publish", "--login", "lane", "--machine", "web.example.com")
	if fmt.Sprint(err) != "exit status 78" || !strings.Contains(out, "is it not revoked?") {
		t.Errorf("revoked: %v: %s", err, out)
	}

	o.credential("service", "service", time.Hour)
	s.AwaitLog("reconnected to nats")
	o.credential("web1", "machine", time.Hour)
	if out, err := command(t, o.as("web1"), "publish", "--login", "lane", "--machine", "web1"); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	program.Eventually(t, "the service reads on", func() bool {
		out, err := command(t, o.as("reader"), "report")
		return err == nil && out == "web1: lane\n"
	})
}

// TestExpires: credentials that expire while the service runs are refused, and new ones in
// the same file are used without a restart.
func TestExpires(t *testing.T) {
	o := newOperated(t)
	o.credential("service", "service", 6*time.Second)
	s := program.Serve(t, o.as("service")...)
	s.AwaitLog("nats refuses the login, retrying")
	s.AwaitLog("expired")
	o.credential("service", "service", time.Hour)
	s.AwaitLog("reconnected to nats")
}
