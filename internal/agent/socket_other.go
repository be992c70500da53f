//go:build !linux

package agent

import (
	"errors"
	"net"
)

// peer is never asked: there is no agent here.
func peer(*net.UnixConn) (uid int, err error) { return -1, errors.ErrUnsupported }
