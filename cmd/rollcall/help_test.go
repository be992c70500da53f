package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"rollcall/internal/config"
	"rollcall/internal/test/kit"
)

// leaves returns the commands, as words.
func leaves(t *testing.T) [][]string {
	t.Helper()
	parser, err := kong.New(new(commands), kong.Name("rollcall"))
	if err != nil {
		t.Fatal(err)
	}
	var all [][]string
	for _, leaf := range parser.Model.Leaves(true) {
		all = append(all, strings.Fields(strings.TrimPrefix(leaf.FullPath(), "rollcall ")))
	}
	return all
}

// TestHelpFitsTheScreen: no line of any help is too wide, and the overview, with every
// command, fits a screen.
func TestHelpFitsTheScreen(t *testing.T) {
	for _, command := range append(leaves(t), nil) {
		r := rollcall(t.Context(), nil, append([]string{"help"}, command...)...)
		for line := range strings.Lines(r.out) {
			if len(strings.TrimSuffix(line, "\n")) > helpWidth {
				t.Errorf("help %v: more than %d columns: %s", command, helpWidth, line)
			}
		}
		if r.code != exitDone || r.err != "" {
			t.Errorf("help %v: %+v", command, r)
		}
		if lines := strings.Count(r.out, "\n"); command == nil && lines > helpHeight {
			t.Errorf("the overview has %d lines, more than %d", lines, helpHeight)
		}
	}
}

// TestOverviewHasAllCommands: each command is in one group of the overview.
func TestOverviewHasAllCommands(t *testing.T) {
	parser, err := kong.New(new(commands), kong.Name("rollcall"))
	if err != nil {
		t.Fatal(err)
	}
	var grouped, all []string
	for _, group := range commandGroups {
		grouped = append(grouped, group.commands...)
	}
	for _, command := range parser.Model.Children {
		if !command.Hidden {
			all = append(all, command.Name)
		}
	}
	slices.Sort(grouped)
	slices.Sort(all)
	if !slices.Equal(grouped, all) {
		t.Errorf("in the overview are %q, there are %q", grouped, all)
	}
}

func TestHelpListsEveryVariable(t *testing.T) {
	help := rollcall(t.Context(), nil, "serve", "--help").out
	for _, v := range config.Variables() {
		if !strings.Contains(help, "\n  "+v.Name()+" ") {
			t.Errorf("%s is not in the help", v.Name())
		}
	}
}

// TestHelpNamesTheServer: the help of each command that connects says by which flags and
// variables.
func TestHelpNamesTheServer(t *testing.T) {
	for _, command := range strings.Fields("report who where history watch status deadletters publish streams web") {
		help := rollcall(t.Context(), nil, command, "--help").out
		for _, name := range []string{"NATS_URL", "NATS_CONTEXT", "-s, --server", "--creds", "--context"} {
			if !strings.Contains(help, name) {
				t.Errorf("the help of %s does not contain %s", command, name)
			}
		}
	}
}

var example = regexp.MustCompile(`(?m)^    ((?:[A-Z_]+=\S+ )?rollcall .*|cd .*)$`)

// TestExamples: the help of every command has examples, and they work. Those of commands
// that run until a signal, or need another program or an active service, are only parsed.
func TestExamples(t *testing.T) {
	p := serve(t, t.TempDir())
	dir := t.TempDir()
	for name, text := range map[string]string{
		"events.jsonl": `{"date":"2026-11-22 21:00:00","type":"login","machine":"web1","user":"lane"}` + "\n",
		"ca.pem":       "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	good, err := os.ReadFile("../../internal/snapshot/testdata/format-1.rollcall")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "snapshot-00000000000000000006.rollcall"), good, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	sh := func(script string) {
		t.Helper()
		cmd := exec.Command("sh", "-ec", script)
		cmd.Dir = dir
		cmd.Env = kit.Only(
			"PATH="+binary+string(os.PathListSeparator)+os.Getenv("PATH"), "NATS_URL="+p.nats, "ROLLCALL_DATA_DIR="+p.dir,
			"ROLLCALL_PAGE_ADDR="+strings.Trim(p.says("page", "url"), "htp:/"),
			"ROLLCALL_HTTP_ADDR="+strings.TrimSuffix(strings.TrimPrefix(p.metrics, "http://"), "/metrics"),
		)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", script, err, out)
		}
	}
	sh("rollcall publish events.jsonl")
	kit.Eventually(t, func() bool { return strings.HasPrefix(p.tool("", "who", "web1", "--at", "-1s").err, "web1: at") }, "the history knows web1")
	for _, command := range leaves(t) {
		name := strings.Join(command, " ")
		found := example.FindAllStringSubmatch(rollcall(t.Context(), nil, append(command, "--help")...).out, -1)
		switch {
		case len(found) == 0 && name != "agent tell":
			t.Errorf("the help of %s has no examples", name)
		case slices.Contains([]string{"serve", "web", "watch", "agent run", "agent status", "standby fetch"}, name):
			for _, line := range found {
				wantParsed(t, line[1])
			}
		default:
			var script []string
			for _, line := range found {
				script = append(script, line[1])
			}
			sh(strings.Join(script, "\n"))
		}
	}
}

// wantParsed parses an example.
func wantParsed(t *testing.T, line string) {
	t.Helper()
	_, line, _ = strings.Cut(line, "rollcall ")
	words, err := exec.Command("sh", "-c", "printf '%s\\n' "+line).Output()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parse(strings.Split(strings.TrimSpace(string(words)), "\n"), streams{err: io.Discard, out: io.Discard}); err != nil {
		t.Error(fmt.Errorf("%s: %w", line, err))
	}
}
