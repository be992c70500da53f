package config

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/kelseyhightower/envconfig"
)

// prefix begins the names of rollcall's own variables.
const prefix = "ROLLCALL"

// problem is one thing wrong with the environment.
type problem struct{ name, wrong, remedy string }

// Problems are all things wrong with the environment.
type Problems []problem

// NewProblem returns what is wrong with one variable, and what to do.
func NewProblem(name, wrong, remedy string) Problems { return Problems{{name, wrong, remedy}} }

// Error returns one line per problem.
func (p Problems) Error() string { return strings.Join(p.Lines(), "\n") }

func (p Problems) Lines() []string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = fmt.Sprintf("%s: %s; %s", one.name, one.wrong, one.remedy)
	}
	return lines
}

// concerns reports whether a problem is about any of the names.
func (p Problems) concerns(names ...string) bool {
	return slices.ContainsFunc(p, func(one problem) bool {
		return slices.Contains(names, one.name) || slices.Contains(names, strings.TrimPrefix(one.name, prefix+"_"))
	})
}

// orNil returns an error only if there is a problem.
func (p Problems) orNil() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

// read fills spec, a struct of config.go, from the process's environment and
// returns all problems, unknown names included. It unsets variables that are empty,
// since envconfig would let them override the default, and those that are invalid,
// since envconfig stops at the first.
func read(spec any) Problems {
	known := slices.Concat(Variables(), AgentVariables(), CommandVariables())
	for _, v := range known {
		for _, name := range v.names() {
			if os.Getenv(name) == "" {
				os.Unsetenv(name)
			}
		}
	}
	var found Problems
	for {
		err := envconfig.Process(prefix, spec)
		if err == nil {
			//guard:set append(...) found "a misspelt variable is reported, not ignored" ./cmd/rollcall:TestScripts/variables
			return append(found, unknownVariables(known)...)
		}
		var bad *envconfig.ParseError
		var why *fault
		// Any other error, or one in a default, is a mistake in config.go.
		if !errors.As(err, &bad) || !errors.As(bad.Err, &why) {
			return append(found, problem{prefix, err.Error(), "report this as a bug"})
		}
		name := nameInUse(bad.KeyName)
		os.Unsetenv(name)
		found = append(found, problem{name, why.problem, why.remedy})
	}
}

// nameInUse returns the name under which a variable is set: with the prefix, which takes
// precedence, or without.
func nameInUse(key string) string {
	if _, set := os.LookupEnv(key); set {
		return key
	}
	return strings.TrimPrefix(key, prefix+"_")
}

// kubernetesVariables matches the variables that Kubernetes sets in every container of a
// namespace that has a Service whose name begins with "rollcall".
var kubernetesVariables = regexp.MustCompile(`^ROLLCALL_(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT|PORT_[0-9]+_.+)$`)

// unknownVariables returns the variables that have our prefix and are unknown, sorted.
func unknownVariables(known []Variable) Problems {
	var names []string
	for _, v := range known {
		names = append(names, v.names()...)
	}
	var found Problems
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		//guard:drop kubernetesVariables "the variables of Kubernetes are ignored" TestKubernetesVariables
		if value == "" || !strings.HasPrefix(name, prefix+"_") ||
			slices.Contains(names, name) || kubernetesVariables.MatchString(name) {
			continue
		}
		found = append(found, problem{name, "no such variable", hint(name, names)})
	}
	slices.SortFunc(found, func(a, b problem) int { return strings.Compare(a.name, b.name) })
	return found
}

// hint suggests the known variable nearest to a name.
func hint(name string, known []string) string {
	nearest := slices.MinFunc(known, func(a, b string) int {
		return levenshtein.ComputeDistance(strings.ToUpper(name), a) - levenshtein.ComputeDistance(strings.ToUpper(name), b)
	})
	return fmt.Sprintf("did you mean %s? See \"rollcall serve --help\"", nearest)
}
