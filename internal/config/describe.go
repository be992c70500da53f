package config

import (
	"fmt"
	"strings"
)

// Describe returns a table of variables, with their meanings and defaults, in lines of at
// most so many columns.
func Describe(list []Variable, width int) string {
	var b strings.Builder
	column := 0
	for _, v := range list {
		column = max(column, len(v.Name()))
	}
	column += 4 // two spaces before the name, two after
	for _, v := range list {
		meaning := v.Meaning
		if v.Default != "" {
			meaning += " [" + v.Default + "]"
		}
		for i, line := range Wrap(meaning, width-column) {
			name := ""
			if i == 0 {
				name = "  " + v.Name()
			}
			fmt.Fprintf(&b, "%-*s%s\n", column, name, line)
		}
	}
	return b.String()
}

// Wrap breaks text at spaces into lines of at most width columns.
func Wrap(text string, width int) []string {
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
