package prometheus_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"rollcall/deploy/internal/program"
	"rollcall/deploy/prometheus/prometheustest"
)

// rule is a rule of rules.yml or alerts.yml.
type rule struct {
	Record, Alert, Expr string
	Labels, Annotations map[string]string
}

// readRules returns all rules of a file.
func readRules(t *testing.T, path string) []rule {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	readYAML(t, path, &file)
	var rules []rule
	for _, group := range file.Groups {
		rules = append(rules, group.Rules...)
	}
	if len(rules) == 0 {
		t.Fatalf("%s has no rules", path)
	}
	return rules
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func TestPromtool(t *testing.T) {
	prometheustest.Promtool(t, ".", "check", "config", "--lint=all", "--lint-fatal", "prometheus.yml")
	prometheustest.Promtool(t, ".", "check", "rules", "--lint=all", "--lint-fatal", "rules.yml", "alerts.yml")
	prometheustest.Promtool(t, ".", "test", "rules", "rules_test.yml")
}

// TestAllRulesAreTested: each alert has a test in which it fires and one in which it does
// not, and each recording rule has one.
func TestAllRulesAreTested(t *testing.T) {
	var file struct {
		Tests []struct {
			Alerts []struct {
				Name string `yaml:"alertname"`
				Want []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
			Exprs []struct{ Expr string } `yaml:"promql_expr_test"`
		}
	}
	readYAML(t, "rules_test.yml", &file)
	fires, rests := map[string]bool{}, map[string]bool{}
	recorded := map[string]bool{}
	for _, test := range file.Tests {
		for _, alert := range test.Alerts {
			if len(alert.Want) > 0 {
				fires[alert.Name] = true
			} else {
				rests[alert.Name] = true
			}
		}
		for _, expr := range test.Exprs {
			recorded[expr.Expr] = true
		}
	}
	for _, alert := range readRules(t, "alerts.yml") {
		if !fires[alert.Alert] || !rests[alert.Alert] {
			t.Errorf("%s: tested while firing: %v, while not firing: %v", alert.Alert, fires[alert.Alert], rests[alert.Alert])
		}
	}
	for _, rule := range readRules(t, "rules.yml") {
		if !recorded[rule.Record] {
			t.Errorf("%s is not tested", rule.Record)
		}
	}
}

// TestRunbooks: each alert has a severity, a summary, a description and a section of the
// runbook, each section has an alert, and docs/operations.md names them all.
func TestRunbooks(t *testing.T) {
	severities := map[string]bool{"critical": true, "warning": true, "info": true}
	sections := map[string]bool{}
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, heading := range regexp.MustCompile(`(?m)^### (\w+)$`).FindAllStringSubmatch(string(text), -1) {
		sections[strings.ToLower(heading[1])] = true
	}
	operations, err := os.ReadFile(filepath.Join(program.Root(t), "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, alert := range readRules(t, "alerts.yml") {
		if !strings.Contains(string(operations), "`"+alert.Alert+"`") {
			t.Errorf("%s is not in docs/operations.md", alert.Alert)
		}
		if !severities[alert.Labels["severity"]] {
			t.Errorf("%s: severity %q", alert.Alert, alert.Labels["severity"])
		}
		if alert.Annotations["summary"] == "" || alert.Annotations["description"] == "" {
			t.Errorf("%s lacks a summary or a description", alert.Alert)
		}
		path, section, _ := strings.Cut(alert.Annotations["runbook_url"], "#")
		if _, err := os.Stat(filepath.Join(program.Root(t), path)); err != nil || path != "deploy/prometheus/README.md" {
			t.Errorf("%s: no runbook at %q", alert.Alert, path)
		}
		if section != strings.ToLower(alert.Alert) || !sections[section] {
			t.Errorf("%s: no section %q", alert.Alert, section)
		}
		delete(sections, section)
	}
	for section := range sections {
		t.Errorf("no alert for section %s", section)
	}
}

// TestRulesFindData: in a real Prometheus that scrapes a real rollcall, each selector of
// the rules finds series, and each expression has a value if comparisons and offsets are
// removed.
func TestRulesFindData(t *testing.T) {
	server := prometheustest.Busy(t)
	for _, rule := range append(readRules(t, "rules.yml"), readRules(t, "alerts.yml")...) {
		if rule.Alert == "RollcallSourceStalled" {
			continue // this installation has no sites; TestSiteStalls has
		}
		expr, err := parser.NewParser(parser.Options{}).ParseExpr(rule.Expr)
		if err != nil {
			t.Fatalf("%s: %v", rule.Expr, err)
		}
		expr = loosen(expr)
		for _, selector := range selectors(expr) {
			if len(server.Query(selector)) == 0 {
				t.Errorf("%s%s: no series for %s", rule.Alert, rule.Record, selector)
			}
		}
		if len(server.Query(expr.String())) == 0 {
			t.Errorf("%s%s: no value for %s", rule.Alert, rule.Record, expr)
		}
	}
	for _, recorded := range readRules(t, "rules.yml") {
		if len(server.Query(recorded.Record)) == 0 {
			t.Errorf("%s is not recorded", recorded.Record)
		}
	}
	if firing := server.Query(`ALERTS{alertstate="firing"}`); len(firing) > 0 {
		t.Errorf("without a fault, these alerts fire: %v", firing)
	}
	checkHealth(t, server)
}

// checkHealth checks that Prometheus could evaluate all rules.
func checkHealth(t *testing.T, server *prometheustest.Server) {
	t.Helper()
	var data struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	server.Get("/api/v1/rules", nil, &data)
	evaluated := 0
	for _, group := range data.Groups {
		for _, rule := range group.Rules {
			evaluated++
			if rule.Health != "ok" {
				t.Errorf("%s is %s: %s", rule.Name, rule.Health, rule.LastError)
			}
		}
	}
	if want := len(readRules(t, "rules.yml")) + len(readRules(t, "alerts.yml")); evaluated != want {
		t.Errorf("%d of %d rules are evaluated", evaluated, want)
	}
}

// loosen returns the expression without what makes it empty while there is no fault: it
// keeps only the left side of comparisons and of unless, and removes offsets.
func loosen(expr parser.Expr) parser.Expr {
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if selector, ok := node.(*parser.VectorSelector); ok {
			selector.OriginalOffset = 0
		}
		return nil
	})
	return loosened(expr)
}

func loosened(expr parser.Expr) parser.Expr {
	switch e := expr.(type) {
	case *parser.ParenExpr:
		e.Expr = loosened(e.Expr)
	case *parser.AggregateExpr:
		e.Expr = loosened(e.Expr)
	case *parser.BinaryExpr:
		if e.Op.IsComparisonOperator() || e.Op == parser.LUNLESS {
			return loosened(e.LHS)
		}
		e.LHS, e.RHS = loosened(e.LHS), loosened(e.RHS)
	}
	return expr
}

// selectors returns the selectors in an expression, without their ranges.
func selectors(expr parser.Expr) []string {
	var found []string
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if selector, ok := node.(*parser.VectorSelector); ok {
			found = append(found, selector.String())
		}
		return nil
	})
	return found
}
