package history_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"rollcall/internal/api"
	"rollcall/internal/history"
	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// BenchmarkReaders: a hundred connections ask "rollcall serve" about a year with 10 M stays
// without pause, for 30 s. It reports how much more memory the service had then: its own,
// and with the pages of files that it maps, which the kernel takes back when it needs them.
func BenchmarkReaders(b *testing.B) {
	const readers = 100
	dir, machines, users, _ := history.YearOfStays(b, kit.Scale(10_000_000), kit.Scale(100_000))
	url := kit.StartServer(b).URL
	pid := startService(b, dir, url)
	for b.Loop() {
		rest := memoryOf(b, pid)
		ctx, end := context.WithTimeout(b.Context(), time.Duration(kit.Scale(30_000))*time.Millisecond)
		var answered, refused atomic.Int64
		var asking sync.WaitGroup
		for i := range readers {
			nc := kit.Conn(b, url)
			own := drawn{rand.New(rand.NewPCG(uint64(i), 7)), machines, users}
			asking.Go(func() {
				for ctx.Err() == nil {
					busy, err := own.askAbout(ctx, nc)
					switch {
					case ctx.Err() != nil:
					case err != nil:
						b.Error(err)
						return
					case busy:
						refused.Add(1)
						time.Sleep(20 * time.Millisecond)
					default:
						answered.Add(1)
					}
				}
			})
		}
		most := rest
		for ctx.Err() == nil {
			now := memoryOf(b, pid)
			most = memory{max(most.own, now.own), max(most.all, now.all)}
			time.Sleep(20 * time.Millisecond)
		}
		end()
		asking.Wait()
		b.ReportMetric(rest.own/1e6, "MB-rest")
		b.ReportMetric((most.own-rest.own)/1e6, "MB-more")
		b.ReportMetric((most.all-rest.all)/1e6, "MB-more-with-files")
		b.ReportMetric(float64(answered.Load()), "answered")
		b.ReportMetric(float64(refused.Load()), "refused")
	}
}

// startService starts "rollcall serve" with a copy of a history, and returns its process.
func startService(b *testing.B, dir, url string) (pid int) {
	b.Helper()
	path := filepath.Join(b.TempDir(), "rollcall")
	if out, err := exec.Command("go", "build", "-o", path, "rollcall/cmd/rollcall").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	web := kit.FreeAddress(b)
	cmd := exec.Command(path, "serve")
	cmd.Env = []string{
		"NATS_URL=" + url, "ROLLCALL_DATA_DIR=" + dir, "ROLLCALL_HTTP_ADDR=" + web,
		"ROLLCALL_HISTORY=200000h", "ROLLCALL_HISTORY_MAX_BYTES=1TiB",
	}
	log := new(kit.Output)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // it may have ended
		cmd.Wait()         //nolint:errcheck // it was killed
		if b.Failed() {
			b.Log(log.String())
		}
	})
	kit.Eventually(b, func() bool {
		answer, err := http.Get("http://" + web + "/readyz")
		return err == nil && answer.Body.Close() == nil && answer.StatusCode == http.StatusOK
	}, "the service is ready")
	return cmd.Process.Pid
}

// askAbout asks one of the questions that read most, all pages of it. busy says that it was
// refused, as too many wait.
func (d *drawn) askAbout(ctx context.Context, nc *nats.Conn) (busy bool, err error) {
	glob := fmt.Sprintf("*%d*", d.IntN(100))
	switch d.IntN(7) {
	case 0:
		q := api.ReportRequest{Moment: d.moment()}
		return askAll(ctx, nc, "report", &q, &q.Cursor, 1000)
	case 1:
		q := api.ReportRequest{Moment: d.moment(), Filter: api.Filter{Machines: glob}}
		return askAll(ctx, nc, "report", &q, &q.Cursor, 1000)
	case 2:
		q := api.HistoryRequest{}
		return askAll(ctx, nc, "history", &q, &q.Cursor, 5)
	case 3:
		q := api.HistoryRequest{Machines: glob}
		return askAll(ctx, nc, "history", &q, &q.Cursor, 5)
	case 4:
		q := api.HistoryRequest{}
		for range 300 {
			q.Names = append(q.Names, d.machine())
		}
		return askAll(ctx, nc, "history", &q, &q.Cursor, 5)
	case 5:
		q := api.HistoryRequest{User: d.user()}
		return askAll(ctx, nc, "history", &q, &q.Cursor, 5)
	}
	q := api.CountsRequest{From: history.NewYear.Add(-365 * 24 * time.Hour).String(), To: history.NewYear.String(), Step: "6h"}
	return askAll(ctx, nc, "counts", &q, new(string), 1)
}

// askAll asks a question, and for so many pages at most.
func askAll(ctx context.Context, nc *nats.Conn, endpoint string, request any, next *string, pages int) (busy bool, err error) {
	for range pages {
		data, err := json.Marshal(request)
		if err != nil {
			return false, err
		}
		answer, err := nc.RequestWithContext(ctx, "rollcall.query."+endpoint, data)
		if err != nil {
			return false, fmt.Errorf("asking %s: %w", endpoint, err)
		}
		switch code := answer.Header.Get(micro.ErrorCodeHeader); code {
		case "":
		case strconv.Itoa(rollcallv1.CodeBusy):
			return true, nil
		default:
			return false, errors.New(endpoint + ": " + code + " " + answer.Header.Get(micro.ErrorHeader))
		}
		found := cursor.FindSubmatch(answer.Data)
		if found == nil {
			break
		}
		*next = string(found[1])
	}
	return false, nil
}

// memory is the memory of a process, in bytes.
type memory struct{ own, all float64 }

var sizes = regexp.MustCompile(`(RssAnon|VmRSS):\s+(\d+) kB`)

func memoryOf(b *testing.B, pid int) (m memory) {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for _, found := range sizes.FindAllStringSubmatch(string(status), -1) {
		kB, err := strconv.ParseFloat(found[2], 64)
		if err != nil {
			b.Fatal(err)
		}
		if found[1] == "VmRSS" {
			m.all = kB * 1024
		} else {
			m.own = kB * 1024
		}
	}
	return m
}
