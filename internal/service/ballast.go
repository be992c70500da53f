package service

// slack is the size of the ballast in bytes. The collector runs when the heap has grown by
// as much as is in use, ballast included. Each message read makes some 400 bytes of
// garbage, so with a small roster and no ballast it would run a dozen times a second, and
// half a dozen times while a snapshot is restored. The ballast is never touched, so no
// physical memory is behind it.
const slack = 64 << 20

//lint:ignore U1000 It only has to be reachable.
var held []byte

// SlackenCollector makes the garbage collector run less often from now on. Call it from
// one goroutine.
func SlackenCollector() { held = make([]byte, slack) }
