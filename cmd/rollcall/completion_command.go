package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"rollcall/internal/roster"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help is the text of "rollcall completion --help" before the flags.
func (completionCmd) Help() string {
	return `Prints a script with which the shell completes commands, flags and their values. For bash, put source <(rollcall completion bash) in ~/.bashrc; for zsh the same, with zsh, in ~/.zshrc, after compinit; for fish, run rollcall completion fish > ~/.config/fish/completions/rollcall.fish.

Examples:

    rollcall completion bash > rollcall.bash`
}

// The scripts run "rollcall complete", which prints the candidates for the last word, one
// per line. Without candidates the shell completes file names.
var completionScripts = map[string]string{
	"bash": `_rollcall() {
	local IFS=$'\n'
	COMPREPLY=($(rollcall complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _rollcall rollcall
`,
	"zsh": `#compdef rollcall
_rollcall() {
	local -a candidates
	candidates=("${(@f)$(rollcall complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	if [[ -n "$candidates" ]]; then
		compadd -a candidates
	else
		_files
	fi
}
compdef _rollcall rollcall
`,
	"fish": `function __rollcall
	set -l candidates (rollcall complete -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null)
	if set -q candidates[1]
		printf '%s\n' $candidates
	else
		__fish_complete_path (commandline -ct)
	end
end
complete -c rollcall -f -a '(__rollcall)'
`,
}

// Run prints the script.
func (c *completionCmd) Run(std streams) error {
	_, err := io.WriteString(std.out, completionScripts[c.Shell])
	return err
}

type completeCmd struct {
	Words []string `arg:"" optional:""`
}

// Run prints the candidates for the last word.
func (c *completeCmd) Run(ctx *kong.Context, std streams) error {
	for _, candidate := range completions(ctx.Model.Node, c.Words) {
		if _, err := fmt.Fprintln(std.out, candidate); err != nil {
			return err
		}
	}
	return nil
}

// completions returns the completions of the last of the words after "rollcall".
func completions(root *kong.Node, words []string) []string {
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	if last == "=" { // bash splits --output=json at the =
		last = ""
	}
	command, flag := before(root, words[:len(words)-1])
	name, _, assigned := strings.Cut(last, "=")
	var all []string
	switch {
	case flag != nil:
		all = values(flag.Value)
	case assigned:
		if flag := find(command, name); flag != nil {
			for _, value := range values(flag.Value) {
				all = append(all, name+"="+value)
			}
		}
	case strings.HasPrefix(last, "-"):
		all = flags(command)
	default:
		for _, child := range command.Children {
			if !child.Hidden && child.Name != historyBackup {
				all = append(all, child.Name)
			}
		}
		if parent, name, _ := strings.Cut(historyBackup, " "); command.Name == parent {
			all = append(all, name)
		}
		for _, argument := range command.Positional {
			all = append(all, values(argument)...)
		}
	}
	return slices.DeleteFunc(all, func(candidate string) bool { return !strings.HasPrefix(candidate, last) })
}

// before returns the command that the words name, and the last flag if its value is still
// missing.
func before(root *kong.Node, words []string) (command *kong.Node, flag *kong.Flag) {
	command = root
	for _, word := range words {
		switch {
		case word == "=":
		case flag != nil: // this is its value
			flag = nil
		case strings.HasPrefix(word, "-"):
			if flag = find(command, word); flag != nil && flag.IsBool() {
				flag = nil
			}
		default:
			at := slices.IndexFunc(command.Children, func(child *kong.Node) bool { return child.Name == word })
			if at >= 0 {
				command = command.Children[at]
				continue
			}
			at = slices.IndexFunc(root.Children, func(child *kong.Node) bool { return child.Name == command.Name+" "+word })
			if at >= 0 {
				command = root.Children[at]
			}
		}
	}
	return command, flag
}

// flags returns the flags of a command, such as "--output".
func flags(command *kong.Node) []string {
	var all []string
	for _, group := range command.AllFlags(true) {
		for _, flag := range group {
			all = append(all, "--"+flag.Name)
		}
	}
	slices.Sort(all)
	return all
}

// find returns the flag of a command with this spelling, or nil.
func find(command *kong.Node, word string) *kong.Flag {
	for _, group := range command.AllFlags(true) {
		for _, flag := range group {
			if word == "--"+flag.Name {
				return flag
			}
		}
	}
	return nil
}

// values returns the possible values of a flag or an argument, if they can be listed.
func values(of *kong.Value) []string {
	switch {
	case of.Enum != "":
		return of.EnumSlice()
	case of.Name == "reason":
		var reasons []string
		for _, reason := range roster.Reasons() {
			reasons = append(reasons, string(reason))
		}
		return reasons
	}
	return nil
}
