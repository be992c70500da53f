//go:build !race

package stream

const burst = 3600
