package config

import (
	"bytes"
	"strings"
	"testing"

	"github.com/kelseyhightower/envconfig"
)

// TestVariables: the names that are listed are those that envconfig reads.
func TestVariables(t *testing.T) {
	for spec, listed := range map[any][]Variable{new(Serve): Variables(), new(AgentSettings): AgentVariables()} {
		var read bytes.Buffer
		if err := envconfig.Usagef(prefix, spec, &read, "{{range .}}{{.Key}} {{.Alt}}\n{{end}}"); err != nil {
			t.Fatal(err)
		}
		var list strings.Builder
		for _, v := range listed {
			list.WriteString(v.key + " " + v.bare + "\n")
		}
		if list.String() != read.String() {
			t.Errorf("listed are\n%s, read are\n%s", &list, &read)
		}
	}
}
