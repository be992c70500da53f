package natsserver

import (
	"os"
	"path/filepath"
)

// store is the folder of a server's streams as it was when the server started.
type store struct {
	paths []string
	stats []os.FileInfo
}

// statStore records the identity of the store's folders, for lost.
func statStore(dir string) store {
	s := store{paths: []string{dir, filepath.Join(dir, "jetstream")}}
	for _, path := range s.paths {
		info, err := os.Stat(path)
		if err != nil {
			return store{} // nothing to compare with
		}
		s.stats = append(s.stats, info)
	}
	return s
}

// lost reports whether the folder was removed or replaced since.
func (s store) lost() bool {
	for i, was := range s.stats {
		if is, err := os.Stat(s.paths[i]); os.IsNotExist(err) || err == nil && !os.SameFile(was, is) {
			return true
		}
	}
	return false
}

// StoreLost reports whether the folder of the store was removed or replaced. The
// server does not notice: it keeps writing to deleted files.
func (s *Server) StoreLost() bool { return s.store.lost() }
