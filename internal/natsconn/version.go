package natsconn

import (
	"fmt"
	"log/slog"
)

// minServer is the oldest NATS server that rollcall was tested with, in major and
// minor version. Older servers have no named consumers.
var minServer = [2]int{2, 9}

// warnOldServer logs an error if the server is older than rollcall needs. rollcall
// continues: the server may be patched, and a missing feature shows when it is
// used.
func warnOldServer(version string, log *slog.Logger) {
	if isOld(version) {
		log.Error("nats server is too old for rollcall", "version", version, "least", fmt.Sprintf("%d.%d", minServer[0], minServer[1]))
	}
}

// isOld reports whether a version, such as 2.9.25, is below minServer. Text that
// is not a version is not old.
func isOld(version string) bool { return isBefore(version, minServer) }

// isBefore reports whether a version is below another, in major and minor version.
func isBefore(version string, least [2]int) bool {
	var major, minor int
	if n, _ := fmt.Sscanf(version, "%d.%d", &major, &minor); n < 2 {
		return false
	}
	return major < least[0] || major == least[0] && minor < least[1]
}
