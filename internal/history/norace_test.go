//go:build !race

package history

const share = 1
