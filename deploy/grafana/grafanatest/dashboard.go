// Package grafana_test checks the dashboard by the rules of Grafana's dashboard-linter,
// and by running all its queries on a real Prometheus.
package grafana_test

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"rollcall/deploy/internal/program"
)

func TestMain(m *testing.M) { program.Main(m) }

const dashboardFile = "dashboards/rollcall.json"

// dashboard has the parts of a dashboard that the tests check.
type dashboard struct {
	UID, Title, Description, Refresh string
	Editable                         bool
	Templating                       struct{ List []variable }
	Panels                           []panel
}

type variable struct {
	Name, Label, Type, Regex, AllValue string
	Multi, IncludeAll                  bool
	Refresh                            int
	Datasource                         source
	Query                              any // text; of type query an object
}

// expr returns the variable's query: "label_values(…)".
func (v *variable) expr() string {
	if object, ok := v.Query.(map[string]any); ok {
		text, _ := object["query"].(string)
		return text
	}
	text, _ := v.Query.(string)
	return text
}

type panel struct {
	ID                       int
	Type, Title, Description string
	Datasource               source
	FieldConfig              struct{ Defaults struct{ Unit string } }
	GridPos                  struct{ H, W, X, Y int }
	Targets                  []target
	Panels                   []panel // of a collapsed row
}

type source struct{ Type, UID string }

type target struct {
	RefID, Expr, LegendFormat string
	QueryText, RawQueryText   string // SQL
	Datasource                source
}

// templated is the data source that the user has chosen, and history the one with the
// history.
var (
	templated = source{Type: "prometheus", UID: "${datasource}"}
	history   = source{Type: "frser-sqlite-datasource", UID: "${sqlite}"}
)

func readDashboard(t *testing.T) *dashboard {
	t.Helper()
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	d := new(dashboard)
	if err := json.Unmarshal(text, d); err != nil {
		t.Fatalf("%s: %v", dashboardFile, err)
	}
	return d
}

// variable returns the variable of that name, or nil.
func (d *dashboard) variable(name string) *variable {
	for i := range d.Templating.List {
		if d.Templating.List[i].Name == name {
			return &d.Templating.List[i]
		}
	}
	return nil
}

// panels returns all panels but the rows.
func (d *dashboard) panels() []panel {
	var all []panel
	for _, p := range d.Panels {
		if p.Type != "row" {
			all = append(all, p)
		}
		all = append(all, p.Panels...)
	}
	return all
}

// rows returns the rows.
func (d *dashboard) rows() []panel {
	return slices.DeleteFunc(slices.Clone(d.Panels), func(p panel) bool { return p.Type != "row" })
}

// collapsed returns the last row, which has its panels in it.
func (d *dashboard) collapsed() *panel { return &d.Panels[len(d.Panels)-1] }

// graphs returns the panels that ask Prometheus.
func (d *dashboard) graphs() []panel { return d.from(templated) }

func (d *dashboard) from(s source) []panel {
	return slices.DeleteFunc(d.panels(), func(p panel) bool { return p.Datasource != s })
}
