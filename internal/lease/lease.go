// Package lease decides which one of several processes is active: the one that holds the
// lease, a key in a key-value bucket of NATS JetStream. The others stand by, and one of
// them takes the lease when its holder ends, fails, or can no longer reach the bucket.
//
// # What is promised
//
// Never are two processes active at once, whatever is delayed or lost, and however long a
// process is paused, as long as JetStream keeps what it has acknowledged, and clocks differ
// in speed by at most 2 %. Once a holder is gone, another is active within 1.25 TTL, or at
// once if the holder has released the lease.
//
// # The rules
//
// The key holds the instance that wrote it (a name that is new at each start), a number
// that grows with each attempt to write, whether the lease is released, and a state that
// the caller supplies. Everything is written with the revision expected, so nobody
// overwrites what it has not seen.
//
//   - The holder renews the lease each TTL/4. It is active until a TTL after the sending
//     of the newest renewal that is stored, by whichever of its two clocks advanced more:
//     the monotonic clock may stand still while a machine is suspended, and somebody may
//     set the wall clock.
//   - An update that was refused, or not answered, may be stored nevertheless, or one
//     before it. So the key is read, and a renewal of one's own that is found there counts,
//     from its sending.
//   - A standby reads the key each TTL/10. It takes the lease once the key has stood still
//     for 1.05 TTL on its own monotonic clock, or at once if it is released. A missing key,
//     and one that holds something else, must stand still as well: its holder may live.
//   - A process that ends stops to be active first, and then writes that the lease is
//     released. Nothing revives it after that.
//
// No rule asks a server for the time: the bucket has no TTL, since a server's wall clock
// may be set.
//
// contender.go has the rules, without clocks and connections; a simulation tries them on
// random schedules. bucket.go has the bucket, and this file what drives the one with the
// other.
package lease

import "time"

// Forever holds a standby back for as long as it is returned.
const Forever time.Duration = 1 << 62
