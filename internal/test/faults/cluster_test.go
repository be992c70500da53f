package faults

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/natsconn"
	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

var clusters = flag.Int("faults.clusters", kit.Length(1, 3), "how often TestCluster has the leader step down and kills a server")

// TestCluster: in a cluster of three servers, with a stream of three replicas that
// rollcall has created, leaders step down and servers are killed and restarted while
// events are published with acks. Everything acknowledged is in the roster, and a
// deposed leader's answer is not mistaken for another incarnation.
func TestCluster(t *testing.T) {
	kit.Long(t)
	t.Parallel()
	rng := random(t)
	cluster, urls := startCluster(t)
	dir := t.TempDir()
	const replicas = "ROLLCALL_STREAM_REPLICAS=3"
	p := serve(t, dir, urls, replicas)
	p.awaitLog("ready", "place")
	nc := kit.Conn(t, urls, nats.Timeout(time.Second))
	awaitReplicas(t, nc)
	a := publishAcked(t, rng, urls)
	for range *clusters {
		stepDown(t, nc)
		<-upTo(rng, 500*time.Millisecond)
		victim := cluster[rng.IntN(len(cluster))]
		victim.kill()
		<-upTo(rng, 1500*time.Millisecond)
		victim.start()
		awaitReplicas(t, nc)
	}
	acks := a.stop()
	if len(acks) == 0 {
		t.Error("nothing was acknowledged")
	}
	awaitReplicas(t, nc)
	a.wantStored(acks)
	wantUndisturbed(t, p, urls)
}

// startCluster starts a cluster of three servers and returns them and their URLs.
func startCluster(t *testing.T) ([]*server, string) {
	t.Helper()
	return startClusterIn(t, "", make([]string, 3))
}

// startClusterIn is startCluster in a JetStream domain, with more configuration of each server.
func startClusterIn(t *testing.T, domain string, more []string) ([]*server, string) {
	t.Helper()
	var routes []string
	for range 3 {
		routes = append(routes, fmt.Sprintf("127.0.0.1:%d", kit.FreePort(t)))
	}
	var cluster []*server
	var urls []string
	for i, listen := range routes {
		s := newServerIn(t, domain, fmt.Sprintf("server_name: n%d\ncluster { name: c, listen: %q, routes: [%s] }",
			i, listen, "nats://"+strings.Join(routes, ", nats://")), more[i])
		s.start()
		cluster, urls = append(cluster, s), append(urls, s.url)
	}
	return cluster, strings.Join(urls, ",")
}

// awaitReplicas waits until the stream of events has a leader and all its replicas are
// online and current.
func awaitReplicas(t *testing.T, nc *nats.Conn) {
	t.Helper()
	js := kit.JetStream(t, nc)
	kit.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		stream, err := js.Stream(ctx, rollcallv1.DefaultEventsStream)
		return err == nil && healthy(stream.CachedInfo().Cluster)
	}, "the stream has three current replicas")
}

func healthy(c *jetstream.ClusterInfo) bool {
	if c == nil || c.Leader == "" || len(c.Replicas) != 2 {
		return false
	}
	for _, r := range c.Replicas {
		if r.Offline || !r.Current {
			return false
		}
	}
	return true
}

// stepDown makes the leader of the stream of events step down.
func stepDown(t *testing.T, nc *nats.Conn) {
	t.Helper()
	kit.Eventually(t, func() bool {
		reply, err := nc.Request("$JS.API.STREAM.LEADER.STEPDOWN."+rollcallv1.DefaultEventsStream, nil, 2*time.Second)
		return err == nil && strings.Contains(string(reply.Data), `"success":true`)
	}, "the leader has stepped down")
}

// TestLeaseOfACluster: the buckets of services that stand by for each other have as many
// replicas as the stream of events, which somebody else has made, whatever the services'
// settings say.
func TestLeaseOfACluster(t *testing.T) {
	t.Parallel()
	cluster, urls := startCluster(t)
	js := kit.JetStream(t, kit.Conn(t, urls))
	prepareStreams(t, js, 3)
	kit.PublishLogins(t, js, 1) // or there is nothing to hand over
	standby := []string{"ROLLCALL_STANDBY=true", "ROLLCALL_STANDBY_TTL=4s"}
	first := serve(t, t.TempDir(), cluster[0].url, standby...)
	first.awaitLog("ready", "place")
	kit.Eventually(t, func() bool { return first.metric("rollcall_active") == 1 }, "the first is active")
	second := serve(t, t.TempDir(), cluster[1].url, standby...)
	second.awaitLog("begins with what the active rollcall handed over", "place")
	for _, name := range []string{"KV_ROLLCALL_LEASE", "OBJ_ROLLCALL_HANDOVER"} {
		stream, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if got := stream.CachedInfo().Config.Replicas; got != 3 {
			t.Errorf("%s has %d replicas, want 3", name, got)
		}
	}
}

// TestUnreachableStream: a stream whose only server is down is not missing, so nothing is
// said of lost messages and nothing is recreated.
func TestUnreachableStream(t *testing.T) {
	t.Parallel()
	cluster, urls := startCluster(t)
	js := kit.JetStream(t, kit.Conn(t, urls))
	streams := prepareStreams(t, js, 1)
	stream, err := js.Stream(t.Context(), streams.Reports)
	if err != nil {
		t.Fatal(err)
	}
	host := stream.CachedInfo().Cluster.Leader
	for i, s := range cluster {
		if host == fmt.Sprintf("n%d", i) {
			s.kill()
		}
	}
	// For a moment the others may have no leader to ask.
	kit.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := js.Stream(ctx, streams.Reports)
		return errors.Is(err, nats.ErrNoResponders) || err != nil && ctx.Err() != nil
	}, "the stream does not answer")
	var missing map[string]bool
	kit.Eventually(t, func() bool {
		missing, err = streams.Missing(t.Context(), js)
		return err == nil
	}, "the names of the streams are known")
	if len(missing) > 0 {
		t.Errorf("missing: %v, want none", missing)
	}
}

// prepareStreams creates rollcall's streams.
func prepareStreams(t *testing.T, js jetstream.JetStream, replicas int) natsconn.Streams {
	t.Helper()
	subjects, err := rollcallv1.NewSubjects(rollcallv1.DefaultSubject)
	if err != nil {
		t.Fatal(err)
	}
	streams := natsconn.Streams{
		Subjects: subjects, Events: rollcallv1.DefaultEventsStream, Reports: rollcallv1.DefaultReportsStream,
		DeadLetters: rollcallv1.DefaultDeadLettersStream, Replicas: replicas,
	}
	if _, err := natsconn.Prepare(t.Context(), js, streams, kit.Logger(t)); err != nil {
		t.Fatal(err)
	}
	return streams
}
