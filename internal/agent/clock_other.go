//go:build !linux

package agent

import (
	"context"
	"errors"
	"time"
)

// systemClock is a clock that is never asked: there is no agent here.
type systemClock struct{}

func (systemClock) now() time.Time                        { return time.Now() }
func (systemClock) booted() time.Time                     { return time.Now() }
func (systemClock) steps(context.Context) <-chan struct{} { return nil }
func bootID() (string, error)                             { return "", errors.ErrUnsupported }
