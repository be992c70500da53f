package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// digest returns what is the same for two services that decide alike: of the
// stream and the subject, and of the settings that decide.
func (c *serveConfig) digest() string {
	s := c.settings()
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %d %d %d %d %d", c.Stream, c.subjects().Base(),
		s.MaxSkew, s.AllowedLateness, s.MaxMachines, s.MaxSessions, s.MaxSessionsPerMachine))
	return hex.EncodeToString(sum[:8])
}
