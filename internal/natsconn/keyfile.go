package natsconn

import "path/filepath"

// KeyFile returns the path of the embedded server's key, in the folder of its store:
// the seed of a user with all permissions. Programs without the key may publish
// events, ask questions, and receive reports and changes.
func KeyFile(dir string) string { return filepath.Join(dir, "admin.nk") }
