package service

// slack is how much garbage may wait to be collected, beside as much as is in
// use. Each message read is some 400 bytes of it: with a small roster the
// collector would run a dozen times a second, and while a snapshot is restored
// half a dozen times. The bytes are never touched, so no memory stands behind
// them.
const slack = 64 << 20

//lint:ignore U1000 That it is held is what it is for.
var held []byte

// SlackenCollector lets the collector run less often from now on. It is for the main
// goroutine.
func SlackenCollector() { held = make([]byte, slack) }
