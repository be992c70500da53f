package metrics

import (
	"cmp"
	"slices"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Registry is a registry that also gathers the metrics of the machines:
//
//	rollcall_logged_in_users{machine}  0 for a machine whose users have left
//	rollcall_machines
//	rollcall_machines_silent           not heard for long; see Collector.Silent
//	rollcall_machines_omitted          without a metric of their own; see NewCollector
//
// They bypass prometheus.Registry, which would hash, check and sort each of them on
// every scrape; that takes longer than all the rest. The roster already yields the
// machines distinct, in order, and with valid names.
type Registry struct {
	*prometheus.Registry
	collector atomic.Pointer[Collector]
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry { return &Registry{Registry: prometheus.NewRegistry()} }

// MustShow registers the collector, and makes Gather include its machines.
func (r *Registry) MustShow(c *Collector) {
	r.MustRegister(c)
	r.collector.Store(c)
}

// Gather implements [prometheus.Gatherer].
func (r *Registry) Gather() ([]*dto.MetricFamily, error) {
	families, err := r.Registry.Gather()
	if c := r.collector.Load(); c != nil {
		families = append(families, c.machines()...)
		slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return cmp.Compare(a.GetName(), b.GetName()) })
	}
	return families, err
}

// machineUsers is how many users are on a machine.
type machineUsers struct {
	name  string
	users int
}

// machines returns the metrics of the machines. It reads each machine once.
func (c *Collector) machines() []*dto.MetricFamily {
	on := make([]machineUsers, 0, min(c.roster.Status().Machines, c.maxMachines))
	shown, quiet := 0, 0
	for v := range c.roster.Machines("") {
		if c.Silent != nil && c.Silent(v.Heard(), v.Every()) {
			quiet++
		}
		//guard:true "a scrape is bounded" TestTooManyMachines
		if shown++; shown <= c.maxMachines {
			on = append(on, machineUsers{v.Name(), v.UserCount()})
		}
	}
	families := []*dto.MetricFamily{
		singleGauge("rollcall_machines", "Machines with somebody logged in, or heard within the allowed lateness.", shown),
		singleGauge("rollcall_machines_silent", "Those of rollcall_machines that are silent: not heard for twice as long as their agent lists who is on, or else for ROLLCALL_SILENT_AFTER. Their users are the last known.", quiet),
		singleGauge("rollcall_machines_omitted", "Machines without a rollcall_logged_in_users series, because there are more than ROLLCALL_METRICS_MAX_MACHINES.", shown-len(on)),
	}
	if len(on) > 0 { // a registry returns no family without metrics
		families = append(families, gauges("rollcall_logged_in_users", "Users who are logged in on the machine.", loggedIn(on)))
	}
	return families
}

var machineLabel = "machine"

// loggedIn returns one metric for each machine, with few allocations.
func loggedIn(on []machineUsers) []*dto.Metric {
	parts := make([]struct {
		metric dto.Metric
		gauge  dto.Gauge
		label  dto.LabelPair
		labels [1]*dto.LabelPair
		value  float64
	}, len(on))
	metrics := make([]*dto.Metric, len(on))
	for i := range on {
		p := &parts[i]
		p.value = float64(on[i].users)
		p.gauge.Value = &p.value
		p.label.Name, p.label.Value = &machineLabel, &on[i].name
		p.labels[0] = &p.label
		p.metric.Label, p.metric.Gauge = p.labels[:], &p.gauge
		metrics[i] = &p.metric
	}
	return metrics
}

func singleGauge(name, help string, value int) *dto.MetricFamily {
	v := float64(value)
	return gauges(name, help, []*dto.Metric{{Gauge: &dto.Gauge{Value: &v}}})
}

func gauges(name, help string, metrics []*dto.Metric) *dto.MetricFamily {
	return &dto.MetricFamily{Name: &name, Help: &help, Type: dto.MetricType_GAUGE.Enum(), Metric: metrics}
}
