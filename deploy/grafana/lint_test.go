package grafana_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"rollcall/deploy/grafana/grafanatest"
)

// rules are the rules of Grafana's dashboard-linter, by name, and two of our own. Each
// returns what is wrong.
//
// https://github.com/grafana/dashboard-linter/blob/main/docs/index.md
var rules = map[string]func(*grafanatest.Dashboard) []string{
	"template-datasource-rule":            templateDatasource,
	"template-job-rule":                   func(d *grafanatest.Dashboard) []string { return templateLabel(d, "job") },
	"template-instance-rule":              func(d *grafanatest.Dashboard) []string { return templateLabel(d, "instance") },
	"template-label-promql-rule":          templatePromQL,
	"template-on-time-change-reload-rule": templateReload,
	"template-unused-rule":                templateUnused,
	"uneditable-dashboard-rule":           uneditable,
	"panel-datasource-rule":               panelDatasource,
	"panel-title-description-rule":        panelTitle,
	"panel-units-rule":                    panelUnits,
	"panel-no-targets-rule":               panelTargets,
	"target-promql-rule":                  targetPromQL,
	"target-rate-interval-rule":           targetInterval,
	"target-job-rule":                     func(d *grafanatest.Dashboard) []string { return targetMatcher(d, "job") },
	"target-instance-rule":                func(d *grafanatest.Dashboard) []string { return targetMatcher(d, "instance") },
	"target-counter-agg-rule":             targetCounter,
	"target-histogram-rule":               targetHistogram,
	"bounded":                             bounded,
	"layout":                              layout,
}

func TestLint(t *testing.T) {
	d := grafanatest.Read(t)
	for name, rule := range rules {
		for _, wrong := range rule(d) {
			t.Errorf("%s: %s", name, wrong)
		}
	}
}

