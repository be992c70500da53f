package main

import (
	"strings"
	"testing"

	"rollcall/internal/config"
)

func TestHelpFitsTheScreen(t *testing.T) {
	for _, command := range []string{"", "serve", "publish", "report", "healthcheck", "version"} {
		r := rollcall(t.Context(), nil, strings.Fields("help "+command)...)
		for line := range strings.Lines(r.out) {
			if len(strings.TrimSuffix(line, "\n")) > helpWidth {
				t.Errorf("help %s: more than %d columns: %s", command, helpWidth, line)
			}
		}
		if r.code != exitDone || r.err != "" {
			t.Errorf("help %s: %+v", command, r)
		}
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
