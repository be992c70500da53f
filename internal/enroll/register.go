package enroll

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"rollcall/internal/datadir"
	"rollcall/internal/failpoint"
)

// registerFile has an Entry in each line, in JSON; of those with one key the last counts.
const registerFile = "enrolled.jsonl"

// Entry is what the register has of a user: no secrets.
type Entry struct {
	Role Role `json:"role"`
	// Name is the machine's or the reader's.
	Name string `json:"name"`
	// Key is the user's public key. A user who was enrolled again while the first
	// credentials were no longer in the folder has several.
	Key     string     `json:"key"`
	Issued  time.Time  `json:"issued"`
	Expires *time.Time `json:"expires,omitempty"`
	Revoked *time.Time `json:"revoked,omitempty"`

	line int // in the register
}

// isValid reports whether credentials have not expired.
func (e *Entry) isValid(now time.Time) bool { return e.Expires == nil || e.Expires.After(now) }

// Entries returns the credentials, by role and name, the oldest first: for each key the last
// ones, and the earlier ones that are valid still, as a copy of these may be somewhere.
func (f *Folder) Entries() []Entry {
	now, list := time.Now(), slices.Collect(maps.Values(f.entries))
	for _, e := range f.issued {
		//guard:drop last.Revoked "revoked credentials are not listed as valid" TestList
		if last := f.entries[e.Key]; last.line != e.line && last.Revoked == nil && e.isValid(now) {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b Entry) int {
		if c := strings.Compare(string(a.Role)+"\x00"+a.Name, string(b.Role)+"\x00"+b.Name); c != 0 {
			return c
		}
		return a.line - b.line
	})
	return list
}

// others counts the keys of a user, but for this one, with which credentials are valid.
func (f *Folder) others(as Role, name, key string) int {
	now, keys := time.Now(), map[string]bool{}
	for _, e := range f.issued {
		if e.Role == as && e.Name == name && e.Key != key && e.isValid(now) && f.entries[e.Key].Revoked == nil {
			keys[e.Key] = true
		}
	}
	return len(keys)
}

// readRegister reads the register, and opens it for more.
func (f *Folder) readRegister() error {
	path := filepath.Join(f.dir, registerFile)
	register, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("%w: restore it from a copy: without it nobody is revoked", err)
	}
	f.register = register
	lines := bufio.NewScanner(register)
	complete := int64(0)
	for n := 1; lines.Scan(); n++ {
		var e Entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			// A crash may have left half a line at the end, of a key that nobody got.
			if size, err := register.Seek(0, io.SeekEnd); err == nil && complete+int64(len(lines.Bytes())) == size {
				//guard:set register.Truncate(complete) error(nil) "half a line that a crash left is cut" TestInit
				return register.Truncate(complete)
			}
			return fmt.Errorf("%s, line %d: %w: restore it from a copy", path, n, err)
		}
		f.add(e)
		complete += int64(len(lines.Bytes())) + 1
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	// The last line may have been written without its end.
	if size, err := register.Seek(0, io.SeekEnd); err != nil || size >= complete {
		return err
	}
	_, err = register.Write([]byte("\n"))
	return err
}

func (f *Folder) add(e Entry) {
	f.lines++
	e.line = f.lines
	f.entries[e.Key] = e
	if e.Revoked == nil {
		f.issued = append(f.issued, e)
	}
}

// record adds an entry to the register, on disk.
func (f *Folder) record(e Entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if _, err := f.register.Write(append(line, '\n')); err != nil {
		return err
	}
	f.add(e)
	failpoint.At("enroll-recorded")
	return f.register.Sync()
}

// Has reports whether a user's credentials are in the folder, or were revoked.
func (f *Folder) Has(as Role, name string) bool {
	if exists(filepath.Join(f.folderOf(as, name), f.roles[as].creds)) {
		return true
	}
	_, valid := f.newest(as, name)
	return !valid && slices.ContainsFunc(f.issued, func(e Entry) bool { return e.Role == as && e.Name == name })
}

// newest returns the newest entry of a user that is not revoked.
func (f *Folder) newest(as Role, name string) (newest Entry, found bool) {
	for _, e := range f.entries {
		if e.Role == as && e.Name == name && e.Revoked == nil && (!found || e.line > newest.line) {
			newest, found = e, true
		}
	}
	return newest, found
}

// removeFiles removes the files that Enroll wrote for a user, and the folder if it is then
// empty.
func (f *Folder) removeFiles(as Role, name string) error {
	dir := f.folderOf(as, name)
	role := f.roles[as]
	if err := datadir.RemoveUnfinished(dir, role.creds); err != nil {
		return err
	}
	for _, file := range []string{role.creds, role.env, caFile} {
		if err := os.Remove(filepath.Join(dir, file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	_ = os.Remove(dir) // if it is empty
	return nil
}
