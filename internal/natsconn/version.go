package natsconn

import (
	"fmt"
	"log/slog"
)

// leastServer is the oldest NATS server that rollcall was tried with, in major
// and minor version. Servers before it have no named consumers.
var leastServer = [2]int{2, 9}

// warnOldServer logs an error if the server is older than rollcall needs. rollcall
// continues: the server may be patched, and a missing feature shows when it is
// used.
func warnOldServer(version string, log *slog.Logger) {
	if isOld(version) {
		log.Error("nats server is too old for rollcall", "version", version, "least", fmt.Sprintf("%d.%d", leastServer[0], leastServer[1]))
	}
}

// isOld reports whether a version, such as 2.9.25, is below leastServer. Text that
// is not a version is not old.
func isOld(version string) bool {
	var major, minor int
	if n, _ := fmt.Sscanf(version, "%d.%d", &major, &minor); n < 2 {
		return false
	}
	return major < leastServer[0] || major == leastServer[0] && minor < leastServer[1]
}
