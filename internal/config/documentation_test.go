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
	const path, begin, end = "../../docs/configuration.md", "<!-- generated: make docs -->\n", "<!-- end -->"
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(before), begin)
	_, tail, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s lacks %q or %q", path, begin, end)
	}
	var table strings.Builder
	table.WriteString("| variable | meaning | default |\n|---|---|---|\n")
	for _, v := range Variables() {
		value := v.Default
		if value != "" && value != "none" && !strings.ContainsRune(value, ' ') {
			value = "`" + value + "`"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", v.Name(), v.Meaning, value)
	}
	want := []byte(head + begin + table.String() + end + tail)
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if !bytes.Equal(before, want) {
		t.Errorf("%s is not what the code says: run make docs", path)
	}
}
