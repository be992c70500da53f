package main

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"rollcall/internal/test/kit"
)

var (
	blocks     = regexp.MustCompile("(?ms)^```\n(\\$ .*?)^```$")
	natsPub    = regexp.MustCompile(`^nats pub (\S+) '(.*)'$`)
	curl       = regexp.MustCompile(`^curl -s \S+ \| grep \^(\S+)$`)
	lastHeard  = regexp.MustCompile(`last heard .*`)
	storedSome = regexp.MustCompile(`^(\d+) stored\n$`)
)

// TestTour: the tour of the README prints what the README says, except for the
// times. (What watch prints is not compared: it ends by a signal.)
func TestTour(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, tour, _ := strings.Cut(string(readme), "\n## A tour\n")
	tour, _, _ = strings.Cut(tour, "\n## ")
	taken := &tourist{process: serve(t, t.TempDir())}
	for _, block := range blocks.FindAllStringSubmatch(tour, -1) {
		for _, step := range strings.Split("\n"+block[1], "\n$ ")[1:] {
			command, want, _ := strings.Cut(step, "\n")
			taken.step(command, strings.TrimSuffix(want, "\n"))
		}
	}
	if taken.steps < 8 {
		t.Errorf("%d steps: is that the tour?", taken.steps)
	}
}

// tourist runs the tour.
type tourist struct {
	*process
	place, steps int
}

// step runs one command and compares what it prints.
func (p *tourist) step(command, want string) {
	p.t.Helper()
	p.steps++
	var got string
	switch pub, scrape := natsPub.FindStringSubmatch(command), curl.FindStringSubmatch(command); {
	case strings.HasPrefix(command, "rollcall watch "):
		return
	case pub != nil:
		p.publish(pub[1], pub[2])
		return
	case scrape != nil:
		for line := range strings.Lines(p.get(p.metrics)) {
			if strings.HasPrefix(line, scrape[1]) {
				got += line
			}
		}
	default:
		got = p.shell(command)
	}
	mask := func(text string) string {
		return strings.TrimSpace(lastHeard.ReplaceAllString(text, "last heard …"))
	}
	if mask(got) != mask(want) {
		p.t.Errorf("%s: got\n%s\nwant\n%s", command, got, want)
	}
}

// publish sends an event, as nats pub does, and waits until it is folded.
func (p *tourist) publish(subject, payload string) {
	nc := p.connect()
	if err := nc.Publish(subject, []byte(payload)); err != nil {
		p.t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		p.t.Fatal(err)
	}
	p.place++
	p.reaches(p.place)
}

// shell runs a command in the repository's root, as its user would, on a terminal, and waits
// until what it has stored is folded.
func (p *tourist) shell(command string) string {
	cmd := exec.Command("sh", "-c", command)
	cmd.Dir = "../.."
	cmd.Env = kit.Only("NATS_URL="+p.nats, "PATH="+binary+string(os.PathListSeparator)+os.Getenv("PATH"), "TZ=UTC", "NO_COLOR=1")
	tty := newTerminal(p.t, plainWidth)
	cmd.Stdout, cmd.Stderr = tty.File, tty.File
	if err := cmd.Run(); err != nil {
		p.t.Errorf("%s: %v", command, err)
	}
	out := strings.Join(tty.lines(p.t, plainWidth), "\n") + "\n"
	if n := storedSome.FindStringSubmatch(out); n != nil {
		more, _ := strconv.Atoi(n[1])
		p.place += more
		p.reaches(p.place)
	}
	return out
}
