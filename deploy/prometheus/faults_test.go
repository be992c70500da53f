package prometheus_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/deploy/prometheus/prometheustest"
)

var measure = flag.Bool("faults.measure", false,
	"provoke each fault with the unchanged intervals and alerts, and print how long it takes to show and to end (takes half an hour)")

// fault is a real fault and where it shows.
type fault struct {
	name, alert string
	// series is a line of /metrics, and check the beginning of a line of
	// /readyz?verbose, that is present during the fault. status: the service
	// still answers rollcall.query.status, with the same check.
	series, check string
	status        bool
	tmpfs         bool // the server's store is a small file system
	embedded      bool // with the embedded server
	lingers       bool // the checks show it for a quarter of an hour after its end
	provoke, end  func(w *faultWorld)
}

var faults = []fault{
	{
		name: "nats-server is killed", alert: "RollcallNATSAway",
		series: `rollcall_nats_connected{connection="events"} 0`, check: "[-] nats: RECONNECTING: events since ",
		provoke: func(w *faultWorld) { w.nats.Signal(syscall.SIGKILL); _ = w.nats.Wait() },
		end:     func(w *faultWorld) { w.startNATS() },
	},
	{
		name: "nats-server hangs", alert: "RollcallNATSAway",
		series: `rollcall_nats_connected{connection="events"} 0`, check: "[-] nats: RECONNECTING: events since ",
		provoke: func(w *faultWorld) { w.nats.Signal(syscall.SIGSTOP) },
		end:     func(w *faultWorld) { w.nats.Signal(syscall.SIGCONT) },
	},
	{
		name: "the server's disk is full", alert: "RollcallStreamBlocked", tmpfs: true,
		series: `rollcall_stream_blocked{reason="no_space"} 1`, check: "[-] stream: NO SPACE: ", status: true,
		provoke: func(w *faultWorld) { w.fill() },
		end: func(w *faultWorld) {
			w.free()
			w.nats.Signal(syscall.SIGTERM)
			_ = w.nats.Wait()
			w.startNATS()
		},
	},
	{
		name: "the disk is full, with the embedded server", alert: "RollcallStreamBlocked", tmpfs: true, embedded: true,
		series: `rollcall_stream_blocked{reason="no_space"} 1`, check: "[-] stream: NO SPACE: ", status: true,
		provoke: func(w *faultWorld) { w.fill() },
		end:     func(w *faultWorld) { w.free() },
	},
	{
		name: "the stream is full, with discard new", alert: "RollcallStreamBlocked",
		series: `rollcall_stream_blocked{reason="full"} 1`, check: "[-] stream: FULL: ", status: true,
		provoke: func(w *faultWorld) {
			w.edit("ROLLCALL_EVENTS", func(c *jetstream.StreamConfig) { c.Discard, c.MaxMsgs = jetstream.DiscardNew, 1 })
		},
		end: func(w *faultWorld) { w.edit("ROLLCALL_EVENTS", func(c *jetstream.StreamConfig) { c.MaxMsgs = -1 }) },
	},
	{
		name: "the stream of events is deleted, and cannot be recreated", alert: "RollcallStreamUnseen",
		series: `rollcall_incomplete{reason="stale"} 1`, check: "[-] stream: MISSING: ", status: true,
		provoke: func(w *faultWorld) { w.replace("ROLLCALL_EVENTS", "rollcall.events") },
		end:     func(w *faultWorld) { w.delete("OTHER") },
	},
	{
		name: "the stream of dead letters is deleted", alert: "RollcallStreamRemade",
		series: `rollcall_streams_made_total{stream="deadletters"} 1`, check: "[-] dead letters: the stream was deleted, and recreated at ", status: true,
		lingers: true,
		provoke: func(w *faultWorld) { w.delete("ROLLCALL_DEADLETTERS") },
	},
	{
		name: "the stream of reports is deleted", alert: "RollcallStreamRemade",
		series: `rollcall_streams_made_total{stream="reports"} 1`, check: "[-] reports: the stream was deleted, and recreated at ", status: true,
		lingers: true,
		provoke: func(w *faultWorld) { w.delete("ROLLCALL_REPORTS") },
	},
	{
		name: "the stream of reports is deleted, and cannot be recreated", alert: "RollcallStreamMissing",
		series: `rollcall_stream_missing{stream="reports"} 1`, check: "[-] reports: the stream is missing", status: true,
		provoke: func(w *faultWorld) { w.replace("ROLLCALL_REPORTS", "rollcall.reports.>") },
		end:     func(w *faultWorld) { w.delete("OTHER") },
	},
	{
		name: "reports are refused", alert: "RollcallReportsFailing",
		series: "rollcall_reports_failing 1", check: "[-] reports: failing since ", status: true,
		provoke: func(w *faultWorld) {
			w.edit("ROLLCALL_REPORTS", func(c *jetstream.StreamConfig) { c.MaxMsgSize = 1 })
			w.publish("--login", "chris", "--machine", "db1")
		},
		end: func(w *faultWorld) {
			w.edit("ROLLCALL_REPORTS", func(c *jetstream.StreamConfig) { c.MaxMsgSize = -1 })
		},
	},
	{
		name: "dead letters are refused", alert: "RollcallDeadLettersDropped",
		series: "rollcall_dead_letters_dropped_total 1", check: "[-] dead letters: failing since ", status: true,
		provoke: func(w *faultWorld) {
			w.edit("ROLLCALL_DEADLETTERS", func(c *jetstream.StreamConfig) { c.MaxMsgSize = 1 })
			prometheustest.PublishRefused(w.t, w.service)
		},
		end: func(w *faultWorld) {
			w.edit("ROLLCALL_DEADLETTERS", func(c *jetstream.StreamConfig) { c.MaxMsgSize = -1 })
		},
	},
	{
		name: "the data folder is removed", alert: "RollcallDataFolderLost",
		series: "rollcall_data_folder_lost_total 1", check: "[-] data folder: it was removed or replaced, and recreated at ", status: true,
		lingers: true,
		provoke: func(w *faultWorld) { w.removeAll(filepath.Dir(w.snapshots())) },
	},
	{
		name: "no snapshot can be saved", alert: "RollcallSnapshotsFailing",
		series: "rollcall_snapshot_errors_total ", check: "[-] snapshot: failing since ", status: true,
		provoke: func(w *faultWorld) {
			w.must(os.Rename(w.snapshots(), w.snapshots()+".away"), os.WriteFile(w.snapshots(), nil, 0o600))
			w.publish("--login", "chris", "--machine", "db1")
		},
		end: func(w *faultWorld) { w.must(os.Remove(w.snapshots()), os.Rename(w.snapshots()+".away", w.snapshots())) },
	},
	{
		name: "the history cannot be written", alert: "RollcallHistoryFailing",
		series: "rollcall_history_failing 1",
		provoke: func(w *faultWorld) {
			w.must(os.Rename(w.history(), w.history()+".away"), os.Mkdir(w.history(), 0o700))
			w.publish("--login", "chris", "--machine", "db1")
		},
		end: func(w *faultWorld) { w.must(os.Remove(w.history()), os.Rename(w.history()+".away", w.history())) },
	},
}

