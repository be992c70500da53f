package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/internal/api"
	"rollcall/internal/client"
	"rollcall/internal/test/demo/fleet"
)

// buildProgram builds rollcall into the folder.
func buildProgram(ctx context.Context, folder string) (string, error) {
	path, err := filepath.Abs(filepath.Join(folder, "rollcall"))
	if err != nil {
		return "", err
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", path, "rollcall/cmd/rollcall")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return "", fmt.Errorf("building rollcall: %w", err)
	}
	return path, nil
}

// process is one that can be started again, with the same address.
type process struct {
	name    string // in commands
	program string
	command string // of rollcall
	env     []string
	addr    string
	ready   string // path that answers 200 when it is ready

	cmd  *exec.Cmd
	done chan struct{}
}

// processes are the service and, if the program has one, the page.
type processes struct {
	service, page *process

	mu sync.Mutex // held while one is started or stopped
}

func newProcesses(o options, url string, f *fleet.Fleet) (*processes, error) {
	httpAddr, err := freeAddress(o.http)
	if err != nil {
		return nil, err
	}
	env := append(cleanEnvironment(), "NATS_URL="+url, "ROLLCALL_LOG_LEVEL="+o.loglvl, "ROLLCALL_LOG_FORMAT=text")
	silentAfter := max(15*time.Minute, 2*f.Period())
	p := &processes{service: &process{
		name: "service", program: o.program, command: "serve", addr: httpAddr, ready: "/readyz",
		env: append(env[:len(env):len(env)],
			"ROLLCALL_HTTP_ADDR="+httpAddr, "ROLLCALL_DATA_DIR="+filepath.Join(o.folder, "data"),
			"ROLLCALL_SILENT_AFTER="+silentAfter.String(), "ROLLCALL_MAX_MACHINES="+strconv.Itoa(2*f.Len()+1000)),
	}}
	if exec.Command(o.program, "web", "--help").Run() != nil {
		return p, nil
	}
	pageAddr, err := freeAddress(o.page)
	if err != nil {
		return nil, err
	}
	p.page = &process{
		name: "page", program: o.program, command: "web", addr: pageAddr, ready: "/livez",
		env: append(env[:len(env):len(env)], "ROLLCALL_PAGE_ADDR="+pageAddr, "ROLLCALL_PAGE_SERVICE_ACCOUNTS=svc-*"),
	}
	return p, nil
}

func (p *processes) all() []*process {
	if p.page == nil {
		return []*process{p.service}
	}
	return []*process{p.service, p.page}
}

func (p *processes) startAll(ctx context.Context) error {
	for _, one := range p.all() {
		if err := one.start(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (p *processes) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.all() {
		one.stop(syscall.SIGTERM)
	}
}

// cleanEnvironment is ours without what would configure rollcall.
func cleanEnvironment() (env []string) {
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "NATS_") && !strings.HasPrefix(entry, "ROLLCALL_") {
			env = append(env, entry)
		}
	}
	return env
}

// start starts the process and waits until it is ready.
func (p *process) start(ctx context.Context) error {
	if p.cmd != nil {
		return fmt.Errorf("the %s is running", p.name)
	}
	cmd := exec.Command(p.program, p.command)
	cmd.Env, cmd.Stdout, cmd.Stderr = p.env, os.Stderr, os.Stderr
	cmd.SysProcAttr = dieWithUs()
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd, p.done = cmd, make(chan struct{})
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // stop and awaitReady say so
	}()
	if err := p.awaitReady(ctx); err != nil {
		p.stop(syscall.SIGKILL)
		return err
	}
	return nil
}

func (p *process) awaitReady(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if answers(ctx, "http://"+p.addr+p.ready) {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-p.done:
			return fmt.Errorf("rollcall %s ended: %s", p.command, p.cmd.ProcessState)
		case <-tick.C:
		}
	}
}

func answers(ctx context.Context, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// stop ends the process with a signal and waits for its end. It does nothing if it is not
// running.
func (p *process) stop(signal syscall.Signal) {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(signal) // it may have ended by itself
	<-p.done
	p.cmd = nil
}

func (p *process) pid() int {
	if p == nil || p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

func (p *process) url() string {
	if p == nil {
		return ""
	}
	return "http://" + p.addr
}

// freeAddress is the address, with an unused port in place of 0. It is below the range from which
// clients get theirs: while a process is down, one of those might use it.
func freeAddress(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	if port != "0" {
		return addr, nil
	}
	for range 100 {
		addr := net.JoinHostPort(host, strconv.Itoa(20_000+rand.IntN(12_000)))
		l, err := net.Listen("tcp", addr)
		if err == nil {
			return addr, l.Close()
		}
	}
	return "", errors.New("no free port from 20000 to 31999")
}

// awaitHistory waits until the history has all of the fleet's events: it is written when
// somebody asks about the past.
func awaitHistory(ctx context.Context, nc *nats.Conn) error {
	for {
		answer, err := client.One(ctx, nc, subjects.Query("counts"), api.CountsRequest{})
		if err != nil {
			return fmt.Errorf("asking about the past: %w", err)
		}
		counts, err := api.Decode[api.CountsAnswer](answer)
		if err != nil {
			return err
		}
		if !slices.Contains(counts.Reasons, "behind") {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
