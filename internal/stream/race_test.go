//go:build race

package stream

// burst is sim.burst unless it is given: the race detector makes each message
// some ten times as dear, and more messages show it nothing new.
const burst = 360
