//go:build unix

package command

import (
	"os"
	"syscall"

	"rollcall/internal/natsconn"
)

// checkOwner refuses to run as root in a folder of another user: the files that it made there
// would be root's, and the service could not go on with them.
func checkOwner(dir string, uid int) error {
	info, err := os.Stat(dir)
	if err != nil {
		return nil //nolint:nilerr // whoever opens it says so
	}
	of, is := info.Sys().(*syscall.Stat_t)
	if uid != 0 || !is || of.Uid == 0 {
		return nil
	}
	return natsconn.Misconfigured("%s belongs to the user with the number %d, and root's files in it would stop the service: run systemctl start rollcall-agent, or set ROLLCALL_AGENT_DIR to another folder", dir, of.Uid)
}
