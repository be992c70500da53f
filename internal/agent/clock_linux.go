package agent

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// systemClock is the clock of the kernel.
type systemClock struct{}

func (systemClock) now() time.Time { return time.Now() }

func (systemClock) booted() time.Time {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic(err) // there is such a clock since Linux 2.6.39
	}
	return time.Now().Add(-time.Duration(t.Nano()))
}

// stepEvery is how often to check whether the clock was set. stepAbove is the smallest step
// that counts: NTP makes smaller ones all the time.
const (
	stepEvery = 5 * time.Second
	stepAbove = time.Second
)

// steps compares the clock with one that cannot be set.
func (c systemClock) steps(ctx context.Context) <-chan struct{} {
	told := make(chan struct{})
	go func() {
		for booted := c.booted(); pause(ctx, stepEvery); {
			now := c.booted()
			if now.Sub(booted).Abs() <= stepAbove {
				continue
			}
			booted = now
			if send(ctx, told, struct{}{}) != nil {
				return
			}
		}
	}()
	return told
}

// bootID returns the id of the present boot, as the journal writes it.
func bootID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("reading the boot's id: %w", err)
	}
	return strings.ReplaceAll(strings.TrimSpace(string(text)), "-", ""), nil
}
