package spool

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"rollcall/internal/failpoint"
)

// The files with one record.
const (
	originName = "origin"
	markName   = "acked"
)

// mark is the content of the file acked.
type mark struct {
	given uint64 // the highest number for which Append returned
	acked uint64 // up to it every record is stored, or dropped
	state []byte // of the record given
}

func (s *Spool) path(name string) string { return filepath.Join(s.dir, name) }

// writeMark makes a mark durable.
func (s *Spool) writeMark(m mark) error {
	return s.replace(markName, Record{m.given, le.AppendUint64(nil, m.acked), m.state})
}

// readMark reports whether there is a valid mark.
func (s *Spool) readMark() (bool, error) {
	r, err := s.readOne(markName)
	if err == nil && (len(r.Payload) != 8 || le.Uint64(r.Payload) > r.Number) {
		err = errDamaged
	}
	if err != nil {
		return false, s.tolerate(markName, err)
	}
	s.mark = mark{r.Number, le.Uint64(r.Payload), r.State}
	return true, nil
}

// readOrigin reports whether there is a valid origin. If it is that of another machine,
// everything in the folder is.
func (s *Spool) readOrigin(machine []byte) (bool, error) {
	r, err := s.readOne(originName)
	if err == nil && (len(r.Payload) < 1 || len(r.Payload) > 64) {
		err = errDamaged
	}
	if err != nil {
		return false, s.tolerate(originName, err)
	}
	//guard:false "a golden image brings no counter along" TestAnotherMachine
	if !bytes.Equal(r.State, machine) {
		s.log.Warn("the spool is of a machine with another machine-id: removing what is in it", "path", s.dir, "origin", string(r.Payload))
		return false, s.removeAll()
	}
	s.origin, s.base = string(r.Payload), r.Number
	return true, nil
}

// renewOrigin draws another origin. It is durable before the mark is, as numbers may be
// given again.
func (s *Spool) renewOrigin(machine []byte) error {
	s.origin, s.base = rand.Text(), s.mark.given
	s.log.Info("new origin for the numbers of events", "path", s.dir, "origin", s.origin, "next", s.mark.given+1)
	return s.replace(originName, Record{s.base, []byte(s.origin), machine})
}

// machineHash is what origin keeps of a machine-id, which is confidential by
// machine-id(5).
func machineHash(id string) []byte {
	h := sha256.Sum256([]byte("rollcall spool\n" + id))
	return h[:]
}

// removeAll removes all but the origin, which says until it is replaced that the rest is
// to be removed.
func (s *Spool) removeAll() error {
	firsts, err := s.listSegments()
	if err != nil {
		return err
	}
	for _, first := range firsts {
		if err := s.remove(segmentName(first)); err != nil {
			return err
		}
	}
	failpoint.At("spool-emptied")
	return s.remove(markName)
}

// tolerate returns nil if a file with one record is missing or damaged, and logs the
// damage.
func (s *Spool) tolerate(name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, errDamaged):
		s.log.Error("a file of the spool is damaged: beginning a new origin", "path", s.path(name), "err", err)
		return nil
	}
	return err
}

// readOne reads a file with one record.
func (s *Spool) readOne(name string) (Record, error) {
	f, err := os.Open(s.path(name))
	if err != nil {
		return Record{}, err
	}
	defer f.Close()
	if err := readPreamble(f); err != nil {
		return Record{}, fmt.Errorf("%s: %w", name, err)
	}
	r, err := readRecord(f)
	if err == nil {
		_, err = readRecord(f)
	}
	if err != io.EOF { //nolint:errorlint // readRecord does not wrap it
		return Record{}, fmt.Errorf("%s: %w: not one record: %w", name, errDamaged, err)
	}
	return r, nil
}

// replace writes a file with one record. After an error the file may have the old or the
// new content.
func (s *Spool) replace(name string, r Record) error {
	temp := s.path(name + ".tmp")
	if err := s.writeTemp(temp, appendRecord(preamble(), r)); err != nil {
		os.Remove(temp)
		return err
	}
	if err := os.Rename(temp, s.path(name)); err != nil {
		return err
	}
	failpoint.At("spool-renamed")
	//guard:set s.syncFolder() error(nil) "a number that was given is not given again after a power cut" ^(TestProperty|TestSyncs)$
	return s.syncFolder()
}

// writeTemp writes a file, which never is one that an fsync failed on.
func (s *Spool) writeTemp(path string, b []byte) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(b); err != nil {
		return err
	}
	failpoint.At("spool-temp-written")
	//guard:set s.sync(f) error(nil) "acked is whole after a power cut" ^(TestProperty|TestSyncs)$
	if err := s.sync(f); err != nil {
		return err
	}
	failpoint.At("spool-temp-synced")
	return nil
}

func (s *Spool) remove(name string) error {
	if err := os.Remove(s.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncFolder makes the names in the folder durable. The lock is the open folder.
func (s *Spool) syncFolder() error { return s.sync(s.lock) }
