//go:build race

package stream

// burst is sim.burst unless the flag is set: the race detector makes each message
// about ten times as expensive, and finds nothing more in more messages.
const burst = 360
