package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// folder is the folder that holds the snapshots, under these names:
//
//	snapshot-00000000000000000042.rollcall    of place 42
//	snapshot-00000000000000000042-2.rollcall  the second one of place 42
//	….bad, ….bad-2                            damaged, renamed by Load
//	snapshot-123456.tmp                       being written, or left by a crash
//
// The place never decreases, so the greatest one is the newest. A second snapshot
// of a place is rare: the stream was recreated and nothing has been read from it
// yet, losses were accepted, or a newer program wrote the first.
type folder struct {
	dir  string
	disk disk
}

// entry is the parsed name of a snapshot.
type entry struct {
	place   uint64
	edition int // from 1
}

var (
	entryName = regexp.MustCompile(`^snapshot-([0-9]{20})(?:-([0-9]+))?\.rollcall$`)
	tempName  = regexp.MustCompile(`^snapshot-[0-9]+\.tmp$`)
)

// tempPattern is tempName for os.CreateTemp.
const tempPattern = "snapshot-*.tmp"

func (e entry) String() string {
	if e.edition > 1 {
		return fmt.Sprintf("snapshot-%020d-%d.rollcall", e.place, e.edition)
	}
	return fmt.Sprintf("snapshot-%020d.rollcall", e.place)
}

// parseEntry is the inverse of String. It rejects a name that String would not
// return.
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

func (f folder) path(name string) string { return filepath.Join(f.dir, name) }

// create creates the folder if it is missing.
func (f folder) create() error { return f.disk.makeFolder(f.dir) }

// sweep removes the temporary files of interrupted saves.
func (f folder) sweep() error {
	files, err := f.disk.list(f.dir)
	if err != nil {
		return err
	}
	for _, file := range files {
		//guard:false "crashes don't fill the disk" TestOpenRemovesTemporaryFiles
		if tempName.MatchString(file.Name()) {
			err = cmp.Or(err, f.disk.remove(f.path(file.Name())))
		}
	}
	return err
}

// probe checks whether snapshots can be saved: it creates the folder, sweeps it, and
// writes a small file to it.
func (f folder) probe() error {
	if err := cmp.Or(f.create(), f.sweep()); err != nil {
		return err
	}
	file, err := f.disk.create(f.dir, tempPattern)
	if err != nil {
		return err
	}
	_, err = io.WriteString(file, "?")
	return cmp.Or(err, file.Close(), f.disk.remove(file.Name()))
}

// list returns the snapshots, the newest first; none if the folder doesn't exist.
func (f folder) list() ([]entry, error) {
	files, err := f.disk.list(f.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
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

// freeName returns an unused name for a place, newer than all used ones.
func (f folder) freeName(place uint64) (entry, error) {
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

// setAside renames a damaged snapshot, and returns its new name.
func (f folder) setAside(e entry) (string, error) {
	files, err := f.disk.list(f.dir)
	if err != nil {
		return "", err
	}
	taken := make(map[string]bool)
	for _, file := range files {
		taken[file.Name()] = true
	}
	name := e.String() + ".bad"
	//guard:false "a damaged file is kept for inspection" TestLoadSkipsDamaged
	for n := 2; taken[name]; n++ {
		name = fmt.Sprintf("%s.bad-%d", e, n)
	}
	if err := f.disk.rename(f.path(e.String()), f.path(name)); err != nil {
		return "", err
	}
	return name, f.sync()
}

// prune removes old snapshots: of those up to last, it keeps the newest keep,
// including last, and the newest that is not above a place. Newer ones, and those in a
// format that this program can't read, are neither removed nor counted.
func (f folder) prune(last entry, keep int, place uint64) error {
	entries, err := f.list()
	if err != nil {
		return err
	}
	var errs []error
	reached := false // the newest that is not above place
	for _, e := range entries {
		//guard:drop f.hasKnownFormat(e) "a downgrade removes no snapshots" TestNewerFormatIsKept
		//guard:drop e.compare "no newer snapshot is removed" TestNewerSnapshotsAreKept
		if e.compare(last) < 0 || !f.hasKnownFormat(e) {
			continue
		}
		first := !reached && e.place <= place
		reached = reached || first
		keep--
		//guard:set keep>=0 keep>=2 "three snapshots are kept" TestSaveAndLoad
		//guard:true "old snapshots don't fill the disk" TestSaveAndLoad
		//guard:drop first "the snapshot from which the history catches up is kept" TestKeptFor
		if keep >= 0 || first {
			continue
		}
		if err := f.disk.remove(f.path(e.String())); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// hasKnownFormat reports whether a file has a valid preamble, in a format that this
// program can read.
func (f folder) hasKnownFormat(e entry) bool {
	file, err := f.disk.open(f.path(e.String()))
	if err != nil {
		return false
	}
	defer file.Close()
	preamble := make([]byte, preambleSize)
	if _, err := io.ReadFull(file, preamble); err != nil {
		return false
	}
	_, err = checkPreamble(preamble)
	return err == nil
}

// sync makes the names in the folder durable.
func (f folder) sync() error {
	dir, err := f.disk.open(f.dir)
	if err != nil {
		return err
	}
	return cmp.Or(dir.Sync(), dir.Close())
}

// Name returns the name of a file with the snapshot of a place, for a folder that has no
// other of this place.
func Name(place uint64) string { return entry{place, 1}.String() }
