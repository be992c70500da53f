package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
)

// console reads commands, one a line, and answers each with a line of JSON.
type console struct {
	lines     <-chan string // nil: none are read
	processes *processes

	mu  sync.Mutex
	out *json.Encoder
}

// readLines sends the lines to a channel, which it closes at the end.
func readLines(r io.Reader) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(r); scanner.Scan(); {
			lines <- strings.TrimSpace(scanner.Text())
		}
	}()
	return lines
}

// outcome is the answer to a command.
type outcome struct {
	Command string `json:"command"`
	Error   string `json:"error,omitempty"`
	// PID is of the process that was started.
	PID int `json:"pid,omitempty"`
}

func (c *console) answer(command string, pid int, err error) {
	o := outcome{Command: command, PID: pid}
	if err != nil {
		o.Error = err.Error()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.out.Encode(o); err != nil {
		log.Error("answering a command", "command", command, "err", err)
	}
}

// run runs a command about a process and answers it.
func (c *console) run(ctx context.Context, command string) {
	pid, err := c.processes.run(ctx, command)
	c.answer(command, pid, err)
}

// run runs a command such as "kill service". It returns the id of the process that it has
// started.
func (p *processes) run(ctx context.Context, command string) (pid int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	verb, name, _ := strings.Cut(command, " ")
	for _, one := range p.all() {
		if one.name != name {
			continue
		}
		switch verb {
		case "kill":
			one.stop(syscall.SIGKILL)
			return 0, nil
		case "stop":
			one.stop(syscall.SIGTERM)
			return 0, nil
		case "start":
			err := one.start(ctx)
			return one.pid(), err
		}
	}
	return 0, fmt.Errorf("unknown command %q: want kill, stop or start with service or page; pause, or resume", command)
}
