package main

import (
	"strings"
	"testing"

	"rollcall/internal/test/kit"
)

// TestFinding: on a terminal a name that nobody has is answered with the one that contains
// it, named in the first line. Wherever a program may read, it is an error: it must never
// be told of another machine than it asked about.
func TestFinding(t *testing.T) {
	p := serve(t, t.TempDir())
	kit.Environment(t, map[string]string{"NATS_URL": p.nats})
	for i, on := range [][2]string{{"db1", "anna"}, {"DB10", `CORP\anna`}, {"mail.example.com", "Öle"}, {"we[b", "bob"}, {"web", "bob"}, {"web*", "bob"}} {
		if got := p.tool("", "publish", "--login", on[1], "--machine", on[0]); got.code != exitDone {
			t.Fatalf("%+v", got)
		}
		p.reaches(i + 1)
	}
	for _, test := range []struct {
		args     string
		terminal int    // the exit code there
		first    string // and its first line
		pipe     int    // the exit code in a pipe
		errors   string // are in what is printed there
	}{
		{"who db1", exitDone, "db1: ", exitDone, ""},
		{"who DB10", exitDone, "DB10: ", exitDone, ""},
		{"who db10", exitDone, "DB10: ", exitFailed, "\nrollcall:   DB10\n"},
		{"who MAIL", exitDone, "mail.example.com: ", exitFailed, "\nrollcall:   mail.example.com\n"},
		{"who b1", exitFailed, `rollcall: who: rollcall answers: machine: "b1" is unknown`, exitFailed, "\nrollcall:   db1\nrollcall:   DB10\n"},
		{"who nothing", exitFailed, `rollcall: who: rollcall answers: machine: "nothing" is unknown`, exitFailed, "accepted no event from it\n"},
		{"who MAIL -o json", exitFailed, "rollcall: who: ", exitFailed, "\nrollcall:   mail.example.com\n"},
		{"who MAIL -o tsv", exitFailed, "rollcall: who: ", exitFailed, "\nrollcall:   mail.example.com\n"},
		{"who we[b", exitDone, "we[b: ", exitDone, ""}, // no glob
		{"who [wx]eb", exitDone, "USER", exitDone, "1 of 1 machine in use"},
		{"who web*", exitDone, "USER", exitDone, "2 of 2 machines in use"}, // and the one of this name
		{"who db1 --user anna", exitDone, "USER", exitDone, "1 session of 1 user on 1 machine"},
		{"who db1 --user bob", exitDone, "no sessions match db1 --user bob", exitDone, "no sessions match db1 --user bob\n"},
		{"who db1 --user CORP", exitDone, `CORP\anna:`, exitFailed, "\nrollcall:   CORP\\anna\n"},
		{"who --user nobody", exitFailed, `rollcall: who: rollcall answers: user: "nobody" is unknown`, exitFailed, "accepted no event about this user\n"},
		{"who nothing --user anna", exitFailed, `rollcall: who: rollcall answers: machine: "nothing" is unknown`, exitFailed, "accepted no event from it\n"},
		{"report MAIL", exitDone, "mail.example.com: Öle", exitFailed, "\nrollcall:   mail.example.com\n"},
		{"report nothing", exitFailed, `rollcall: report: rollcall answers: machine: "nothing" is unknown`, exitFailed, "accepted no event from it\n"},
		{"history MAIL", exitDone, "mail.example.com:", exitFailed, "\nrollcall:   mail.example.com\n"},
		{"history --user corp", exitDone, `CORP\anna:`, exitFailed, "\nrollcall:   CORP\\anna\n"},
		{"history --machine db1 --machine nothing", exitFailed, `rollcall: history: rollcall answers: machine: "nothing" is unknown`, exitFailed, "accepted no event from it\n"},
		{"history --machine db1 db2", exitUsage, "rollcall: db2 and --machine: give one of them", exitUsage, "give one of them"},
		{"where anna", exitDone, "anna: on 1 machine", exitDone, ""},
		{"where corp", exitDone, `CORP\anna: on 1 machine`, exitFailed, "\nrollcall:   CORP\\anna\n"},
		{"where ÖLE", exitDone, "Öle: on 1 machine", exitFailed, "\nrollcall:   Öle\n"},
		{"where *anna", exitDone, "MACHINE", exitDone, "2 users on 2 machines"},
		{"where -m ANN", exitDone, "MACHINE", exitDone, "2 users on 2 machines"},
		{"who -m b1", exitDone, "USER", exitDone, "2 of 2 machines in use, 2 users"},
	} {
		tty := newTerminal(t, 80)
		code := run(t.Context(), append(strings.Fields(test.args), "--utc"), streams{nil, tty.File, tty.File})
		if lines := tty.lines(t, 1000); code != test.terminal || len(lines) == 0 || !strings.HasPrefix(lines[0], test.first) {
			t.Errorf("%s: on a terminal %d, %q", test.args, code, lines)
		}
		piped := rollcall(t.Context(), nil, strings.Fields(test.args)...)
		if piped.code != test.pipe || !strings.Contains(piped.err, test.errors) || piped.code != exitDone && piped.out != "" {
			t.Errorf("%s: in a pipe %+v", test.args, piped)
		}
	}
}
