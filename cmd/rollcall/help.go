package main

import (
	"fmt"
	"io"
	"strings"

	"rollcall/internal/config"
)

// helpWidth is the width of the help text in columns.
const helpWidth = 80

// printVariables prints the table of all variables.
func printVariables(w io.Writer) error {
	var b strings.Builder
	b.WriteString("\nEnvironment variables, with defaults in brackets. An empty one counts as unset.\n" +
		"A NATS_ variable with the prefix ROLLCALL_ overrides the one without it.\n\n")
	all := config.Variables()
	column := 0
	for _, v := range all {
		column = max(column, len(v.Name()))
	}
	column += 4 // two spaces before the name, two after
	for _, v := range all {
		meaning := v.Meaning
		if v.Default != "" {
			meaning += " [" + v.Default + "]"
		}
		for i, line := range wrap(meaning, helpWidth-column) {
			name := ""
			if i == 0 {
				name = "  " + v.Name()
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
