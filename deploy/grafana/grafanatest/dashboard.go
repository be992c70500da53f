// Package grafanatest reads the dashboard, and asks its queries as Grafana would, for tests.
package grafanatest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"rollcall/deploy/internal/program"
)

// Dashboard has the parts of a dashboard that the tests check.
type Dashboard struct {
	UID, Title, Description, Refresh string
	Editable                         bool
	Templating                       struct{ List []Variable }
	Panels                           []Panel
}

// Variable is a choice at the top of the dashboard.
type Variable struct {
	Name, Label, Type, Regex, AllValue string
	Multi, IncludeAll                  bool
	Refresh                            int
	Datasource                         Source
	Query                              any // text; of type query an object
}

// Expr returns the variable's query: "label_values(…)".
func (v *Variable) Expr() string {
	if object, ok := v.Query.(map[string]any); ok {
		text, _ := object["query"].(string)
		return text
	}
	text, _ := v.Query.(string)
	return text
}

// Panel is a panel or a row.
type Panel struct {
	ID                       int
	Type, Title, Description string
	Datasource               Source
	FieldConfig              struct{ Defaults struct{ Unit string } }
	GridPos                  struct{ H, W, X, Y int }
	Targets                  []Target
	Panels                   []Panel // of a collapsed row
}

// Source is a data source.
type Source struct{ Type, UID string }

// Target is a query of a panel.
type Target struct {
	RefID, Expr, LegendFormat string
	QueryText, RawQueryText   string // SQL
	Datasource                Source
}

// Templated is the data source that the user has chosen, and History the one with the
// history.
var (
	Templated = Source{Type: "prometheus", UID: "${datasource}"}
	History   = Source{Type: "frser-sqlite-datasource", UID: "${sqlite}"}
)

// Read reads the dashboard of deploy/grafana.
func Read(t testing.TB) *Dashboard {
	t.Helper()
	path := filepath.Join(program.Root(t), "deploy/grafana/dashboards/rollcall.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := new(Dashboard)
	if err := json.Unmarshal(text, d); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return d
}

// Variable returns the variable of that name, or nil.
func (d *Dashboard) Variable(name string) *Variable {
	for i := range d.Templating.List {
		if d.Templating.List[i].Name == name {
			return &d.Templating.List[i]
		}
	}
	return nil
}

// All returns all panels but the rows.
func (d *Dashboard) All() []Panel {
	var all []Panel
	for _, p := range d.Panels {
		if p.Type != "row" {
			all = append(all, p)
		}
		all = append(all, p.Panels...)
	}
	return all
}

// Rows returns the rows.
func (d *Dashboard) Rows() []Panel {
	return slices.DeleteFunc(slices.Clone(d.Panels), func(p Panel) bool { return p.Type != "row" })
}

// Collapsed returns the last row, which has its panels in it.
func (d *Dashboard) Collapsed() *Panel { return &d.Panels[len(d.Panels)-1] }

// Graphs returns the panels that ask Prometheus.
func (d *Dashboard) Graphs() []Panel { return d.From(Templated) }

// From returns the panels that ask a data source.
func (d *Dashboard) From(s Source) []Panel {
	return slices.DeleteFunc(d.All(), func(p Panel) bool { return p.Datasource != s })
}
