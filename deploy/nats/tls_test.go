package nats_test

import (
	"fmt"
	"strings"
	"testing"

	"rollcall/deploy/internal/program"
)

// TestWrongAuthority: a server certificate signed by another authority is refused at once,
// with the remedy.
func TestWrongAuthority(t *testing.T) {
	w := newWorld(t)
	w.write("ca.pem", newAuthority(t).pem)
	variables := append(w.user("service"), "ROLLCALL_DATA_DIR="+t.TempDir(), "ROLLCALL_HTTP_ADDR=127.0.0.1:0")
	for _, name := range []string{"serve", "report"} {
		out, err := command(t, variables, name)
		if fmt.Sprint(err) != "exit status 78" || !strings.Contains(out, "certificate signed by unknown authority") ||
			!strings.Contains(out, "set NATS_CA to the file of the authority that signed the server's certificate") {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}

// TestRotatedCertificate: a renewed certificate is accepted, and one of another authority
// as soon as the clients' file trusts it, without a restart.
func TestRotatedCertificate(t *testing.T) {
	w := newWorld(t)
	s := program.Serve(t, w.user("service")...)
	w.certify(w.ca)
	w.reload()
	w.disconnect()
	s.AwaitLog("reconnected to nats")
	w.publish("web1", "--login", "lane", "--machine", "web1")
	w.awaitReport("web1: lane")

	other := newAuthority(t)
	w.certify(other)
	w.reload()
	w.disconnect()
	s.AwaitLog("nats server certificate is not accepted, retrying")
	s.AwaitLog("certificate signed by unknown authority")
	if got := s.Get("/readyz?verbose"); !strings.Contains(got, "[-] nats: RECONNECTING: ") {
		t.Error(got)
	}
	w.write("ca.pem", w.ca.pem+other.pem)
	w.publish("web1", "--login", "ada", "--machine", "web1")
	w.awaitReport("web1: ada, lane")
}

// disconnect closes all client connections, as a restart would.
func (w *world) disconnect() {
	w.t.Helper()
	connections, err := w.server.Connz(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range connections.Conns {
		if err := w.server.DisconnectClientByID(c.Cid); err != nil {
			w.t.Fatal(err)
		}
	}
}

// awaitReport waits until the report is as wanted.
func (w *world) awaitReport(want string) {
	w.t.Helper()
	program.Eventually(w.t, want, func() bool {
		out, err := w.rollcall("reader", "report")
		lines, _, _ := strings.Cut(out, fmt.Sprintf("%d of ", strings.Count(want, "\n")+1)) // and how many are on
		return err == nil && lines == want+"\n"
	})
}

// TestRevokedMachine: a machine that was removed is refused after the next reload, with the
// reason.
func TestRevokedMachine(t *testing.T) {
	w := newWorld(t)
	w.publish("web1", "--login", "lane", "--machine", "web1")
	user := w.user("web1")
	w.tool("mv", w.path("keys/web1.machine"), w.path("web1.nk"))
	user[2] = "NATS_NKEY=" + w.path("web1.nk")
	w.addMachine()
	w.reload()
	out, err := command(t, user, "publish", "--logout", "lane", "--machine", "web1")
	if fmt.Sprint(err) != "exit status 78" || !strings.Contains(out, "refuses NATS_NKEY") || !strings.Contains(out, "Authorization Violation") {
		t.Errorf("%v: %s", err, out)
	}
	w.publish("web.example.com", "--login", "lane", "--machine", "web.example.com")
}
