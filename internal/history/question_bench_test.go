package history_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/api"
	"rollcall/internal/history"
	"rollcall/internal/query"
	"rollcall/internal/report"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// BenchmarkQuestion asks the service the same questions about now and about random moments of a
// year: with 100,000 and with 10 M stays on 100,000 machines; and with 100,000 on 1,000, which are as
// many on each as 10 M on 100,000.
func BenchmarkQuestion(b *testing.B) {
	for _, year := range []struct{ stays, machines int }{{100_000, 1_000}, {100_000, 100_000}, {10_000_000, 100_000}} {
		b.Run(fmt.Sprintf("%d/%d", year.stays, year.machines), func(b *testing.B) {
			questions(b, kit.Scale(year.stays), kit.Scale(year.machines))
		})
	}
}

// questions asks a service with so many stays of a year on so many machines.
func questions(b *testing.B, stays, machines int) {
	nc, random := serveYear(b, stays, machines)
	five, fifty := uint32(5), uint32(50) // five are on a machine now
	for _, q := range []struct {
		name, endpoint string
		request        func() any
	}{
		{"machine-now", "machine", func() any { return api.MachineRequest{Machine: random.machine()} }},
		{"machine-at", "machine", func() any { return api.MachineRequest{Machine: random.machine(), Moment: random.moment()} }},
		{"machine-history", "history", func() any { return api.HistoryRequest{Machine: random.machine(), Limit: &five} }},
		{"machine-newest", "history", func() any { return api.HistoryRequest{Machine: random.machine(), Limit: &fifty} }},
		{"user-now", "user", func() any { return api.UserRequest{User: random.user()} }},
		{"user-at", "user", func() any { return api.UserRequest{User: random.user(), Moment: random.moment()} }},
		{"user-history", "history", func() any { return api.HistoryRequest{User: random.user(), Limit: &five} }},
		{"user-newest", "history", func() any { return api.HistoryRequest{User: random.user(), Limit: &fifty} }},
	} {
		b.Run(q.name, func(b *testing.B) {
			var took []time.Duration
			size := 0
			for b.Loop() {
				request, err := json.Marshal(q.request())
				if err != nil {
					b.Fatal(err)
				}
				start := time.Now()
				answer, err := nc.Request("rollcall.query."+q.endpoint, request, 10*time.Second)
				took = append(took, time.Since(start))
				if err != nil || answer.Header.Get(micro.ErrorHeader) != "" {
					b.Fatalf("asking %s: %v %v", request, err, answer)
				}
				size += len(answer.Data)
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1000, "p50-µs")
			b.ReportMetric(float64(size)/float64(b.N), "B/answer")
		})
	}
}

// drawn draws from names.
type drawn struct {
	*rand.Rand
	machines, users []string
}

func (d *drawn) machine() string { return d.machines[d.IntN(len(d.machines))] }
func (d *drawn) user() string    { return d.users[d.IntN(len(d.users))] }

// moment returns a moment of the year.
func (d *drawn) moment() api.Moment {
	return api.Moment{At: history.NewYear.Add(-time.Duration(d.Int64N(int64(365 * 24 * time.Hour)))).String()}
}

// serveYear answers questions from a history of n stays of a year on so many machines, until the
// benchmark ends.
func serveYear(b *testing.B, n, of int) (*nats.Conn, *drawn) {
	b.Helper()
	dir, machines, users, pairs := history.YearOfStays(b, n, of)
	r := roster.New(roster.DefaultSettings())
	kit.NewFleet(1, kit.Five, pairs).Fold(r, pairs)
	return serve(b, dir, r), &drawn{rand.New(rand.NewPCG(3, 0)), machines, users}
}

// serve answers questions from a history and a roster, until the benchmark ends.
func serve(b *testing.B, dir string, r *roster.Roster) *nats.Conn {
	b.Helper()
	h := history.Open(history.Config{
		Dir: dir, Roster: r, Keep: 1 << 62, MaxBytes: 1 << 40, Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(),
		CaughtUp: func() bool { return true },
	})
	b.Cleanup(h.Close)
	subjects, err := rollcallv1.NewSubjects(rollcallv1.DefaultSubject)
	if err != nil {
		b.Fatal(err)
	}
	url := kit.StartServer(b).URL
	kit.Run(b, query.New(query.Config{
		Source: report.Source{Roster: r, Stream: rollcallv1.DefaultEventsStream, CaughtUp: func() bool { return true }},
		Conn:   kit.Conn(b, url), Subjects: subjects, Log: slog.New(slog.DiscardHandler), History: h,
	}).Run)
	nc := kit.Conn(b, url)
	kit.Eventually(b, func() bool {
		_, err := nc.Request(subjects.Query("status"), nil, time.Minute)
		return !errors.Is(err, nats.ErrNoResponders)
	}, "the service answers")
	return nc
}

// BenchmarkFleetPages asks for all pages of who was on anywhere at random moments, each
// twice: of streams of 1 M events of so many pairs of a user and a machine.
func BenchmarkFleetPages(b *testing.B) {
	for _, pairs := range []int{20_000, 200_000} {
		b.Run(strconv.Itoa(pairs), func(b *testing.B) { fleetPages(b, kit.Scale(pairs), kit.Scale(1_000_000)) })
	}
}

func fleetPages(b *testing.B, pairs, events int) {
	r := roster.New(roster.DefaultSettings())
	kit.NewFleet(1, kit.Mixed, pairs).Fold(r, events)
	nc := serve(b, history.OfStream(b, kit.NewFleet(1, kit.Mixed, pairs), events), r)
	random := rand.New(rand.NewPCG(5, 0))
	var first, again []time.Duration
	users := 0
	for b.Loop() {
		// By a third of the stream all had logged in.
		at := history.NewYear.Add(time.Duration(events/3+random.IntN(events*2/3)) * time.Second).String()
		for _, took := range []*[]time.Duration{&first, &again} {
			asked, n := askForAll(b, nc, at)
			*took, users = append(*took, asked), n
		}
	}
	slices.Sort(first)
	slices.Sort(again)
	b.ReportMetric(float64(users), "users")
	b.ReportMetric(first[len(first)/2].Seconds()*1000, "first-ms")
	b.ReportMetric(again[len(again)/2].Seconds()*1000, "again-ms")
}

// askForAll asks for all pages of a report, and returns how many users on machines they
// have. It only looks for the cursor while time is taken.
func askForAll(b *testing.B, nc *nats.Conn, at string) (took time.Duration, users int) {
	b.Helper()
	q := api.ReportRequest{Moment: api.Moment{At: at}}
	var pages [][]byte
	start := time.Now()
	for more := true; more; more = q.Cursor != "" {
		request, err := json.Marshal(&q)
		if err != nil {
			b.Fatal(err)
		}
		answer, err := nc.Request("rollcall.query.report", request, 10*time.Second)
		if err != nil || answer.Header.Get(micro.ErrorHeader) != "" {
			b.Fatalf("asking %s: %v %v", request, err, answer)
		}
		pages = append(pages, answer.Data)
		q.Cursor = ""
		if found := cursor.FindSubmatch(answer.Data); found != nil {
			q.Cursor = string(found[1])
		}
	}
	took = time.Since(start)
	for _, page := range pages {
		var a api.PastReport
		if err := json.Unmarshal(page, &a); err != nil {
			b.Fatal(err)
		}
		for i := range a.Machines {
			users += len(a.Machines[i].Users)
		}
	}
	return took, users
}

// cursor is that of an answer.
var cursor = regexp.MustCompile(`"cursor":"([^"]*)"`)
