package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// folder is the folder in which snapshots stand, under these names:
//
//	snapshot-00000000000000000042.rollcall    of place 42
//	snapshot-00000000000000000042-2.rollcall  the second one of place 42
//	….bad, ….bad-2                            damaged, set aside
//	snapshot-123456.tmp                       being written, or left by a crash
//
// The place never decreases, so the greatest one is the newest. A second
// one of a place is rare: the stream was recreated and nothing was read from it
// yet, or the first is one that this program must not touch.
type folder string

// entry is a snapshot's name, taken apart.
type entry struct {
	place   uint64
	edition int // from 1
}

var (
	entryName = regexp.MustCompile(`^snapshot-([0-9]{20})(?:-([0-9]+))?\.rollcall$`)
	tempName  = regexp.MustCompile(`^snapshot-[0-9]+\.tmp$`)
)

// tempPattern is tempName for [os.CreateTemp].
const tempPattern = "snapshot-*.tmp"

func (e entry) String() string {
	if e.edition > 1 {
		return fmt.Sprintf("snapshot-%020d-%d.rollcall", e.place, e.edition)
	}
	return fmt.Sprintf("snapshot-%020d.rollcall", e.place)
}

// parseEntry is the inverse of String; a name that String would not give is
// nobody's.
func parseEntry(name string) (entry, bool) {
	parts := entryName.FindStringSubmatch(name)
	if parts == nil {
		return entry{}, false
	}
	e := entry{edition: 1}
	e.place, _ = strconv.ParseUint(parts[1], 10, 64)
	if parts[2] != "" {
		e.edition, _ = strconv.Atoi(parts[2])
	}
	return e, e.String() == name
}

// compare orders entries, the newest first.
func (e entry) compare(o entry) int {
	return cmp.Or(cmp.Compare(o.place, e.place), cmp.Compare(o.edition, e.edition))
}

func (f folder) path(name string) string { return filepath.Join(string(f), name) }

// make makes the folder, removes what a crash has left in it, and tries to
// write.
func (f folder) make() error {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return err
	}
	files, err := os.ReadDir(string(f))
	if err != nil {
		return err
	}
	for _, file := range files {
		if tempName.MatchString(file.Name()) {
			if err := os.Remove(f.path(file.Name())); err != nil {
				return err
			}
		}
	}
	return f.try()
}

func (f folder) try() error {
	file, err := os.CreateTemp(string(f), tempPattern)
	if err != nil {
		return err
	}
	_, err = file.WriteString("?")
	return errors.Join(err, file.Close(), os.Remove(file.Name()))
}

// list returns the snapshots there are, the newest first.
func (f folder) list() ([]entry, error) {
	files, err := os.ReadDir(string(f))
	if err != nil {
		return nil, err
	}
	var entries []entry
	for _, file := range files {
		if e, ok := parseEntry(file.Name()); ok {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, entry.compare)
	return entries, nil
}

// free returns the first name of a place that comes after all that are taken.
func (f folder) free(place uint64) (entry, error) {
	entries, err := f.list()
	if err != nil {
		return entry{}, err
	}
	for _, e := range entries {
		if e.place == place {
			return entry{place, e.edition + 1}, nil
		}
	}
	return entry{place, 1}, nil
}

// setAside gives a damaged snapshot another name, under which it stays.
func (f folder) setAside(e entry) (string, error) {
	name := e.String() + ".bad"
	for n := 2; ; n++ {
		_, err := os.Lstat(f.path(name))
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return "", err
		}
		name = fmt.Sprintf("%s.bad-%d", e, n)
	}
	if err := os.Rename(f.path(e.String()), f.path(name)); err != nil {
		return "", err
	}
	return name, f.sync()
}

// prune removes the snapshots older than last but for the newest few, last
// among them. What is newer, or has a format that this program doesn't know, is
// left alone and not counted.
func (f folder) prune(last entry, keep int) error {
	entries, err := f.list()
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if e.compare(last) < 0 || !f.known(e) {
			continue
		}
		if keep--; keep >= 0 {
			continue
		}
		if err := os.Remove(f.path(e.String())); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// known reports whether a file begins as a snapshot that this program can
// read.
func (f folder) known(e entry) bool {
	file, err := os.Open(f.path(e.String()))
	if err != nil {
		return false
	}
	defer file.Close()
	preamble := make([]byte, preambleSize)
	if _, err := io.ReadFull(file, preamble); err != nil {
		return false
	}
	return checkPreamble(preamble) == nil
}

// sync makes the names in the folder last.
func (f folder) sync() error {
	dir, err := os.Open(string(f))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
