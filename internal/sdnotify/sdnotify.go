// Package sdnotify tells systemd about the state of the process, by the protocol of
// sd_notify(3).
package sdnotify

import (
	"net"
	"os"
	"time"
)

// timeout is that of one notification: a manager that does not read must not block the
// process.
const timeout = time.Second

// Enabled reports whether systemd wants to be told.
func Enabled() bool { return os.Getenv("NOTIFY_SOCKET") != "" }

// Send sends a state, such as "READY=1". Without NOTIFY_SOCKET it does nothing.
func Send(state string) error {
	if !Enabled() {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: os.Getenv("NOTIFY_SOCKET"), Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(state))
	return err
}
