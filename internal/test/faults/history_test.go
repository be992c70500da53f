package faults

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"rollcall/internal/test/kit"
)

// stays returns the stays of the history in the data folder of a process, once it has
// those of all events up to a place. SQLite must find nothing wrong with the file.
func (p *process) stays(place uint64) []string {
	p.t.Helper()
	behind := func() bool {
		return p.metric("rollcall_history_behind") != 0 || p.metric("rollcall_history_position") < int(place)
	}
	for began := time.Now(); behind(); time.Sleep(100 * time.Millisecond) {
		// Of a stream of half a million events it reads the first half without writing.
		if time.Since(began) > 5*time.Minute {
			p.t.Fatal("the history has not caught up in five minutes")
		}
		p.askHistory()
	}
	c, err := sqlite.OpenConn(filepath.Join(p.historyFolder(), "history.db"), sqlite.OpenReadWrite)
	if err != nil {
		p.t.Fatal(err)
	}
	defer c.Close()
	var list []string
	query := func(statement string, row func(s *sqlite.Stmt)) {
		if err := sqlitex.ExecuteTransient(c, statement, &sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error { row(s); return nil }}); err != nil {
			p.t.Fatal(err)
		}
	}
	query("select * from stays", func(s *sqlite.Stmt) {
		var columns []string
		for i := range s.ColumnCount() {
			columns = append(columns, s.ColumnText(i))
		}
		list = append(list, strings.Join(columns, " "))
	})
	query("pragma integrity_check", func(s *sqlite.Stmt) {
		if text := s.ColumnText(0); text != "ok" {
			p.t.Errorf("integrity_check: %s", text)
		}
	})
	slices.Sort(list)
	return list
}

// askHistory asks the process for its history, which has it written: else it is once a
// minute. There may be no answer now.
func (p *process) askHistory() {
	for _, variable := range p.cmd.Env {
		if strings.HasPrefix(variable, "NATS_URL=") {
			cmd := exec.Command(rollcall(p.t), "history", "-n", "1")
			cmd.Env = kit.Only(variable)
			_ = cmd.Run()
		}
	}
}

// dataFolder returns the data folder of a process.
func (p *process) dataFolder() string {
	for _, v := range p.cmd.Env {
		if dir, ok := strings.CutPrefix(v, "ROLLCALL_DATA_DIR="); ok {
			return dir
		}
	}
	p.t.Fatal("it has no data folder")
	return ""
}

// historyFolder returns a folder in which SQLite can read the history: if the process sees
// other files than the tests, one with copies.
func (p *process) historyFolder() string {
	if p.root == "" {
		return p.dataFolder()
	}
	dir := p.t.TempDir()
	for _, name := range []string{"history.db", "history.db-wal"} {
		b, err := os.ReadFile(filepath.Join(p.root, p.dataFolder(), name))
		if err != nil {
			p.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
	return dir
}

// wantSameStays compares the histories of two processes that have read the same stream.
func wantSameStays(t *testing.T, got, want *process, place uint64) {
	t.Helper()
	g, w := got.stays(place), want.stays(place)
	if !slices.Equal(g, w) {
		t.Errorf("the history differs from the undisturbed one: %d stays, want %d:\n%s\nwant\n%s", len(g), len(w),
			strings.Join(g, "\n"), strings.Join(w, "\n"))
	}
}

// The failpoints while the history is written, and at the end of its catching up.
var historyFailpoints = []string{"history-written", "history-committed", "history-handed-over"}

// TestDieInHistory: rollcall is killed while it writes the history, and while it builds
// one that is missing. The history is that of a run without the kill.
func TestDieInHistory(t *testing.T) {
	t.Parallel()
	rng := random(t)
	failpointRollcall(t)
	for _, name := range historyFailpoints {
		own := rand.New(rand.NewPCG(rng.Uint64(), 4))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, dir := kit.StartServer(t).URL, t.TempDir()
			makeStreams(t, dir, url)
			publishNow(t, url, own, 500)
			p := serve(t, dir, url, "ROLLCALL_HISTORY=0")
			p.digest(500)
			p.end(syscall.SIGTERM)
			stop := publish(t, url, own, 20*time.Millisecond)
			killAt(t, dir, url, name, 1) // it has to read again what it has no history of
			p = serve(t, dir, url)
			p.awaitLog("ready", "place")
			stop()
			wantUndisturbed(t, p, url)
		})
	}
}

// TestCatchUpFromKeptSnapshot: while the history is behind, the snapshot from which it can
// catch up is kept, however many are written meanwhile. Killed and started again, it
// catches up from there, and is that of a run without the kill.
func TestCatchUpFromKeptSnapshot(t *testing.T) {
	t.Parallel()
	rng := random(t)
	failpointRollcall(t)
	url, dir := kit.StartServer(t).URL, t.TempDir()
	makeStreams(t, dir, url)
	publishNow(t, url, rng, 300)
	p := serve(t, dir, url)
	p.stays(300)
	p.digest(300)
	p.end(syscall.SIGTERM)
	stop := publish(t, url, rng, 20*time.Millisecond)
	killAt(t, dir, url, "history-written", 1) // some seconds later, and nothing is committed
	stop()
	files, err := filepath.Glob(filepath.Join(dir, "snapshots", "snapshot-*.rollcall"))
	if err != nil || len(files) < 4 || !strings.HasSuffix(files[0], "-00000000000000000300.rollcall") {
		t.Fatalf("snapshots %v, %v", files, err)
	}
	p = serve(t, dir, url)
	if from := p.awaitLog("history is behind: reading the stream again", "from"); from != "300" {
		t.Errorf("it reads from place %s", from)
	}
	wantUndisturbed(t, p, url)
}
