//go:build race

package history

// share is which share of the checks of a property is run: the race detector makes each
// about twenty times as expensive, and finds nothing more in more of them.
const share = 10
