// Package grafana_test checks the dashboard by the rules of Grafana's dashboard-linter,
// and by running all its queries on a real Prometheus.
package grafana_test

import (
	"testing"

	"rollcall/deploy/internal/program"
)

func TestMain(m *testing.M) { program.Main(m) }