// shortAlerts shortens the intervals of Prometheus and the windows of the alerts.
var shortAlerts = strings.NewReplacer(
	"scrape_interval: 15s", "scrape_interval: 200ms\n  scrape_timeout: 200ms",
	"evaluation_interval: 15s", "evaluation_interval: 200ms",
	"for: 1m\n", "for: 1s\n", "for: 2m\n", "for: 1s\n", "for: 5m\n", "for: 1s\n", "[15m]", "[10s]",
)

// TestFaults provokes each fault: it shows in /readyz?verbose, in the answer to status and
// in a metric, its alert fires, and all of that ends with the fault. With -faults.measure
// it prints how long that took.
func TestFaults(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			w := newFaultWorld(t, &f)
			began := time.Now()
			f.provoke(w)
			shown := w.await(began, true)
			ended := time.Now()
			if f.end != nil {
				f.end(w)
			}
			over := w.await(ended, false)
			if *measure {
				t.Logf("| %s | %s | %s | `%s` %s | `%s` %s |", f.name, seconds(shown, over, "status"), seconds(shown, over, "readyz"),
					strings.TrimSpace(f.series), seconds(shown, over, "metric"), f.alert, seconds(shown, over, "alert"))
			}
		})
	}
}

func seconds(shown, over map[string]time.Duration, where string) string {
	from, ok := shown[where]
	if !ok {
		return "–"
	}
	until, ok := over[where]
	if !ok {
		return fmt.Sprintf("%.0f / stays", from.Seconds())
	}
	return fmt.Sprintf("%.0f / %.0f", from.Seconds(), until.Seconds())
}

