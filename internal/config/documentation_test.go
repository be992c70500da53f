package config

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of variables into docs/configuration.md")

// TestDocumentation: the table in docs/configuration.md matches the code. "make
// docs" writes it.
func TestDocumentation(t *testing.T) {
	const path, end = "../../docs/configuration.md", "<!-- end -->"
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := before
	for begin, variables := range map[string][]Variable{
		"<!-- generated: make docs -->\n": Variables(), "<!-- generated, of the agent: make docs -->\n": AgentVariables(),
	} {
		head, rest, found := strings.Cut(string(want), begin)
		_, tail, ended := strings.Cut(rest, end)
		if !found || !ended {
			t.Fatalf("%s lacks %q or %q", path, begin, end)
		}
		want = []byte(head + begin + tableOf(variables) + end + tail)
	}
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if !bytes.Equal(before, want) {
		t.Errorf("%s is not what the code says: run make docs", path)
	}
}

func tableOf(variables []Variable) string {
	var table strings.Builder
	table.WriteString("| variable | meaning | default |\n|---|---|---|\n")
	for _, v := range variables {
		value := v.Default
		if value != "" && value != "none" && !strings.ContainsRune(value, ' ') {
			value = "`" + value + "`"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", v.Name(), v.Meaning, value)
	}
	return table.String()
}
