package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/alecthomas/kong"

	"rollcall/internal/api"
	"rollcall/internal/client"
	"rollcall/internal/config"
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
	words := slices.Clone(c.Words)
	var before string
	if c.Shell == "bash" {
		words, before = joinBash(words)
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
			candidate = strings.TrimPrefix(quoteForBash(candidate), before)
		}
		if _, err := fmt.Fprintln(std.out, candidate); err != nil {
			return err
		}
	}
	return nil
}

// joinBash joins the words that bash has divided at ":" and "@", and takes backslashes away.
// before is how much of the last word stays on the command line: bash replaces only what
// follows the last divider.
func joinBash(words []string) (joined []string, before string) {
	divides := func(word string) bool { return word == ":" || word == "@" }
	for i, word := range words {
		if i == 0 || !divides(word) && !divides(words[i-1]) {
			joined, before = append(joined, word), ""
			continue
		}
		last := &joined[len(joined)-1]
		if before = *last; divides(word) {
			before += word
		}
		*last += word
	}
	for i := range joined {
		joined[i] = unquoteBash(joined[i])
	}
	return joined, before
}

// unquoteBash takes the backslashes of a word away. What has quotation marks or an
// expansion is not a name that can be completed: nothing begins with the word returned.
func unquoteBash(word string) string {
	var b strings.Builder
	quoted := false
	for _, r := range word {
		switch {
		case quoted:
			b.WriteRune(r)
			quoted = false
		case r == '\\':
			quoted = true
		case strings.ContainsRune("\"'`$", r):
			return "\x00"
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// quoteForBash puts a backslash before each character but letters, digits and . _ @ : + - =
// and /, which mean nothing to a shell.
func quoteForBash(text string) string {
	var b strings.Builder
	for _, r := range text {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._@:+-=/", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// completions returns the completions of the last of the words after "rollcall", or that
// it is the name of a file.
func completions(ctx context.Context, root *kong.Node, words []string) (all []string, files bool) {
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	if last == "=" { // bash splits --output=json at the =
		last = ""
	}
	command, flag := before(root, words[:len(words)-1])
	name, text, assigned := strings.Cut(last, "=")
	complete := func(of *kong.Value, prefix, text string) {
		for _, value := range values(ctx, of, words, text) {
			all = append(all, prefix+value)
		}
		files = files || isFile(of)
	}
	switch {
	case flag != nil:
		complete(flag.Value, "", last)
	case assigned && strings.HasPrefix(last, "-"):
		if flag := find(command, name); flag != nil {
			complete(flag.Value, name+"=", text)
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
			complete(argument, "", last)
		}
	}
	return slices.DeleteFunc(all, func(candidate string) bool { return !strings.HasPrefix(candidate, last) }), files
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

// values returns the possible values of a flag or an argument that begin with a text, if
// they can be listed.
func values(ctx context.Context, of *kong.Value, words []string, text string) []string {
	switch kind := of.Tag.Get("complete"); {
	case of.Enum != "":
		return slices.DeleteFunc(of.EnumSlice(), func(value string) bool { return value == "" }) // if it may be left out
	case of.Name == "reason":
		var reasons []string
		for _, reason := range roster.Reasons() {
			reasons = append(reasons, string(reason))
		}
		return reasons
	case kind != "":
		return namesThat(ctx, kind, words, text)
	}
	return nil
}

// isFile reports whether a value is the name of a file or folder.
func isFile(of *kong.Value) bool {
	return strings.EqualFold(of.Name, "file") || of.Flag != nil && slices.Contains([]string{"FILE", "DIR"}, of.Flag.PlaceHolder)
}

// completeWithin is how long completing a word may take, with the connection; maxCompleted,
// how many names are completed.
const (
	completeWithin = 300 * time.Millisecond
	maxCompleted   = 200
)

// namesThat asks the service for the machines or users whose names begin with a text. If
// it does not answer in time, there are none.
func namesThat(ctx context.Context, kind string, words []string, text string) []string {
	ctx, cancel := context.WithTimeout(ctx, completeWithin)
	defer cancel()
	found := make(chan []string, 1)
	go func() { found <- findThat(ctx, kind, words, text) }()
	select {
	case names := <-found:
		return slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, text) })
	case <-ctx.Done():
		return nil
	}
}

func findThat(ctx context.Context, kind string, words []string, text string) []string {
	cfg, err := config.ReadClient(givenIn(words))
	if err != nil {
		return nil
	}
	ctx, conn, err := client.Connect(ctx, cfg)
	if err != nil {
		return nil
	}
	defer conn.Close()
	request := api.FindRequest{Text: text, Kind: kind, Limit: new(uint32(maxCompleted))}
	data, err := client.One(ctx, conn, cfg.Subjects().Query("find"), request)
	if err != nil {
		return nil
	}
	a, err := api.Decode[api.FindAnswer](data)
	if err != nil {
		return nil
	}
	return append(a.Machines, a.Users...)
}

// givenIn returns what the words say of the connection.
func givenIn(words []string) *config.Given {
	g := new(config.Given)
	for name, value := range map[string]*string{"--server": &g.Server, "-s": &g.Server, "--creds": &g.Creds, "--context": &g.Context} {
		for i, word := range words {
			if word == name && i+1 < len(words)-1 {
				*value = words[i+1]
			} else if given, ok := strings.CutPrefix(word, name+"="); ok {
				*value = given
			}
		}
	}
	return g
}
