package service

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"rollcall/internal/config"
)

// digest returns what is the same for two services that decide alike: of the
// stream and the subject, and of the settings that decide.
func digest(c *config.Serve) string {
	s := c.Settings()
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %d %d %d %d %d", c.Stream, c.Subjects().Base(),
		s.MaxSkew, s.AllowedLateness, s.MaxMachines, s.MaxSessions, s.MaxSessionsPerMachine))
	return hex.EncodeToString(sum[:8])
}
