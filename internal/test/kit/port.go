package kit

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// FreePort returns an unused port of 127.0.0.1, for a program that listens on it again
// after a restart. It is below the ephemeral range (32768 and up on Linux, 49152 and up
// elsewhere): a port of that range might be used by a client while the program is down.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 20_000 + rand.IntN(12_000)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port from 20000 to 31999")
	return 0
}

// FreeAddress returns 127.0.0.1 with a FreePort.
func FreeAddress(t testing.TB) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(FreePort(t)))
}
