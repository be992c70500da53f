package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// onMachine is the metric rollcall_logged_in_users of one machine. A constant
// metric of the library's allocates twice as often, as it copies and checks the
// label; a machine's name is valid UTF-8 or the roster wouldn't have it.
type onMachine struct {
	machine string
	users   int
}

var machineLabel = "machine"

// Desc implements [prometheus.Metric].
func (m *onMachine) Desc() *prometheus.Desc { return loggedIn }

// Write implements [prometheus.Metric].
func (m *onMachine) Write(out *dto.Metric) error {
	value := float64(m.users)
	out.Label = []*dto.LabelPair{{Name: &machineLabel, Value: &m.machine}}
	out.Gauge = &dto.Gauge{Value: &value}
	return nil
}
