//go:build !race

package stream

const burst = 3600

// seeds is sim.seeds unless it is given: so many meet every fault.
const seeds = 500
