//go:build !failpoints

// Package failpoint names the moments at which a crash could do harm, such as
// between a snapshot's fsync and its rename, or between a dead letter's ack and
// recording it. Tests build the program with -tags failpoints and kill it at each
// of them. In every other build this package does nothing.
package failpoint

// At marks a failpoint.
func At(string) {}
