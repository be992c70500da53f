package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
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
// per line. If it fails, the shell completes file names. Names of machines and users are
// hostile: whoever may publish events can choose one. bash puts candidates on the command
// line as they are, so they are quoted for it; zsh and fish quote by themselves.
var completionScripts = map[string]string{
	"bash": `_rollcall() {
	local candidates
	COMPREPLY=()
	candidates=$(rollcall complete --shell bash -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null) || {
		compopt -o default 2>/dev/null
		return
	}
	while IFS= read -r candidate; do
		[ -z "$candidate" ] || COMPREPLY+=("$candidate")
	done <<<"$candidates"
}
complete -F _rollcall rollcall
`,
	"zsh": `#compdef rollcall
_rollcall() {
	local out
	local -a candidates
	if out=$(rollcall complete --shell zsh -- "${(@Q)words[2,CURRENT]}" 2>/dev/null); then
		candidates=("${(@f)out}")
		candidates=("${(@)candidates:#}")
		(( $#candidates )) && compadd -a candidates
	else
		_files
	fi
}
compdef _rollcall rollcall
`,
	"fish": `function __rollcall
	set -l last (commandline -ct | string unescape)
	set -l candidates (rollcall complete --shell fish -- (commandline -opc)[2..] "$last" 2>/dev/null)
	if test $status -eq 0
		test -n "$candidates[1]"; and printf '%s\n' $candidates
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
	Shell string   `enum:"bash,zsh,fish" default:"zsh"`
	Words []string `arg:"" optional:""`
}

// Run prints the candidates for the last word. It fails if that is the name of a file.
func (c *completeCmd) Run(ctx context.Context, parsed *kong.Context, std streams) error {
	words, kept := c.Words, ""
	if c.Shell == "bash" {
		words, kept = joinBash(words)
	}
	candidates, files := completions(ctx, parsed.Model.Node, words)
	if files {
		return errReported
	}
	for _, candidate := range candidates {
		if candidate != oneLine(candidate) {
			continue // no name of rollcall's, and it might break out of its line
		}
		if c.Shell == "bash" {
			candidate = strings.TrimPrefix(quoteForBash(candidate), kept)
		}
		if _, err := fmt.Fprintln(std.out, candidate); err != nil {
			return err
		}
	}
	return nil
}
