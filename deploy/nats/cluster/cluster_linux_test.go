package cluster_test

import (
	"strings"
	"testing"
	"time"

	"rollcall/deploy/internal/program"
	"rollcall/internal/test/kit"
)

// How long clients may be without an answer: far more than the README says, as the computer that
// runs the tests may be busy. A server that hangs is noticed after 24 s at most.
const (
	patient = 10 * time.Second
	hanging = 40 * time.Second
)

// TestCluster: who follows README.md has a cluster of three servers. While 1,000 events a second
// are published, all servers are restarted one after the other, the stream's leader is killed, a
// server is down for a while, and another one is gone for good and is replaced. Nothing that was
// acknowledged is missing, the watch ends with the true state, and nobody is without an answer for
// long. At full length this is repeated, and each server hangs for a while.
func TestCluster(t *testing.T) {
	w := newWorld(t)
	for _, section := range []string{"Certificates", "Accounts", "Servers", "In sync?", "Streams"} {
		w.follow(section)
	}
	w.serve()
	w.watch()
	w.widen()
	l := newLoad(w)
	m := newMeter(w, l)
	<-time.After(3 * time.Second) // until all are connected
	m.during("undisturbed", patient, func() { <-time.After(5 * time.Second) })
	for range kit.Length(1, 3) {
		m.during("all servers upgraded, one after the other", patient, func() { w.follow("Upgrade") })
	}
	m.during("accounts loaded", patient, func() { w.followLater("Servers") })
	for range kit.Length(1, 5) {
		m.during("the stream's leader is killed", patient, func() {
			w.servers[w.leader(m.admin)].Run("systemctl", "kill", "--signal=KILL", "nats-server")
			w.follow("In sync?")
		})
	}
	for range kit.Length(1, 2) {
		m.during("the stream's leader is down for a while", patient, func() {
			away := w.servers[w.leader(m.admin)]
			away.Cut()
			<-time.After(time.Duration(kit.Length(10, 120)) * time.Second)
			away.Boot()
			w.follow("In sync?")
		})
	}
	for n := range kit.Length(0, len(hosts)) {
		m.during("a server hangs", hanging, func() {
			hangs := w.servers[hosts[n]]
			hangs.Run("systemctl", "kill", "--signal=STOP", "nats-server")
			<-time.After(time.Minute)
			hangs.Run("systemctl", "kill", "--signal=CONT", "nats-server")
			w.follow("In sync?")
		})
	}
	m.during("the service is restarted", hanging, func() {
		w.operator.Run("systemctl", "stop", "rollcall")
		w.serve()
	})
	m.during("a server is gone", patient, w.replace)

	for host, server := range w.servers {
		if out, _ := server.Try("bash", "-c", "journalctl --unit=nats-server | grep 'route handshake error.*certificate' | tail -n 3"); out != "" {
			t.Errorf("%s does not accept another server's certificate:\n%s", host, out)
		}
	}
	l.stop()
	last := info(t.Context(), m.admin).last
	l.wantStored(m.admin, last)
	l.wantRoster(w, last)
	t.Logf("%d events were acknowledged, %d are stored; the service complained %v", len(l.acked), last, w.complaints())
}

// widen gives streams of one replica three, as the README says.
func (w *world) widen() {
	w.t.Helper()
	w.run(`set -a; . enrolled/admin/nats.env
		for stream in ROLLCALL_EVENTS ROLLCALL_REPORTS ROLLCALL_DEADLETTERS; do
			nats --inbox-prefix $NATS_INBOX_PREFIX stream edit $stream --replicas 1 --force
		done`)
	w.followLater("Streams")
}

// replace loses the disk of a server, and follows what the README says of that. The name that the
// new one has stays when it is installed again.
func (w *world) replace() {
	w.t.Helper()
	lost := w.servers["nats3"]
	lost.Run("systemctl", "disable", "--quiet", "nats-server")
	lost.Cut()
	lost.Boot()
	lost.Run("bash", "-euc", "rm -r /etc/nats /var/lib/nats /usr/local/bin/nats-server /etc/systemd/system/nats-server.service*")
	w.follow("A server is gone")
	w.run("deploy/nats/cluster/install nats3")
	report := w.run("set -a; . enrolled/sys/ops/nats.env; nats server report jetstream")
	if !strings.Contains(report, " nats3b ") || strings.Contains(report, " nats3 ") {
		w.t.Errorf("the servers are\n%s", report)
	}
	if name := lost.Run("cat", "/etc/nats/name.conf"); !strings.HasPrefix(name, "server_name: \"nats3b\"\n") {
		w.t.Errorf("installed again it has %s", name)
	}
	program.Eventually(w.t, "the streams have their third replica", func() bool {
		return strings.Count(w.run("set -a; . enrolled/admin/nats.env; nats --inbox-prefix $NATS_INBOX_PREFIX stream report"), "nats3b") == 3
	})
}
