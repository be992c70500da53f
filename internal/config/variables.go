package config

import (
	"cmp"
	"reflect"
	"regexp"
	"strings"
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

// Variables returns the variables of the service, in the order of config.go.
func Variables() []Variable { return variablesOf(reflect.TypeFor[Serve]()) }

// PageVariables returns the variables of the page, in the order of config.go.
func PageVariables() []Variable { return variablesOf(reflect.TypeFor[ForPage]()) }

// AgentVariables returns the variables that only the agent has.
func AgentVariables() []Variable { return variablesOf(reflect.TypeFor[AgentSettings]()) }

// CommandVariables returns the variables that only the commands have that ask or publish.
func CommandVariables() []Variable { return variablesOf(reflect.TypeFor[ContextName]()) }

// variablesOf lists the variables of a struct by the rules of envconfig, whose own list is a
// template: a program with text/template is a quarter larger, as the linker then keeps every
// exported method.
func variablesOf(spec reflect.Type) (all []Variable) {
	for f := range spec.Fields() {
		if !f.IsExported() {
			continue
		}
		if f.Anonymous {
			all = append(all, variablesOf(f.Type)...)
			continue
		}
		bare := f.Tag.Get("envconfig")
		name := cmp.Or(bare, strings.ToUpper(words.ReplaceAllString(f.Name, "${1}${3}_${2}${4}")))
		all = append(all, Variable{prefix + "_" + name, bare, cmp.Or(f.Tag.Get("shown"), f.Tag.Get("default")), f.Tag.Get("desc")})
	}
	return all
}

// words matches what is before and after the end of a word in names such as HTTPAddr and
// StandbyTTL.
var words = regexp.MustCompile(`([a-z])([A-Z])|([A-Z])([A-Z][a-z])`)
