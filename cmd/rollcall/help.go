package main

import (
	"io"

	"rollcall/internal/config"
)

// helpWidth is the width of the help text in columns.
const helpWidth = 80

// printVariables prints the table of all variables.
func printVariables(w io.Writer) error {
	_, err := io.WriteString(w, "\nEnvironment variables, with defaults in brackets. An empty one counts as unset.\n"+
		"A NATS_ variable with the prefix ROLLCALL_ overrides the one without it.\n\n"+config.Describe(config.Variables(), helpWidth))
	return err
}
