package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"rollcall/internal/agent/command"
	"rollcall/internal/config"
)

// helpWidth and helpHeight are the size of the help text, in columns and lines: that of
// rollcall itself fits a terminal, that of a command may be longer.
const (
	helpWidth  = 80
	helpHeight = 24
)

// printHelp prints the help of rollcall or of a command; that of serve, web and the agent
// lists the variables, too.
func printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	selected := ctx.Selected()
	if selected == nil && !slices.ContainsFunc(ctx.Path, func(p *kong.Path) bool { return p.Command != nil }) {
		_, err := io.WriteString(ctx.Stdout, overview(ctx.Model.Node))
		return err
	}
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil {
		return err
	}
	switch {
	case selected == nil:
	case selected.Name == "serve":
		return printVariables(ctx.Stdout, config.Variables())
	case selected.Name == "web":
		return printVariables(ctx.Stdout, config.PageVariables())
	case selected.FullPath() == "rollcall agent run":
		_, err := io.WriteString(ctx.Stdout, "\n"+command.Variables())
		return err
	}
	return nil
}

// commandGroups are the commands in the order of the overview.
var commandGroups = []struct {
	title    string
	commands []string
}{
	{"Ask", []string{"report", "who", "where", "history", "watch"}},
	{"Publish", []string{"publish", "agent"}},
	{"Run", []string{"serve", "web", "enroll", "streams"}},
	{"Look after", []string{"status", "deadletters", "healthcheck", "history backup", "standby", "snapshot", "completion", "version"}},
}

// overview returns the help of rollcall itself, which fits one screen.
func overview(root *kong.Node) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: rollcall <command>   %s\n\n", root.Help)
	for _, group := range commandGroups {
		title := group.title
		for _, name := range group.commands {
			at := slices.IndexFunc(root.Children, func(command *kong.Node) bool { return command.Name == name })
			fmt.Fprintf(&b, "%-12s%-18s%s\n", title, nameInOverview(root.Children[at]), root.Children[at].Help)
			title = ""
		}
	}
	b.WriteString(`
"rollcall <command> --help" explains a command, with examples.
The NATS server: --server, --context or NATS_URL; else the one serve starts.
`)
	return b.String()
}

// nameInOverview returns the name under which the overview lists a command: with its only
// subcommand, if it has one.
func nameInOverview(command *kong.Node) string {
	if len(command.Children) == 1 {
		return command.Name + " " + command.Children[0].Name
	}
	return command.Name
}

// printVariables prints the table of variables.
func printVariables(w io.Writer, variables []config.Variable) error {
	_, err := io.WriteString(w, "\nEnvironment variables, with defaults in brackets. An empty one counts as unset.\n"+
		"A NATS_ variable with the prefix ROLLCALL_ overrides the one without it.\n\n"+config.Describe(variables, helpWidth))
	return err
}
