package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/template"

	"github.com/kelseyhightower/envconfig"
)

// variable is what the structs of config.go say about one.
type variable struct {
	key     string // with the prefix
	bare    string // without it, if it is read so too
	value   string // what it is when it is not set
	meaning string
}

// names returns the names that it is read under, that which wins first.
func (v variable) names() []string {
	if v.bare == "" {
		return []string{v.key}
	}
	return []string{v.key, v.bare}
}

// name returns the name to list it under.
func (v variable) name() string {
	if v.bare != "" {
		return v.bare
	}
	return v.key
}

var listing = template.Must(template.New("variables").Parse(
	`{{range .}}{{.Key}}|{{.Alt}}|{{or (.Tags.Get "shown") (.Tags.Get "default")}}|{{.Tags.Get "desc"}}
{{end}}`))

// variables returns all variables in the order of config.go.
func variables() []variable {
	var list bytes.Buffer
	if err := envconfig.Usaget(prefix, new(serveConfig), &list, listing); err != nil {
		panic(fmt.Sprintf("listing variables: %v", err)) // a mistake in config.go
	}
	var all []variable
	for line := range strings.Lines(list.String()) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), "|", 4)
		all = append(all, variable{f[0], f[1], f[2], f[3]})
	}
	return all
}

// helpWidth is how many columns help has.
const helpWidth = 80

// printVariables prints the table of all variables.
func printVariables(w io.Writer) error {
	var b strings.Builder
	b.WriteString("\nVariables, with defaults in brackets. An empty one counts as not set. Each\n" +
		"NATS_ name is also read with ROLLCALL_ before it, and then wins.\n\n")
	all := variables()
	column := 0
	for _, v := range all {
		column = max(column, len(v.name()))
	}
	column += 4 // two spaces before the name, two after
	for _, v := range all {
		meaning := v.meaning
		if v.value != "" {
			meaning += " [" + v.value + "]"
		}
		for i, line := range wrap(meaning, helpWidth-column) {
			name := ""
			if i == 0 {
				name = "  " + v.name()
			}
			fmt.Fprintf(&b, "%-*s%s\n", column, name, line)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// wrap breaks text at spaces into lines of at most width columns.
func wrap(text string, width int) []string {
	var lines []string
	for word := range strings.FieldsSeq(text) {
		if n := len(lines) - 1; n >= 0 && len(lines[n])+1+len(word) <= width {
			lines[n] += " " + word
			continue
		}
		lines = append(lines, word)
	}
	return lines
}
