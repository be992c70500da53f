// Package internal has the rule of who may import whom, as a test.
package internal

import (
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const here = "rollcall/internal/"

// everybody may import these.
var everybody = []string{here + "roster", here + "failpoint", here + "datadir", here + "throttle", "rollcall/proto/rollcall/v1"}

// allowed are the arrows beside those. Whoever asks ([client], the commands) imports
// no package of the service; only internal/service knows them all.
var allowed = map[string][]string{
	"roster":     {"roster/mem"},
	"ingest":     {"stream", "wire"},
	"report":     {"api"},
	"changes":    {"api"},
	"query":      {"api", "history", "report"},
	"natsserver": {"natsconn"},
	"lease":      {"natsconn"},
	"handover":   {"history", "snapshot"},
	"config":     {"inventory", "natsconn", "wire"},
	"inventory":  {"wire"},
	"enroll":     {"wire"},
	"client":     {"api", "config", "natsconn", "rollcall/proto/rollcall/v1/rollcallpb"},
	"publish":    {"natsconn", "wire"},
	"web":        {"api", "client", "moment", "web/access", "web/fleet"},
	"web/fleet":  {"api"},
	"web/access": {"config", "httpd"},
	"web/server": {"client", "config", "httpd", "web", "web/access"},
	"agent":      {"agent/journal", "agent/logind", "agent/spool", "wire"},
	"agent/command": {
		"agent", "agent/spool", "config", "natsconn", "wire",
	},
	"service": {
		"api", "changes", "config", "handover", "httpd", "ingest", "metrics", "natsconn", "natsserver",
		"history", "inventory", "lease", "query", "report", "sdnotify", "snapshot", "stream", "web/server",
	},
}

// commands are the packages that each command may import, and those that only the file
// of one command may.
var (
	commands  = []string{"agent/command", "api", "client", "config", "inventory", "moment", "natsconn", "publish", "wire"}
	ofCommand = map[string][]string{
		"serve_command.go":         {"httpd", "service"},
		"web_command.go":           {"httpd", "sdnotify", "web/server"},
		"enroll_command.go":        {"enroll"},
		"snapshot_command.go":      {"snapshot"},
		"healthcheck_command.go":   {"httpd"},
		"historybackup_command.go": {"history"},
		"standby_command.go":       {"handover"},
	}
)

// TestArrows: the packages under internal know the roster, the contract and what is
// listed here; the roster imports the standard library and roster/mem only.
func TestArrows(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "rollcall/internal/...", "rollcall/proto/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		names := strings.Fields(line)
		from, imports := names[0], names[1:]
		for _, to := range imports {
			if !mayImport(from, to) {
				t.Errorf("%s imports %s", from, to)
			}
		}
	}
}

func mayImport(from, to string) bool {
	first, _, _ := strings.Cut(to, "/")
	pkg := strings.TrimPrefix(from, here)
	switch {
	case strings.HasPrefix(pkg, "test/"):
		return true
	case first != "rollcall":
		return pkg != "roster" && pkg != "roster/mem" || !strings.Contains(first, ".")
	case slices.Contains(allowed[pkg], strings.TrimPrefix(to, here)):
		return true
	}
	return slices.Contains(everybody, to) && from != to && !strings.HasPrefix(pkg, "roster") && pkg != "api"
}

// TestArrowsOfCommands: the commands import what a client needs, and no package of
// the service.
func TestArrowsOfCommands(t *testing.T) {
	files, err := filepath.Glob("../cmd/rollcall/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		name := filepath.Base(path)
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			to, _ := strconv.Unquote(spec.Path.Value)
			pkg, ours := strings.CutPrefix(to, here)
			if ours && !slices.Contains(everybody, to) && !slices.Contains(commands, pkg) && !slices.Contains(ofCommand[name], pkg) {
				t.Errorf("cmd/rollcall/%s imports %s", name, to)
			}
		}
	}
}
