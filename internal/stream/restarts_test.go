package stream

import (
	"fmt"
	"testing"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// TestServerRestarts: across restarts of the server, no message is read twice or
// skipped.
func TestServerRestarts(t *testing.T) {
	kit.Long(t)
	s := newSetup(t)
	s.publish(1, 50)
	r := s.read(roster.Position{})
	r.await("message 50")
	for i := range 3 {
		s.Restart()
		s.publishAgain(51+i*10, 60+i*10)
		r.await(fmt.Sprintf("message %d", 60+i*10))
	}
	r.wantMessages(upTo(80)...)
}
