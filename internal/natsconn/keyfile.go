package natsconn

import "path/filepath"

// KeyFile returns the path of the key of the embedded server whose store is in dir:
// the seed of a user with all permissions. Without the key, programs may publish
// events, ask questions, and receive reports and changes.
func KeyFile(dir string) string { return filepath.Join(dir, "admin.nk") }
