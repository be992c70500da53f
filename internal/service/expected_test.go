package service

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// TestExpected: the machines of the inventory that were never heard from are counted once
// the stream was read, also after the file was changed; a file that cannot be read changes
// nothing, and is told of once.
func TestExpected(t *testing.T) {
	file := filepath.Join(t.TempDir(), "machines.txt")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("db1\n\nspace ship\nweb1\nweb1\n")
	r := roster.New(roster.DefaultSettings())
	kit.Feed(r, roster.Event{Date: 1, Type: roster.Login, Machine: "web1", Session: roster.Session{User: "lane", ID: "1"}})
	caughtUp := false
	var log kit.Output
	e, err := newExpected(file, r, func() bool { return caughtUp }, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(e)
	want := func(want map[string]float64) {
		t.Helper()
		families, err := reg.Gather()
		if err != nil || len(families) != len(want) {
			t.Errorf("%v, %v; want %v", families, err, want)
		}
		for _, f := range families {
			if value := f.GetMetric()[0].GetGauge().GetValue(); value != want[f.GetName()] {
				t.Errorf("%s is %v, want %v", f.GetName(), value, want[f.GetName()])
			}
		}
	}
	want(map[string]float64{"rollcall_machines_expected": 3})
	caughtUp = true
	want(map[string]float64{"rollcall_machines_expected": 3, "rollcall_machines_unheard": 2})
	write("web1\n")
	want(map[string]float64{"rollcall_machines_expected": 1, "rollcall_machines_unheard": 0})
	write("web1\ndb\t1\n")
	for range 3 {
		want(map[string]float64{"rollcall_machines_expected": 1, "rollcall_machines_unheard": 0})
	}
	if log.Count("inventory not read") != 1 || !strings.Contains(log.String(), "line 2") {
		t.Errorf("the log:\n%s", &log)
	}
	if _, err := newExpected(file, r, nil, nil); err == nil {
		t.Error("a service began with an inventory that cannot be read")
	}
}
