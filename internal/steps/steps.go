//go:build !faultsteps

// Package steps names the moments at which a crash could do harm: between a
// snapshot's fsync and its name, between a dead letter's ack and the note of
// it. Tests build the program with -tags faultsteps and have it killed at each
// of them. In every other build this package does nothing at all.
package steps

// At marks a step.
func At(string) {}
