package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	"rollcall/internal/wire"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// served is the stream of BenchmarkService.
var served = history{"served", wire.AppendProtobuf, kit.Scale(500_000), kit.Scale(2_000_000)}

// BenchmarkService runs "rollcall serve" with and without a history: until it has read
// the stream, writing a snapshot every second; and, once the history has caught up, again
// with the default interval, while it receives 1,000 events a second.
func BenchmarkService(b *testing.B) {
	for name, kept := range map[string]string{"history": "8784h", "none": "0"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				url := startServer(b, served.name)
				served.store(b, url)
				replayFor(b, url, b.TempDir(), kept)
			}
		})
	}
}

func replayFor(b *testing.B, url, data, kept string) {
	path, web := program(b, "rollcall", "rollcall/cmd/rollcall"), kit.FreeAddress(b)
	serve := func(interval string) (cmd *exec.Cmd, stop func()) {
		cmd = exec.Command(path, "serve")
		cmd.Env = []string{
			"NATS_URL=" + url, "ROLLCALL_DATA_DIR=" + data, "ROLLCALL_HTTP_ADDR=" + web,
			"ROLLCALL_HISTORY=" + kept, "ROLLCALL_SNAPSHOT_INTERVAL=" + interval,
		}
		stop = startProcess(b, cmd)
		awaitReady(b, "http://"+web+"/readyz")
		return cmd, stop
	}
	start := time.Now()
	_, stop := serve("1s")
	b.ReportMetric(time.Since(start).Seconds(), "s-to-ready")
	b.ReportMetric(metric(b, web, "rollcall_snapshot_duration_seconds_count"), "snapshots")
	start = time.Now()
	for kept != "0" && metric(b, web, "rollcall_history_behind") != 0 {
		time.Sleep(100 * time.Millisecond)
	}
	b.ReportMetric(time.Since(start).Seconds(), "s-behind")
	stop()
	cmd, stop := serve("30s")
	b.ReportMetric(cpuOf(b, cmd.Process.Pid, url), "cpu-%")
	stop()
}

// cpuOf returns the share of a core that a process uses while it receives 1,000 events a
// second for four minutes, in percent: the history writes once a minute.
func cpuOf(b *testing.B, pid int, url string) float64 {
	js := kit.JetStream(b, kit.Conn(b, url))
	f := kit.NewFleet(1, kit.Mixed, served.pairs)
	var m roster.Message
	for range served.events {
		f.Next(&m)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	publish := func(seconds int) {
		for range kit.Scale(seconds*10_000) / 100 {
			for range 10 {
				f.Next(&m)
				if _, err := js.PublishAsync(subjects.EventsOf(m.Event.Machine), served.encode(nil, &m.Event)); err != nil {
					b.Fatal(err)
				}
			}
			<-tick.C
		}
	}
	publish(120) // by then it remembers what it needs
	before, start := ticks(b, pid), time.Now()
	publish(240)
	used := (ticks(b, pid) - before) / time.Since(start).Seconds()
	if err := js.DeleteStream(b.Context(), rollcallv1.DefaultEventsStream); err != nil { // it has more than it began with
		b.Fatal(err)
	}
	return used
}

// ticks returns how much time of cores a process has used, in hundredths of a second.
func ticks(b *testing.B, pid int) float64 {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	sum := 0.0
	for _, f := range fields[11:13] { // utime and stime
		n, err := strconv.ParseFloat(string(f), 64)
		if err != nil {
			b.Fatal(err)
		}
		sum += n
	}
	return sum
}

// metric returns a metric without labels.
func metric(b *testing.B, web, name string) float64 {
	answer, err := http.Get("http://" + web + "/metrics")
	if err != nil {
		b.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		b.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindSubmatch(text)
	if found == nil {
		b.Fatalf("no metric %s", name)
	}
	n, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}
