package main

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"rollcall/internal/api"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// BenchmarkPast asks "rollcall serve" about random moments of a stream of 1 M events of
// 10,000 machines: who was on anywhere, all pages, twice; and for all sessions of a user.
// If BENCH_ROLLCALL is set, it is the path of the program to run, for comparing versions.
func BenchmarkPast(b *testing.B) {
	url := startServer(b, fewProtobuf.name)
	fewProtobuf.store(b, url)
	path, web := os.Getenv("BENCH_ROLLCALL"), kit.FreeAddress(b)
	if path == "" {
		path = program(b, "rollcall", "rollcall/cmd/rollcall")
	}
	cmd := exec.Command(path, "serve")
	cmd.Env = []string{"NATS_URL=" + url, "ROLLCALL_DATA_DIR=" + b.TempDir(), "ROLLCALL_HTTP_ADDR=" + web, "ROLLCALL_HISTORY=100000h"}
	startProcess(b, cmd)
	awaitReady(b, "http://"+web+"/readyz")
	nc := kit.Conn(b, url)
	f := kit.NewFleet(1, kit.Mixed, fewProtobuf.pairs)
	var begin roster.Time
	var users []string
	var m roster.Message
	for i := range f.Pairs() {
		f.Next(&m)
		if i == 0 {
			begin = m.Receipt
		}
		users = append(users, m.Event.Session.User)
	}
	random := rand.New(rand.NewPCG(6, 0))
	at := func() string {
		// By a third of the stream all had logged in.
		n := fewProtobuf.events/3 + random.IntN(fewProtobuf.events*2/3)
		return begin.Add(time.Duration(n) * time.Second).String()
	}
	askAll(b, nc, "report", api.ReportRequest{Moment: api.Moment{At: at()}}) // by then it has what it reads
	var first, again, history []time.Duration
	machines, pages := 0, 0
	for b.Loop() {
		report := api.ReportRequest{Moment: api.Moment{At: at()}}
		for _, took := range []*[]time.Duration{&first, &again} {
			start := time.Now()
			answers := askAll(b, nc, "report", report)
			*took = append(*took, time.Since(start))
			machines, pages = 0, len(answers)
			for _, answer := range answers {
				var a struct{ Machines []json.RawMessage }
				if err := json.Unmarshal(answer, &a); err != nil {
					b.Fatal(err)
				}
				machines += len(a.Machines)
			}
		}
		start := time.Now()
		askAll(b, nc, "history", api.HistoryRequest{User: users[random.IntN(len(users))]})
		history = append(history, time.Since(start))
	}
	for name, took := range map[string][]time.Duration{"first-ms": first, "again-ms": again, "user-history-ms": history} {
		slices.Sort(took)
		b.ReportMetric(took[len(took)/2].Seconds()*1000, name)
	}
	b.ReportMetric(float64(machines), "machines")
	b.ReportMetric(float64(pages), "pages")
}

// askAll returns all pages of an answer.
func askAll(b *testing.B, nc *nats.Conn, endpoint string, question any) (pages [][]byte) {
	b.Helper()
	request, err := json.Marshal(question)
	if err != nil {
		b.Fatal(err)
	}
	var with map[string]any
	if err := json.Unmarshal(request, &with); err != nil {
		b.Fatal(err)
	}
	for {
		if request, err = json.Marshal(with); err != nil {
			b.Fatal(err)
		}
		answer, err := nc.Request(subjects.Query(endpoint), request, 30*time.Second)
		if err != nil || answer.Header.Get(micro.ErrorHeader) != "" {
			b.Fatalf("asking %s: %v %v", request, err, answer)
		}
		pages = append(pages, answer.Data)
		found := cursor.FindSubmatch(answer.Data)
		if found == nil {
			return pages
		}
		with["cursor"] = string(found[1])
	}
}

// cursor is that of an answer.
var cursor = regexp.MustCompile(`"cursor":"([^"]*)"`)
