//go:build !failpoints

// Package failpoint names the moments at which a crash could do harm: between a
// snapshot's fsync and its rename, between a dead letter's ack and the note of it. Tests
// build the program with -tags failpoints and have it killed at each of them. In every
// other build this package does nothing.
package failpoint

// At marks a failpoint.
func At(string) {}
