package main

import (
	"strings"
	"testing"
)

func TestCandidates(t *testing.T) {
	for words, want := range map[string]string{
		"":                            "serve publish report who where history watch deadletters status healthcheck snapshot enroll streams agent completion version",
		"w":                           "who where watch",
		"x":                           "",
		"s":                           "serve status snapshot streams",
		"snapshot ":                   "inspect",
		"report --":                   "--at --expected --help --longest --output --silent-for --user-on-several --utc",
		"report --o":                  "--output",
		"report --output ":            "text json",
		"history --output ":           "text json csv",
		"history ":                    "backup",
		"history backup --":           "--help",
		"report --output j":           "json",
		"report --output = j":         "json",
		"report --output =":           "text json",
		"report --output=":            "--output=text --output=json",
		"report --utc --output=j":     "--output=json",
		"report --output json --u":    "--user-on-several --utc",
		"report --utc --longest ":     "",
		"report --none=":              "",
		"who ":                        "",
		"who web1 --u":                "--utc",
		"snapshot inspect --output t": "text",
		"deadletters --reason bad":    "bad_date bad_name",
		"completion ":                 "bash zsh fish",
		"completion z":                "zsh",
		"healthcheck --":              "--cert --help --key --password-file --ready --user",
		"version --output ":           "text json",
	} {
		args := append([]string{"complete", "--"}, strings.Split(words, " ")...)
		got := rollcall(t.Context(), nil, args...)
		if got.code != exitDone || got.err != "" || strings.Join(strings.Fields(got.out), " ") != want {
			t.Errorf("%q: %+v, want %s", words, got, want)
		}
	}
	rollcall(t.Context(), nil, "completion", "csh").check(t, exitUsage, "", "rollcall: ")
}
