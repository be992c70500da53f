package main

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows a progress bar on a terminal, and prints messages on lines of their own.
// It is safe for use by several goroutines.
type progress struct {
	mu  sync.Mutex
	out io.Writer
	bar *progressbar.ProgressBar // nil when out is not a terminal, or input is typed
}

func newProgress(out io.Writer, inputs []input) *progress {
	p := &progress{out: out}
	if slices.ContainsFunc(inputs, func(in input) bool { return in.typed }) {
		p.Report("rollcall: publish: reading events from the terminal, one per line; end with Ctrl-D")
		return p
	}
	if !isTerminal(out) {
		return p
	}
	total := int64(0)
	for _, in := range inputs {
		if in.size < 0 || total < 0 {
			total = -1
			continue
		}
		total += in.size
	}
	p.bar = progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(out),
		progressbar.OptionSetDescription("publishing"),
		progressbar.OptionShowBytes(true),
		progressbar.OptionThrottle(100*time.Millisecond),
		// Without this the library draws from a goroutine of its own.
		progressbar.OptionSetSpinnerChangeInterval(0),
		progressbar.OptionClearOnFinish(),
	)
	return p
}

// Advance advances the bar by n bytes.
func (p *progress) Advance(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Add(n)
	}
}

// Report prints a line.
func (p *progress) Report(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	fmt.Fprintf(p.out, format+"\n", args...)
}

// end removes the bar.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear()
		_ = p.bar.Exit()
	}
}