// await waits until the fault shows everywhere that it should, or nowhere any more except
// in counters, and returns how long that took at each place.
func (w *faultWorld) await(since time.Time, there bool) map[string]time.Duration {
	w.t.Helper()
	look := map[string]func() (shows, known bool){
		"alert": func() (bool, bool) {
			return len(w.server.Query(`ALERTS{alertstate="firing",alertname="`+w.fault.alert+`"}`)) > 0, true
		},
		"readyz": func() (bool, bool) {
			checks := w.get("/readyz?verbose")
			return strings.Contains(checks, w.fault.check), checks != ""
		},
		"metric": w.metric,
		"status": w.failing,
	}
	if !w.fault.status {
		delete(look, "status")
	}
	if w.fault.check == "" {
		delete(look, "readyz")
	}
	if strings.Contains(w.fault.series, "_total") && !there {
		delete(look, "metric")
	}
	if w.fault.lingers && !there && !*measure {
		delete(look, "readyz")
		delete(look, "status")
	}
	took := make(map[string]time.Duration)
	for end := since.Add(w.patience()); len(look) > 0; time.Sleep(50 * time.Millisecond) {
		for where, is := range look {
			if shows, known := is(); known && shows == there {
				took[where] = time.Since(since)
				delete(look, where)
			}
		}
		if time.Now().After(end) {
			for where := range look {
				w.t.Errorf("%s: the fault shows: %t, want %t, after %v:\n%s",
					where, !there, there, time.Since(since).Round(time.Second), w.get("/readyz?verbose"))
			}
			return took
		}
	}
	return took
}

// patience is how long a fault may take to show or to end. Unchanged alerts have windows
// of 15 minutes.
func (w *faultWorld) patience() time.Duration {
	if *measure {
		return 20 * time.Minute
	}
	return 3 * time.Minute
}

// metric reports whether the fault's series is present or, if its name ends in a
// space, whether its value is not 0. known is false while the service restarts.
func (w *faultWorld) metric() (shows, known bool) {
	text := w.get("/metrics")
	for line := range strings.Lines(text) {
		value, ok := strings.CutPrefix(line, w.fault.series)
		if ok && (value == "\n" || strings.HasSuffix(w.fault.series, " ") && value != "0\n") {
			return true, true
		}
	}
	return false, text != ""
}

// get returns the body of a path of the service, or "" while the service restarts.
func (w *faultWorld) get(path string) string {
	answer, err := http.Get(w.service.URL + path)
	if err != nil {
		return ""
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return ""
	}
	return string(body)
}

// failing reports whether the answer to status has the fault's check.
func (w *faultWorld) failing() (shows, known bool) {
	name, _, _ := strings.Cut(strings.TrimPrefix(w.fault.check, "[-] "), ":")
	_, said, _ := strings.Cut(strings.TrimPrefix(w.fault.check, "[-] "), ": ")
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
	defer cancel()
	answer, err := w.js.Conn().RequestWithContext(ctx, "rollcall.query.status", nil)
	if err != nil {
		return false, false
	}
	return strings.Contains(string(answer.Data), `{"name":"`+name+`","state":"`+said), true
}

func (w *faultWorld) must(errs ...error) {
	w.t.Helper()
	for _, err := range errs {
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *faultWorld) publish(event ...string) {
	w.t.Helper()
	prometheustest.Publish(w.t, w.service, event...)
}

func (w *faultWorld) snapshots() string { return filepath.Join(w.data, "snapshots") }

func (w *faultWorld) history() string { return filepath.Join(w.data, "history.db") }

// mountable skips the test if no file system can be mounted. In continuous integration (CI
// is set) the test fails instead.
func mountable(t *testing.T) {
	t.Helper()
	out, err := exec.Command("unshare", "-Urm", "mount", "-t", "tmpfs", "tmpfs", t.TempDir()).CombinedOutput()
	if err == nil {
		return
	}
	why := fmt.Sprintf("a full disk needs a small file system, which cannot be mounted: %v: %s", err, out)
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}
