package config

import (
	"bytes"
	"fmt"
	"strings"
	"text/template"

	"github.com/kelseyhightower/envconfig"
)

// Variable describes one variable of the structs in config.go.
type Variable struct {
	key  string // with the prefix
	bare string // without it, if that name is read too
	// Default is the value when the variable is not set; empty: none.
	Default string
	Meaning string
}

// names returns the names under which it is read, by precedence.
func (v Variable) names() []string {
	if v.bare == "" {
		return []string{v.key}
	}
	return []string{v.key, v.bare}
}

// Name returns the name to list it under.
func (v Variable) Name() string {
	if v.bare != "" {
		return v.bare
	}
	return v.key
}

var table = template.Must(template.New("variables").Parse(
	`{{range .}}{{.Key}}|{{.Alt}}|{{or (.Tags.Get "shown") (.Tags.Get "default")}}|{{.Tags.Get "desc"}}
{{end}}`))

// Variables returns the variables of the service, in the order of config.go.
func Variables() []Variable { return variablesOf(new(Serve)) }

// AgentVariables returns the variables that only the agent has.
func AgentVariables() []Variable { return variablesOf(new(AgentSettings)) }

func variablesOf(spec any) []Variable {
	var list bytes.Buffer
	if err := envconfig.Usaget(prefix, spec, &list, table); err != nil {
		panic(fmt.Sprintf("listing variables: %v", err)) // a mistake in config.go
	}
	var all []Variable
	for line := range strings.Lines(list.String()) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), "|", 4)
		all = append(all, Variable{f[0], f[1], f[2], f[3]})
	}
	return all
}