// TestLintComplains: each rule finds violations of it.
func TestLintComplains(t *testing.T) {
	expr := func(expr string) func(*grafanatest.Dashboard) {
		return func(d *grafanatest.Dashboard) { d.Panels[1].Targets[0].Expr = expr }
	}
	const own = `job=~"$job", instance=~"$instance"`
	breaks := map[string][]func(*grafanatest.Dashboard){
		"template-datasource-rule": {
			func(d *grafanatest.Dashboard) { d.Variable("datasource").Name = "prometheus" },
			func(d *grafanatest.Dashboard) { d.Variable("datasource").Query = "loki" },
			func(d *grafanatest.Dashboard) { d.Variable("datasource").Label = "" },
			func(d *grafanatest.Dashboard) { d.Variable("sqlite").Query = "sqlite" },
			func(d *grafanatest.Dashboard) {
				d.Templating.List = append(d.Templating.List, *d.Variable("datasource"))
			},
		},
		"template-job-rule": {
			func(d *grafanatest.Dashboard) { d.Variable("job").Name = "service" },
			func(d *grafanatest.Dashboard) { d.Variable("job").Multi = false },
			func(d *grafanatest.Dashboard) { d.Variable("job").AllValue = ".*" },
			func(d *grafanatest.Dashboard) { d.Variable("job").Datasource.UID = "prometheus" },
		},
		"template-instance-rule":     {func(d *grafanatest.Dashboard) { d.Variable("instance").Label = "host" }},
		"template-label-promql-rule": {func(d *grafanatest.Dashboard) { d.Variable("job").Query = "label_values(up{, job)" }},
		"template-on-time-change-reload-rule": {
			func(d *grafanatest.Dashboard) { d.Variable("machine").Refresh = 1 },
		},
		"template-unused-rule": {
			func(d *grafanatest.Dashboard) {
				d.Templating.List = append(d.Templating.List, grafanatest.Variable{Name: "room"})
			},
		},
		"uneditable-dashboard-rule": {func(d *grafanatest.Dashboard) { d.Editable = true }},
		"panel-datasource-rule": {
			func(d *grafanatest.Dashboard) { d.Panels[1].Datasource.UID = "prometheus" },
			func(d *grafanatest.Dashboard) { d.Panels[1].Targets[0].Datasource.UID = "prometheus" },
			func(d *grafanatest.Dashboard) { d.Collapsed().Panels[0].Datasource = grafanatest.Templated },
		},
		"panel-title-description-rule": {
			func(d *grafanatest.Dashboard) { d.Panels[1].Title = "" },
			func(d *grafanatest.Dashboard) { d.Panels[1].Description = "" },
		},
		"panel-units-rule": {
			func(d *grafanatest.Dashboard) { d.Panels[1].FieldConfig.Defaults.Unit = "" },
			func(d *grafanatest.Dashboard) { d.Panels[1].FieldConfig.Defaults.Unit = "seconds" },
		},
		"panel-no-targets-rule": {func(d *grafanatest.Dashboard) { d.Panels[1].Targets = nil }},
		"target-promql-rule":    {expr("sum(")},
		"target-rate-interval-rule": {
			expr("rate(rollcall_messages_total{" + own + "}[5m])"),
			expr("max_over_time(rollcall_users{" + own + "}[5m])"),
		},
		"target-job-rule":      {expr(`rollcall_users{instance=~"$instance"}`), expr(`rollcall_users{job="$job", instance=~"$instance"}`)},
		"target-instance-rule": {expr(`rollcall_users{job=~"$job"}`)},
		"target-counter-agg-rule": {
			expr("rollcall_messages_total{" + own + "}"),
			expr("max_over_time(rollcall_messages_total{" + own + "}[$__rate_interval])"),
		},
		"target-histogram-rule": {expr("rate(rollcall_apply_delay_seconds_bucket{" + own + "}[$__rate_interval])")},
		"bounded": {
			expr("rollcall_logged_in_users{" + own + "}"),
			expr("max by (machine) (rollcall_logged_in_users{" + own + "})"),
			expr("sum without (job) (rollcall_logged_in_users{" + own + "})"),
			expr(`rollcall_logged_in_users{` + own + `, machine=~"$machine"}`),
			expr("topk(1000, rollcall_logged_in_users{" + own + "})"),
		},
		"layout": {
			func(d *grafanatest.Dashboard) { d.Panels[1].ID = d.Panels[2].ID },
			func(d *grafanatest.Dashboard) { d.Panels[1].GridPos = d.Panels[2].GridPos },
			func(d *grafanatest.Dashboard) { d.Panels[1].GridPos.X = 23 },
			func(d *grafanatest.Dashboard) { d.Collapsed().Panels[0].ID = d.Panels[1].ID },
		},
	}
	for name, rule := range rules {
		if len(breaks[name]) == 0 {
			t.Errorf("%s is not tested", name)
		}
		for i, violate := range breaks[name] {
			d := grafanatest.Read(t)
			if violate(d); len(rule(d)) == 0 {
				t.Errorf("%s does not find violation %d", name, i)
			}
		}
	}
}

func templateDatasource(d *grafanatest.Dashboard) []string {
	var found []string
	for _, v := range d.Templating.List {
		if v.Type == "datasource" {
			found = append(found, fmt.Sprintf("%s, labelled %q, of type %s", v.Name, v.Label, v.Expr()))
		}
	}
	want := []string{
		`datasource, labelled "Data Source", of type prometheus`,
		`sqlite, labelled "History", of type frser-sqlite-datasource`,
	}
	if !slices.Equal(found, want) {
		return []string{fmt.Sprintf("%q, want %q", found, want)}
	}
	return nil
}

func templateLabel(d *grafanatest.Dashboard, name string) []string {
	v := d.Variable(name)
	switch {
	case v == nil:
		return []string{"missing"}
	case v.Label != name || v.Type != "query" || v.Datasource != grafanatest.Templated ||
		!grafanatest.LabelValues.MatchString(v.Expr()) || !v.Multi || !v.IncludeAll || v.AllValue != ".+":
		return []string{fmt.Sprintf("%+v", *v)}
	}
	return nil
}

