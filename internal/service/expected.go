package service

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/inventory"
	"rollcall/internal/roster"
)

// expected counts, at each scrape, the machines of an inventory, and those of them that were
// never heard from. No metric has their names: rollcall report --expected prints them.
type expected struct {
	file     *inventory.File
	roster   *roster.Roster
	caughtUp func() bool
}

var (
	machinesExpected = prometheus.NewDesc("rollcall_machines_expected", "Machines in the file of ROLLCALL_EXPECTED_FILE.", nil, nil)
	machinesUnheard  = prometheus.NewDesc("rollcall_machines_unheard", "Machines in the file of ROLLCALL_EXPECTED_FILE that were never heard from. Absent until all that the stream had at the start has been read.", nil, nil)
)

// newExpected reads the inventory.
func newExpected(path string, r *roster.Roster, caughtUp func() bool, log *slog.Logger) (*expected, error) {
	file, err := inventory.Open(path, log)
	return &expected{file, r, caughtUp}, err
}

// Describe implements [prometheus.Collector].
func (e *expected) Describe(ch chan<- *prometheus.Desc) {
	ch <- machinesExpected
	ch <- machinesUnheard
}

// Collect implements [prometheus.Collector].
func (e *expected) Collect(ch chan<- prometheus.Metric) {
	names := e.file.Names()
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
