package natsconn

import "path/filepath"

// KeyFile is the file with the key of the embedded server that stores in a
// folder: the seed of a user that may do everything. Without it programs may
// publish events, ask, and hear reports and changes.
func KeyFile(dir string) string { return filepath.Join(dir, "admin.nk") }
