package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/internal/api"
	"rollcall/internal/client"
	"rollcall/internal/report"
	"rollcall/internal/test/kit"
)

// BenchmarkFirstLine asks about 100,000 machines with five users each: how long after the
// service's answer, which is measured beside it over a connection that stands, does a
// command print its first line? It starts a process and connects meanwhile.
func BenchmarkFirstLine(b *testing.B) {
	r := kit.NewFleet(1, kit.Five, kit.Scale(500_000)).Roster()
	url := answeringAt(b, report.Source{Roster: r, Stream: "EVENTS", CaughtUp: func() bool { return true }}).URL
	nc := kit.Conn(b, url)
	machine := ""
	for v := range r.Machines("") {
		machine = v.Name()
		break
	}
	for _, q := range []struct {
		args, endpoint string
		request        any
	}{
		{"report", "report", api.ReportRequest{}},
		{"who", "sessions", api.SessionsRequest{}},
		{"who " + machine, "machine", api.MachineRequest{Machine: machine}},
		{"report --longest 20", "report", api.ReportRequest{Longest: new(uint32(20))}},
	} {
		b.Run(strings.ReplaceAll(q.args, machine, "MACHINE"), func(b *testing.B) {
			var answers, lines time.Duration
			for b.Loop() {
				begin := time.Now()
				if _, err := client.One(b.Context(), nc, "rollcall.query."+q.endpoint, q.request); err != nil {
					b.Fatal(err)
				}
				answers += time.Since(begin)
				lines += firstLine(b, strings.Fields(q.args))
			}
			ms := func(d time.Duration) float64 { return float64(d.Milliseconds()) / float64(b.N) }
			b.ReportMetric(ms(answers), "answer-ms")
			b.ReportMetric(ms(lines), "line-ms")
			b.ReportMetric(ms(lines-answers), "later-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// firstLine runs the tool, and returns after how long it has printed its first line.
func firstLine(b *testing.B, args []string) time.Duration {
	b.Helper()
	command := exec.CommandContext(b.Context(), filepath.Join(binary, "rollcall"), args...)
	command.Env = os.Environ()
	out, err := command.StdoutPipe()
	begin := time.Now()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		b.Fatal(err)
	}
	took := time.Since(begin)
	_ = command.Process.Kill() // the rest is not wanted
	_ = command.Wait()
	return took
}
