package service

import (
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/inventory"
	"rollcall/internal/roster"
)

// expected counts, at each scrape, the machines of an inventory, and those of them that were
// never heard from. No metric has their names: rollcall report --expected prints them.
type expected struct {
	path     string
	roster   *roster.Roster
	caughtUp func() bool
	log      *slog.Logger

	mu    sync.Mutex
	names []string
	read  fileVersion // that names are of, or that could not be read
}

// fileVersion tells whether a file was replaced or changed.
type fileVersion struct {
	modified time.Time
	size     int64
}

var (
	machinesExpected = prometheus.NewDesc("rollcall_machines_expected", "Machines in the file of ROLLCALL_EXPECTED_FILE.", nil, nil)
	machinesUnheard  = prometheus.NewDesc("rollcall_machines_unheard", "Machines in the file of ROLLCALL_EXPECTED_FILE that were never heard from. Absent until all that the stream had at the start has been read.", nil, nil)
)

// newExpected reads the inventory.
func newExpected(path string, r *roster.Roster, caughtUp func() bool, log *slog.Logger) (*expected, error) {
	e := &expected{path: path, roster: r, caughtUp: caughtUp, log: log}
	var err error
	e.read = e.version()
	e.names, err = inventory.Read(path)
	return e, err
}

func (e *expected) version() (v fileVersion) {
	if info, err := os.Stat(e.path); err == nil {
		v = fileVersion{info.ModTime(), info.Size()}
	}
	return v
}

// Describe implements [prometheus.Collector].
func (e *expected) Describe(ch chan<- *prometheus.Desc) {
	ch <- machinesExpected
	ch <- machinesUnheard
}

// Collect implements [prometheus.Collector].
func (e *expected) Collect(ch chan<- prometheus.Metric) {
	names := e.current()
	ch <- prometheus.MustNewConstMetric(machinesExpected, prometheus.GaugeValue, float64(len(names)))
	//guard:false "no machine counts as never heard from before the stream was read" TestExpected
	if !e.caughtUp() {
		return
	}
	unheard := 0
	for _, name := range names {
		if !e.roster.Machine(name, func(roster.View) {}) {
			unheard++
		}
	}
	ch <- prometheus.MustNewConstMetric(machinesUnheard, prometheus.GaugeValue, float64(unheard))
}

// current returns the inventory as the file has it now, or the last one that could be read.
func (e *expected) current() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.version()
	if now == e.read {
		return e.names
	}
	e.read = now
	names, err := inventory.Read(e.path)
	if err != nil {
		e.log.Warn("inventory not read: the earlier one counts", "err", err)
		return e.names
	}
	e.names = names
	return names
}
