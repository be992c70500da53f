package grafanatest

import (
	"fmt"
	"maps"
	"regexp"
	"strings"
)

// builtin has values of Grafana's own variables.
var builtin = map[string]string{"__rate_interval": "1m", "__interval": "15s", "__range": "5m"}

var reference = regexp.MustCompile(`\$(?:(\w+)|\{([\w:]+)\})`)

// Interpolate replaces the variables in text. A variable without a value is an error.
func Interpolate(text string, values map[string]string) (string, error) {
	var unknown []string
	text = reference.ReplaceAllStringFunc(text, func(found string) string {
		name := strings.Trim(found, "${}")
		value, ok := values[name]
		if !ok {
			unknown = append(unknown, name)
		}
		return value
	})
	if unknown != nil {
		return "", fmt.Errorf("no variable %q", unknown)
	}
	return text, nil
}

// Chosen returns the values of the variables for a choice. A variable that can be All and
// is not in it is All. As in Grafana, the choice is escaped for a regular expression if
// the variable can have several values, else for a string.
func Chosen(d *Dashboard, choice map[string]string) map[string]string {
	values := maps.Clone(builtin)
	for _, v := range d.Templating.List {
		value, ok := choice[v.Name]
		switch {
		case ok && v.Multi:
			values[v.Name] = strings.ReplaceAll(regexp.QuoteMeta(value), `\`, `\\`)
		case ok:
			values[v.Name] = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value)
		case v.IncludeAll:
			values[v.Name] = v.AllValue
		case v.Type == "textbox":
			values[v.Name] = v.Expr()
		}
	}
	return values
}
