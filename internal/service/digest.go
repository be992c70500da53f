package service

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"rollcall/internal/config"
)

// digest returns a hash of the stream, the subject and the settings that decide what
// becomes of an event. Two services with the same digest decide alike.
func digest(c *config.Serve) string {
	s := c.Settings()
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %d %d %d %d %d %q", c.Stream, c.Subjects().Base(),
		s.MaxSkew, s.AllowedLateness, s.MaxMachines, s.MaxSessions, s.MaxSessionsPerMachine, s.Sources))
	return hex.EncodeToString(sum[:8])
}
