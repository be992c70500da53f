//go:build !windows

package spool

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// disk knows what of a folder would survive a power cut: the content of files at their
// last fsync, and the names at the folder's last fsync. Its sync is that of a spool.
type disk struct {
	t       testing.TB
	dir     string
	links   string // holds a link to each file, so that no number is used again
	content map[uint64][]byte
	names   map[string]uint64
	rng     *rand.Rand

	failIn int // the sync that fails, from 1; 0: none
	cutIn  int // the sync before which the power is cut, from 1; 0: none
	image  map[string][]byte
}

func newDisk(t testing.TB, rng *rand.Rand, dir, links string) *disk {
	return &disk{t: t, dir: dir, links: links, content: make(map[uint64][]byte), rng: rng}
}

// sync makes a file or the folder durable, or fails.
func (d *disk) sync(f *os.File) error {
	if d.cutIn--; d.cutIn == 0 {
		d.image = d.afterPowerCut()
	}
	if d.failIn--; d.failIn == 0 {
		return syscall.EIO
	}
	if f.Name() == d.dir {
		d.names = d.current()
		return nil
	}
	b, err := os.ReadFile(f.Name())
	if err != nil {
		return err
	}
	d.content[d.inode(filepath.Base(f.Name()))] = b
	return nil
}

// inode returns the number of a file.
func (d *disk) inode(name string) uint64 {
	path := filepath.Join(d.dir, name)
	info, err := os.Stat(path)
	if err != nil {
		d.t.Fatal(err)
	}
	n := info.Sys().(*syscall.Stat_t).Ino
	if _, known := d.content[n]; !known {
		d.content[n] = nil
		if err := os.Link(path, filepath.Join(d.links, name+"-"+string(rune('a'+len(d.content))))); err != nil {
			d.t.Fatal(err)
		}
	}
	return n
}

func (d *disk) current() map[string]uint64 {
	names := make(map[string]uint64)
	for name := range files(d.t, d.dir) {
		names[name] = d.inode(name)
	}
	return names
}

// afterPowerCut returns the files after a power cut now. Of what was not synced each name
// may be the old or the new one, and any part of a file's end may be there.
func (d *disk) afterPowerCut() map[string][]byte {
	now, contents := d.current(), files(d.t, d.dir)
	all := make(map[string][]byte)
	keep := func(name string, inode uint64, exists bool) {
		if exists {
			b := d.content[inode]
			if now[name] == inode {
				b = d.tear(b, contents[name])
			}
			all[name] = b
		}
	}
	for name, inode := range now {
		if durable, ok := d.names[name]; d.rng.IntN(2) == 0 {
			keep(name, durable, ok)
		} else {
			keep(name, inode, true)
		}
	}
	for name, inode := range d.names {
		if _, ok := now[name]; !ok {
			keep(name, inode, d.rng.IntN(2) == 0)
		}
	}
	return all
}

// tear returns what a power cut leaves of a file.
func (d *disk) tear(durable, now []byte) []byte {
	if !bytes.HasPrefix(now, durable) {
		return durable
	}
	torn := bytes.Clone(now[:len(durable)+d.rng.IntN(len(now)-len(durable)+1)])
	if n := len(torn) - len(durable); n > 0 && d.rng.IntN(2) == 0 {
		clear(torn[len(durable)+d.rng.IntN(n):])
	}
	return torn
}
