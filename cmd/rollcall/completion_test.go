package main

import (
	"strings"
	"testing"

	"rollcall/internal/test/kit"
)

func TestCandidates(t *testing.T) {
	kit.Environment(t, map[string]string{"NATS_URL": "nats://127.0.0.1:1"}) // nobody is asked
	for words, want := range map[string]string{
		"":                            "serve web publish report who where history watch deadletters status healthcheck standby snapshot enroll streams agent completion version",
		"w":                           "web who where watch",
		"x":                           "",
		"s":                           "serve status standby snapshot streams",
		"snapshot ":                   "inspect",
		"report --":                   "--at --context --creds --expected --fields --help --longest --output --server --silent-for --user-on-several --utc --wide",
		"report --o":                  "--output",
		"report --output ":            "text json jsonl csv tsv",
		"report -o ":                  "text json jsonl csv tsv",
		"history --output ":           "text json jsonl csv tsv",
		"history ":                    "backup",
		"history backup --":           "--help",
		"enroll --role ":              "machine device reader page service admin sys",
		"enroll --since=":             "--since=boot --since=now --since=all",
		"report --output j":           "json jsonl",
		"report --output = j":         "json jsonl",
		"report --output =":           "text json jsonl csv tsv",
		"report --output=":            "--output=text --output=json --output=jsonl --output=csv --output=tsv",
		"report --utc --output=j":     "--output=json --output=jsonl",
		"report --output json --u":    "--user-on-several --utc",
		"report --utc --longest ":     "",
		"report --none=":              "",
		"who ":                        "",
		"who web1 --u":                "--user --utc",
		"snapshot inspect --output t": "text",
		"deadletters --reason bad":    "bad_date bad_name",
		"completion ":                 "bash zsh fish",
		"completion z":                "zsh",
		"healthcheck --":              "--cert --help --key --page --password-file --ready --user",
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
