//go:build race

package history

// One in share checks of a property is run: under the race detector each takes several
// times as long, and more of them would find no more races.
const share = 10
