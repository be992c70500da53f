package snapshot

import (
	"os"
	"strings"
	"syscall"
)

// faulty is the real disk, with faults that the test chooses. The zero value never
// fails.
type faulty struct {
	system
	at     int   // the call that fails, counted from 1; 0 is none
	err    error // with what
	late   bool  // after it was done, of a write after half of it
	sticky bool  // and all that come after
	die    bool  // kill the process in place of failing

	calls    []string // what was called
	created  []string // the files made, never to be made twice
	readOnly bool
	room     *int // how many bytes more can be written
}

// step records a call, and returns the error it fails with, if any. On a read-only
// disk, calls that write fail; on a full one, calls that need space.
func (d *faulty) step(call string, writes bool) error {
	d.calls = append(d.calls, call)
	n := len(d.calls)
	switch {
	case d.at > 0 && (n == d.at || d.sticky && n > d.at):
		return d.err
	case d.readOnly && writes:
		return syscall.EROFS
	case d.room != nil && *d.room <= 0 && (call == "make folder" || call == "create"):
		return syscall.ENOSPC
	}
	return nil
}

// do executes a call, or fails before or after it.
func (d *faulty) do(call string, writes bool, f func() error) error {
	fault := d.step(call, writes)
	if fault == nil {
		return f()
	}
	if d.late && !d.readOnly {
		_ = f()
	}
	if d.die {
		die()
	}
	return fault
}

func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

func (d *faulty) makeFolder(path string) error {
	if _, err := os.Stat(path); err == nil {
		return d.do("look for folder", false, func() error { return nil })
	}
	return d.do("make folder", true, func() error { return d.system.makeFolder(path) })
}

func (d *faulty) list(path string) (files []os.DirEntry, err error) {
	err = d.do("list", false, func() (err error) { files, err = d.system.list(path); return err })
	return files, err
}

func (d *faulty) create(folder, pattern string) (h handle, err error) {
	err = d.do("create", true, func() (err error) { h, err = d.system.create(folder, pattern); return err })
	return d.wrap(h, err)
}

func (d *faulty) open(path string) (h handle, err error) {
	err = d.do("open", false, func() (err error) { h, err = d.system.open(path); return err })
	return d.wrap(h, err)
}

// wrap makes the open file faulty. A file that was opened although the call failed
// is closed.
func (d *faulty) wrap(h handle, err error) (handle, error) {
	if h == nil {
		return nil, err
	}
	if err != nil {
		_ = h.Close()
		return nil, err
	}
	if strings.HasSuffix(h.Name(), ".tmp") {
		d.created = append(d.created, h.Name())
	}
	return &faultyHandle{h, d}, nil
}

func (d *faulty) rename(from, to string) error {
	return d.do("rename", true, func() error { return d.system.rename(from, to) })
}

func (d *faulty) remove(path string) error {
	return d.do("remove", true, func() error { return d.system.remove(path) })
}

type faultyHandle struct {
	handle
	disk *faulty
}

func (h *faultyHandle) Read(p []byte) (n int, err error) {
	err = h.disk.do("read", false, func() (err error) { n, err = h.handle.Read(p); return err })
	return n, err
}

func (h *faultyHandle) Write(p []byte) (n int, err error) {
	if err := h.disk.step("write", true); err != nil {
		if h.disk.late {
			n, _ = h.handle.Write(p[:len(p)/2])
		}
		if h.disk.die {
			die()
		}
		return n, err
	}
	if h.disk.room == nil {
		return h.handle.Write(p)
	}
	n, err = h.handle.Write(p[:min(len(p), *h.disk.room)])
	if *h.disk.room -= n; err == nil && n < len(p) {
		err = syscall.ENOSPC
	}
	return n, err
}

func (h *faultyHandle) Sync() error { return h.disk.do("sync", false, h.handle.Sync) }

// Close always closes the file, even if it returns an error.
func (h *faultyHandle) Close() error {
	err := h.handle.Close()
	return h.disk.do("close", false, func() error { return err })
}
