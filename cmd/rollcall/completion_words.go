package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"rollcall/internal/api"
	"rollcall/internal/client"
	"rollcall/internal/config"
	"rollcall/internal/roster"
)

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
		if flag := findFlag(command, name); flag != nil {
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
			if flag = findFlag(command, word); flag != nil && flag.IsBool() {
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

// findFlag returns the flag of a command with this spelling, such as --output or -o, or nil.
func findFlag(command *kong.Node, word string) *kong.Flag {
	for _, group := range command.AllFlags(true) {
		for _, flag := range group {
			if word == "--"+flag.Name || flag.Short != 0 && word == "-"+string(flag.Short) {
				return flag
			}
		}
	}
	return nil
}

// values returns the possible values of a flag or an argument, if they can be listed. Of
// names, those that begin with a text.
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
// it does not answer in time, there are none. Names that begin with a - are left out: they
// would be read as flags.
func namesThat(ctx context.Context, kind string, words []string, text string) []string {
	ctx, cancel := context.WithTimeout(ctx, completeWithin)
	defer cancel()
	found := make(chan []string, 1)
	go func() { found <- findThat(ctx, kind, words, text) }()
	select {
	case names := <-found:
		return slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, text) || strings.HasPrefix(name, "-") })
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
	words = slices.DeleteFunc(slices.Clone(words), func(word string) bool { return word == "=" }) // bash divides there
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
