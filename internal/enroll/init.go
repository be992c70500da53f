package enroll

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nkeys"

	"rollcall/internal/datadir"
	"rollcall/internal/failpoint"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// Init makes a folder, with new keys, and opens it. ca are the certificates with which
// clients check the server, in PEM; empty if the system has them. A folder that was made
// with the same settings is opened as it is, and completed if an earlier Init was cut off.
func Init(dir string, s Settings, ca []byte) (*Folder, error) {
	if len(ca) > 0 {
		if err := checkCA(ca); err != nil {
			return nil, fmt.Errorf("the file of certificates: %w", err)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := makeFolder(dir, s, ca); err != nil {
		return nil, err
	}
	f, err := Open(dir)
	if err != nil {
		return nil, err
	}
	if err = f.checkSame(s, ca); err == nil && !exists(f.AccountsFile()) {
		err = f.WriteAccounts()
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// checkSame refuses a folder that was made with other settings.
func (f *Folder) checkSame(s Settings, ca []byte) error {
	before, err := os.ReadFile(filepath.Join(f.dir, caFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	differs := ""
	switch {
	case f.settings.URL != s.URL:
		differs = "for " + f.settings.URL
	case f.settings.Subject != s.Subject || f.settings.Streams != s.Streams:
		differs = "for another subject or other streams"
	case !bytes.Equal(before, ca):
		differs = "with other certificates"
	default:
		return nil
	}
	return fmt.Errorf("%s was made already, %s: enroll from it, or name another folder", f.dir, differs)
}

// makeFolder makes what Open expects, unless it was made already. The keys and the settings
// are made in a folder of their own, which is then renamed: whatever is cut off, the keys are
// those that the settings name. It never replaces a key: who has lost the settings, but not
// the keys, would lose these, too.
func makeFolder(dir string, s Settings, ca []byte) error {
	lock, err := datadir.Lock(dir)
	if err != nil {
		return fmt.Errorf("locking %s: %w", dir, err)
	}
	defer datadir.Unlock(lock)
	final := filepath.Join(dir, settingsFile)
	if exists(final) {
		return nil
	}
	keys := filepath.Join(dir, keysFolder)
	made := filepath.Join(keys, settingsFile)
	//guard:true "an init that was cut off is completed" TestKilledAtEachWrite
	if !exists(made) {
		for _, path := range []string{keys, filepath.Join(dir, registerFile)} {
			//guard:false "keys whose settings are lost are not replaced" TestInit
			if exists(path) {
				return fmt.Errorf("%s has %s already: restore what it lacks from a copy, or name another folder", dir, filepath.Base(path))
			}
		}
		if err := makeKeys(dir, keys, s, ca); err != nil {
			return err
		}
	}
	failpoint.At("enroll-keys")
	if register := filepath.Join(dir, registerFile); !exists(register) {
		if err := datadir.Replace(register, nil, 0o600); err != nil {
			return err
		}
	}
	return os.Rename(made, final)
}

// makeKeys makes the folder of the keys, with the settings in it, and what is made of the
// keys once.
func makeKeys(dir, keys string, s Settings, ca []byte) error {
	half := keys + ".half"
	//guard:drop os.RemoveAll "an init that was cut off can begin again" TestKilledAtEachWrite
	if err := errors.Join(os.RemoveAll(half), os.Mkdir(half, 0o700)); err != nil {
		return err
	}
	s.Keys = map[string]string{}
	if err := makeKey(half, "operator", nkeys.CreateOperator, s.Keys); err != nil {
		return err
	}
	for _, name := range keyNames(s.Streams) {
		if err := makeKey(half, name, nkeys.CreateAccount, s.Keys); err != nil {
			return err
		}
	}
	if err := makeOperator(dir, half, s.Keys); err != nil {
		return err
	}
	if len(ca) > 0 {
		if err := datadir.Replace(filepath.Join(dir, caFile), ca, 0o644); err != nil {
			return err
		}
	}
	if err := writeSettings(half, s); err != nil {
		return err
	}
	return os.Rename(half, keys)
}

// keyNames are the accounts and the roles, each of which has a key.
func keyNames(s Streams) []string {
	names := slices.Clone(accounts)
	for role := range roles(rollcallv1.Subjects{}, s) {
		names = append(names, string(role))
	}
	return names
}

func writeSettings(dir string, s Settings) error {
	text, err := json.Marshal(s, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	return datadir.Replace(filepath.Join(dir, settingsFile), append(text, '\n'), 0o600)
}

// addKeys makes the keys of the accounts and roles that the folder does not know, as it was
// made by an earlier version.
func (f *Folder) addKeys() error {
	added := false
	for _, name := range keyNames(f.settings.Streams) {
		if f.settings.Keys[name] != "" {
			continue
		}
		if err := makeKey(f.keys(), name, nkeys.CreateAccount, f.settings.Keys); err != nil {
			return err
		}
		added = true
	}
	if !added {
		return nil
	}
	return writeSettings(f.dir, f.settings)
}

func (f *Folder) keys() string { return filepath.Join(f.dir, keysFolder) }

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// checkCA refuses what is no certificate: a key that belongs to one would be copied to every
// machine.
func checkCA(text []byte) error {
	n := 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("it has a %s: give the certificates only", block.Type)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return err
		}
		n++
	}
	if n == 0 {
		return errors.New("it has no certificate in PEM")
	}
	return nil
}

// makeKey makes a key pair, in a folder of keys.
func makeKey(folder, name string, create func() (nkeys.KeyPair, error), public map[string]string) error {
	pair, err := create()
	if err != nil {
		return err
	}
	defer pair.Wipe()
	if public[name], err = pair.PublicKey(); err != nil {
		return err
	}
	seed, err := pair.Seed()
	if err != nil {
		return err
	}
	return datadir.Replace(keyFile(folder, name), append(seed, '\n'), 0o600)
}
