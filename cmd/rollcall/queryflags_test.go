package main

import (
	"encoding/json"
	"regexp"
	"testing"
	"time"

	"rollcall/internal/api"
	"rollcall/internal/test/kit"
)

// TestStatusOfAService: the answer has the snapshot, the reader and the roster of the
// service.
func TestStatusOfAService(t *testing.T) {
	p := serve(t, t.TempDir())
	if got := p.tool("", "publish", seedFile); got.code != exitDone {
		t.Fatalf("publish: %+v", got)
	}
	digest := p.digest(6)
	got := p.tool("", "status", "--output", "json")
	var status api.StatusAnswer
	if err := json.Unmarshal([]byte(got.out), &status); err != nil {
		t.Fatalf("%v: %+v", err, got)
	}
	if s := status.Snapshot; s == nil || s.StateDigest != digest || s.Place != 6 || s.Size == 0 || s.Written.IsZero() {
		t.Errorf("snapshot %+v, want one of place 6 with digest %s", s, digest)
	}
	if status.Place != 6 || !status.CaughtUp || status.Lag == nil || *status.Lag != 0 || len(status.Failing) != 0 || status.Machines != 3 || status.Users != 1 || status.Version == "" {
		t.Errorf("got %s", got.out)
	}
}

// TestSilenceOfAService: a silent machine is marked in the gauge, in answers and in
// reports; its users stay.
func TestSilenceOfAService(t *testing.T) {
	p := serve(t, t.TempDir(), "ROLLCALL_SILENT_AFTER=1s")
	reports, err := p.connect().SubscribeSync("rollcall.reports")
	if err != nil {
		t.Fatal(err)
	}
	if got := p.tool("", "publish", seedFile); got.code != exitDone {
		t.Fatalf("publish: %+v", got)
	}
	kit.Eventually(t, func() bool { return p.metric("rollcall_machines_silent") == "3" }, "three machines are silent")
	silent := regexp.MustCompile(`^webserver\.local: silent, last heard .*; these are the last known:\n$`)
	if got := p.tool("", "who", "webserver.local", "--utc"); !silent.MatchString(got.err) || got.out != "lane\twebserver.local\t2020-01-21T18:53:21Z\t\t\t\t\ttrue\tfalse\n" {
		t.Errorf("who: %+v", got)
	}
	for {
		msg, err := reports.NextMsg(30 * time.Second)
		if err != nil {
			t.Fatalf("no report has silent machines: %v", err)
		}
		if silent := regexp.MustCompile(`"silent":true,"changed":"[^"]+","users":\["lane"\]`); silent.Match(msg.Data) {
			return
		}
	}
}

// TestEmptyNames: an empty name is refused. A script whose variable is not set would else
// be told of all machines.
func TestEmptyNames(t *testing.T) {
	kit.Environment(t, map[string]string{"NATS_URL": "nats://127.0.0.1:1"})
	for _, args := range [][]string{
		{"who", ""},
		{"who", "--user", ""},
		{"who", "--user="},
		{"who", "-m", ""},
		{"where", ""},
		{"report", ""},
		{"history", ""},
		{"history", "--machine", ""},
		{"watch", ""},
		{"deadletters", "--machine="},
	} {
		rollcall(t.Context(), nil, args...).check(t, exitUsage, "", "is empty: give a value, or leave it out")
	}
}
