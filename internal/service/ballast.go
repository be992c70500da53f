package service

// ballastSize is the size of the GC ballast in bytes. The garbage collector runs when the
// heap, ballast included, has doubled. Each message read makes some 400 bytes of garbage,
// so with a small roster and no ballast it would run a dozen times a second, and half a
// dozen times while a snapshot is loaded. The ballast is never touched, so it uses no
// physical memory.
const ballastSize = 64 << 20

//lint:ignore U1000 It only has to be reachable.
var ballast []byte

// AllocateBallast makes the garbage collector run less often from now on. Call it from
// one goroutine.
func AllocateBallast() { ballast = make([]byte, ballastSize) }
