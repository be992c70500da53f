package cluster_test

import (
	"strings"
	"testing"
	"time"

	"rollcall/deploy/internal/program"
	"rollcall/internal/test/kit"
)

// hanging is how long clients may be without an answer while a server hangs: that is noticed
// after 24 s at most.
const hanging = 40 * time.Second

// TestCluster: who follows README.md has a cluster of three servers, and two services that stand
// by for each other. While 1,000 events a second are published, all servers and both services are
// restarted one after the other, the leader of the lease is killed, and a server is gone for good
// and is replaced. Nothing that was acknowledged is missing, the watch ends with the true state, no
// answer goes back or contradicts the events, and nobody is without an answer for longer than a
// take-over takes. At full length this is repeated, the leader of the events and the active service
// are killed, a server is cut from power, and each server hangs for a while.
func TestCluster(t *testing.T) {
	w := newWorld(t)
	for _, section := range []string{"Certificates", "Accounts", "Servers", "In sync?", "Streams"} {
		w.follow(section)
	}
	// So that there is something to hand over to the second service.
	w.run("set -a; . enrolled/admin/nats.env; rollcall publish --login u0 --machine m1")
	w.follow("Services")
	w.active()
	w.watch()
	w.widen()
	l := newLoad(w)
	m := newMeter(w, l)
	m.during("undisturbed", takeOver, func() { <-time.After(time.Duration(kit.Length(1, 5)) * time.Second) })
	for range kit.Length(1, 2) {
		m.during("all servers upgraded, one after the other", takeOver, func() { w.follow("Upgrade") })
		m.during("both services upgraded, one after the other", takeOver, func() { w.followLater("Services") })
	}
	m.during("accounts loaded", takeOver, func() { w.followLater("Servers") })
	for range kit.Length(1, 4) {
		m.kill(lease)
	}
	for range kit.Length(0, 2) {
		m.kill(events)
	}
	for range kit.Length(0, 3) {
		m.during("the active service is killed", takeOver, func() {
			active, _ := w.active()
			active.Run("systemctl", "kill", "--signal=KILL", "rollcall")
			w.active()
		})
	}
	for range kit.Length(0, 1) {
		m.during("the stream's leader is cut from power for half a minute", takeOver, func() {
			away := w.leader(m.admin, events)
			away.Cut()
			<-time.After(30 * time.Second)
			away.Boot()
			w.follow("In sync?")
		})
	}
	for n := range kit.Length(0, len(hosts)) {
		m.during("a server hangs for 40 seconds", hanging, func() {
			hangs := w.machines[hosts[n]]
			hangs.Run("systemctl", "kill", "--signal=STOP", "nats-server")
			<-time.After(40 * time.Second)
			hangs.Run("systemctl", "kill", "--signal=CONT", "nats-server")
			w.follow("In sync?")
		})
	}
	m.during("a server is gone", takeOver, w.replace)

	for _, host := range hosts {
		if out, _ := w.machines[host].Try("bash", "-c", "journalctl --unit=nats-server | grep 'route handshake error.*certificate' | tail -n 3"); out != "" {
			t.Errorf("%s does not accept another server's certificate:\n%s", host, out)
		}
	}
	l.stop()
	last := info(t.Context(), m.admin, events).last
	stored := l.wantStored(m.admin, last)
	l.wantRoster(w, last)
	m.questions.wantTrue(stored)
	t.Logf("%d events were acknowledged, %d are stored; the services complained %v", len(l.acked), last, w.complaints())
}

// kill kills the server that leads a stream.
func (m *meter) kill(stream string) {
	m.w.t.Helper()
	leads, what := m.w.leader(m.admin, stream), "the leader of "+stream+" is killed"
	for _, other := range []string{events, lease} {
		if other != stream && m.w.leader(m.admin, other) == leads {
			what += ", which leads " + other + ", too"
		}
	}
	m.during(what, takeOver, func() {
		leads.Run("systemctl", "kill", "--signal=KILL", "nats-server")
		m.w.follow("In sync?")
	})
}

// widen gives streams of one replica three, as the README says.
func (w *world) widen() {
	w.t.Helper()
	w.run(`set -a; . enrolled/admin/nats.env
		for stream in ROLLCALL_EVENTS ROLLCALL_REPORTS ROLLCALL_DEADLETTERS; do
			nats --inbox-prefix $NATS_INBOX_PREFIX stream edit $stream --replicas 1 --force
		done
		nats --inbox-prefix $NATS_INBOX_PREFIX kv edit ROLLCALL_LEASE --replicas 1
		nats --inbox-prefix $NATS_INBOX_PREFIX object edit ROLLCALL_HANDOVER --replicas 1 ||
			nats --inbox-prefix $NATS_INBOX_PREFIX object add ROLLCALL_HANDOVER --replicas 1`) // nothing was handed over
	w.followLater("Streams")
}

// replace loses the disk of a server, and follows what the README says of that. The name that the
// new one has stays when it is installed again.
func (w *world) replace() {
	w.t.Helper()
	lost := w.machines["nats3"]
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
		return strings.Count(w.run("set -a; . enrolled/admin/nats.env; nats --inbox-prefix $NATS_INBOX_PREFIX stream report"), "nats3b") == 5
	})
}