func templatePromQL(d *grafanatest.Dashboard) (wrong []string) {
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		found := grafanatest.LabelValues.FindStringSubmatch(v.Expr())
		if found == nil {
			found = grafanatest.QueryResult.FindStringSubmatch(v.Expr())
		}
		if found == nil {
			wrong = append(wrong, v.Expr())
		} else if _, err := parse(d, found[1]); err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	return wrong
}

func templateReload(d *grafanatest.Dashboard) (wrong []string) {
	const onTimeChange = 2
	for _, v := range d.Templating.List {
		if v.Type == "query" && v.Refresh != onTimeChange {
			wrong = append(wrong, v.Name)
		}
	}
	return wrong
}

func templateUnused(d *grafanatest.Dashboard) (wrong []string) {
	var text strings.Builder
	for _, v := range d.Templating.List {
		text.WriteString(v.Expr())
	}
	for _, p := range d.All() {
		text.WriteString(p.Datasource.UID)
		for _, target := range p.Targets {
			text.WriteString(target.Expr)
		}
	}
	for _, v := range d.Templating.List {
		if !strings.Contains(text.String(), "$"+v.Name) && !strings.Contains(text.String(), "${"+v.Name+"}") {
			wrong = append(wrong, v.Name)
		}
	}
	return wrong
}

func uneditable(d *grafanatest.Dashboard) []string {
	if d.Editable {
		return []string{"editable: changes made in the UI would be lost"}
	}
	return nil
}

func panelDatasource(d *grafanatest.Dashboard) (wrong []string) {
	for _, p := range d.All() {
		same := p.Datasource == grafanatest.Templated || p.Datasource == grafanatest.History
		for _, target := range p.Targets {
			same = same && target.Datasource == p.Datasource
		}
		if !same {
			wrong = append(wrong, p.Title)
		}
	}
	return wrong
}

func panelTitle(d *grafanatest.Dashboard) (wrong []string) {
	for _, p := range d.All() {
		if p.Title == "" || p.Description == "" {
			wrong = append(wrong, fmt.Sprintf("panel %d: title %q, description %q", p.ID, p.Title, p.Description))
		}
	}
	return wrong
}

// units are the units of Grafana that the dashboard uses.
//
// https://github.com/grafana/grafana/blob/main/packages/grafana-data/src/valueFormats/categories.ts
var units = []string{"none", "short", "locale", "percentunit", "bytes", "s", "cps", "cpm", "bool_yes_no", "dateTimeAsIso"}

func panelUnits(d *grafanatest.Dashboard) (wrong []string) {
	for _, p := range d.All() {
		if !slices.Contains(units, p.FieldConfig.Defaults.Unit) {
			wrong = append(wrong, fmt.Sprintf("%s: %q", p.Title, p.FieldConfig.Defaults.Unit))
		}
	}
	return wrong
}

func panelTargets(d *grafanatest.Dashboard) (wrong []string) {
	for _, p := range d.All() {
		if len(p.Targets) == 0 {
			wrong = append(wrong, p.Title)
		}
	}
	return wrong
}

// Unusual durations that stand for Grafana's intervals, so as to recognise them.
const (
	rateInterval = 11*time.Hour + 13*time.Minute
	timeRange    = 17*time.Hour + 19*time.Minute
)

// parse parses an expression with the variables replaced.
func parse(d *grafanatest.Dashboard, expr string) (parser.Expr, error) {
	values := grafanatest.Chosen(d, map[string]string{"machine": "m"})
	values["__rate_interval"], values["__range"] = "11h13m", "17h19m"
	for _, name := range []string{"job", "instance"} {
		values[name] = "$" + name
	}
	expr, err := grafanatest.Interpolate(expr, values)
	if err != nil {
		return nil, err
	}
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", expr, err)
	}
	return parsed, nil
}

func targetPromQL(d *grafanatest.Dashboard) (wrong []string) {
	for _, p := range d.Graphs() {
		for _, target := range p.Targets {
			if _, err := parse(d, target.Expr); err != nil {
				wrong = append(wrong, fmt.Sprintf("%s: %v", p.Title, err))
			}
		}
	}
	return wrong
}
