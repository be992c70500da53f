package grafana_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"rollcall/deploy/grafana/grafanatest"
	"rollcall/deploy/internal/program"
	"rollcall/deploy/prometheus/prometheustest"
)

// TestHistoryQueries: the queries that read the history find the sessions of one machine
// in the time shown, in the file of a running service.
func TestHistoryQueries(t *testing.T) {
	dir := t.TempDir()
	service := program.Serve(t, "ROLLCALL_DATA_DIR="+dir)
	now := time.Now()
	date := func(ago time.Duration) string { return now.Add(-ago).UTC().Format(time.RFC3339) }
	for _, event := range [][]string{
		{"--login", "ended", "--machine", "it's", "--date", date(9 * time.Hour)},
		{"--logout=ended", "--machine", "it's", "--date", date(8 * time.Hour)},
		{"--login", "lane", "--machine", "it's", "--date", date(7 * time.Hour)},
		{"--logout=lane", "--machine", "it's", "--date", date(5 * time.Hour)},
		{"--login", "chris", "--machine", "it's", "--date", date(time.Minute)},
		{"--login", "jordan", "--machine", "other", "--date", date(time.Minute)},
	} {
		prometheustest.Publish(t, service, event...)
	}
	queries := 0
	for _, p := range grafanatest.Read(t).From(grafanatest.History) {
		for _, target := range p.Targets {
			queries++
			sql, err := grafanatest.Interpolate(target.QueryText, map[string]string{
				"machine:sqlstring": "'it''s'",
				"__from":            fmt.Sprint(now.Add(-6 * time.Hour).UnixMilli()), "__to": fmt.Sprint(now.UnixMilli()),
			})
			if err != nil || target.RawQueryText != target.QueryText {
				t.Fatalf("%s: %q and %q differ, or %v", p.Title, target.RawQueryText, target.QueryText, err)
			}
			want := []string{"chris open", "lane logout"}
			program.Eventually(t, "the history has all sessions", func() bool {
				return slices.Equal(sessions(t, filepath.Join(dir, "history.db"), sql), want)
			})
		}
	}
	if queries == 0 {
		t.Error("no query reads the history")
	}
}

// sessions returns the user and the ending of each session that a query of a history
// returns.
func sessions(t *testing.T, path, sql string) (found []string) {
	t.Helper()
	c, err := sqlite.OpenConn(path, sqlite.OpenReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = sqlitex.ExecuteTransient(c, sql, &sqlitex.ExecOptions{ResultFunc: func(row *sqlite.Stmt) error {
		found = append(found, row.GetText("user")+" "+row.GetText("how"))
		return nil
	}})
	if err != nil {
		t.Fatalf("%v: %s", err, sql)
	}
	return found
}
