package main

import (
	"os"
	"path/filepath"
	"testing"

	"rollcall/internal/roster"
)

// TestReportExpected: of an inventory those machines are printed that were never heard from,
// not those on which nobody is, or that were shut down.
func TestReportExpected(t *testing.T) {
	on := roster.Session{User: "lane", ID: "1"}
	answering(t, fold(map[uint64]roster.Event{
		1: {Type: roster.Login, Machine: "db1", Session: on},
		2: {Type: roster.Login, Machine: "nobody", Session: on},
		3: {Type: roster.Logout, Machine: "nobody", Session: on},
		4: {Type: roster.Login, Machine: "off", Session: on},
		5: {Type: roster.Shutdown, Machine: "off"},
		6: {Type: roster.Login, Machine: "not in the inventory", Session: on},
	}, 6), true)
	file := filepath.Join(t.TempDir(), "machines.txt")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("web9\ndb1\n\noff\nspace ship\nnobody\nweb9\n")
	rollcall(t.Context(), nil, "report", "--expected", file).check(t, exitDone, "space ship\nweb9\n", "machines never heard from: 2 of 5\n")
	rollcall(t.Context(), nil, "report", "--expected", file, "--output", "json").check(t, exitDone, `{"expected":5,"unheard":["space ship","web9"]}`+"\n", "")
	write("db1\noff")
	rollcall(t.Context(), nil, "report", "--expected", file).check(t, exitDone, "", "machines never heard from: 0 of 2\n")
	rollcall(t.Context(), nil, "report", "--expected", file, "--output", "json").check(t, exitDone, `{"expected":2,"unheard":[]}`+"\n", "")
	write("db1\na\tb\n")
	rollcall(t.Context(), nil, "report", "--expected", file).check(t, exitFailed, "", "rollcall: report: "+file+`, line 2: "a\tb" is no name: control character U+0009 at byte 1`+"\n")
}
