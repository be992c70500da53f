package main

import (
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// TestMainListsCommands: the package comment names every command, and each has a file
// of its own.
func TestMainListsCommands(t *testing.T) {
	text, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	parser, err := kong.New(new(commands))
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range parser.Model.Children {
		if command.Hidden {
			continue
		}
		if !strings.Contains(string(text), "\n//\trollcall "+command.Name+" ") {
			t.Errorf("the package comment does not list %s", command.Name)
		}
		if _, err := os.Stat(strings.ReplaceAll(command.Name, " ", "") + "_command.go"); err != nil {
			t.Error(err)
		}
	}
}
