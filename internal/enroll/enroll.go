// Package enroll makes what rollcall's users of NATS need: with an operator, whose accounts
// say what each role may do (roles.go), and with credentials for each machine and reader,
// signed by the key of their role. A server that has the accounts accepts whom they sign: it
// has to learn nothing of a new machine. All of it is made without a server, in a folder:
//
//	enroll.json      the settings, and the public keys
//	keys             the secret keys of the operator, the accounts and the roles
//	enrolled.jsonl   who was enrolled, and who was revoked (register.go)
//	accounts.conf    for the server, with operator.jwt in it (accounts.go)
//	machines/web1    the files for the machine web1; other roles have folders beside it (user.go)
package enroll

import (
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
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// Settings are what everybody who is enrolled shares.
type Settings struct {
	// URL is where clients find the server; several are separated by commas.
	URL string `json:"url"`
	// Subject is the base of all subjects.
	Subject string  `json:"subject"`
	Streams Streams `json:"streams"`
	// Keys are the public keys of the operator, the accounts and the roles.
	Keys map[string]string `json:"keys"`
}

// Streams are the names of the streams.
type Streams struct {
	Events      string `json:"events"`
	Reports     string `json:"reports"`
	DeadLetters string `json:"deadletters"`
}

// The files in the folder.
const (
	settingsFile = "enroll.json"
	keysFolder   = "keys"
	caFile       = "ca.pem"
)

// Folder is a folder from which users are enrolled. One process uses it at a time.
type Folder struct {
	dir      string
	settings Settings
	subjects rollcallv1.Subjects
	roles    map[Role]role
	lock     *os.File
	register *os.File
	entries  map[string]Entry // by key
	lines    int              // of the register
}

// Init makes a folder, with new keys, and opens it. ca are the certificates with which
// clients check the server, in PEM; empty if the system has them.
func Init(dir string, s Settings, ca []byte) (*Folder, error) {
	if _, err := os.Stat(filepath.Join(dir, settingsFile)); err == nil {
		return nil, fmt.Errorf("%s was made already: enroll from it, or name another folder", dir)
	}
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
	if err == nil {
		err = f.WriteAccounts()
	}
	return f, err
}

// makeFolder makes what Open expects. It never replaces a key: who has lost the settings, but
// not the keys, would lose these, too.
func makeFolder(dir string, s Settings, ca []byte) error {
	lock, err := datadir.Lock(dir)
	if err != nil {
		return fmt.Errorf("locking %s: %w", dir, err)
	}
	defer datadir.Unlock(lock)
	for _, name := range []string{keysFolder, registerFile, settingsFile} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return fmt.Errorf("%s has %s already: restore what it lacks from a copy, or name another folder", dir, name)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, keysFolder), 0o700); err != nil {
		return err
	}
	s.Keys = map[string]string{}
	if err := makeKey(dir, "operator", nkeys.CreateOperator, s.Keys); err != nil {
		return err
	}
	names := slices.Clone(accounts)
	for role := range roles(rollcallv1.Subjects{}, s.Streams) {
		names = append(names, string(role))
	}
	for _, name := range names {
		if err := makeKey(dir, name, nkeys.CreateAccount, s.Keys); err != nil {
			return err
		}
	}
	if err := makeOperator(dir, s.Keys); err != nil {
		return err
	}
	if len(ca) > 0 {
		if err := datadir.Replace(filepath.Join(dir, caFile), ca, 0o644); err != nil {
			return err
		}
	}
	if err := datadir.Replace(filepath.Join(dir, registerFile), nil, 0o600); err != nil {
		return err
	}
	text, err := json.Marshal(s, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	return datadir.Replace(filepath.Join(dir, settingsFile), append(text, '\n'), 0o600)
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

// makeKey makes a key pair.
func makeKey(dir, name string, create func() (nkeys.KeyPair, error), public map[string]string) error {
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
	return datadir.Replace(keyFile(dir, name), append(seed, '\n'), 0o600)
}

func keyFile(dir, name string) string { return filepath.Join(dir, keysFolder, name+".nk") }

// Open opens a folder that Init has made.
func Open(dir string) (*Folder, error) {
	f := &Folder{dir: dir, entries: map[string]Entry{}}
	text, err := os.ReadFile(filepath.Join(dir, settingsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: make the folder by rollcall enroll --init", err)
	}
	if err == nil {
		err = json.Unmarshal(text, &f.settings)
	}
	if err == nil {
		f.subjects, err = rollcallv1.NewSubjects(f.settings.Subject)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, settingsFile), err)
	}
	f.roles = roles(f.subjects, f.settings.Streams)
	if f.lock, err = datadir.Lock(dir); err != nil {
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	if err := f.readRegister(); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Close lets others use the folder.
func (f *Folder) Close() {
	if f.register != nil {
		f.register.Close()
	}
	datadir.Unlock(f.lock)
}

// readKey reads a secret key. Those that a command does not need may be elsewhere.
func readKey(dir, name string, public map[string]string) (nkeys.KeyPair, error) {
	path := keyFile(dir, name)
	seed, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pair, err := nkeys.ParseDecoratedNKey(seed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if key, err := pair.PublicKey(); err != nil || key != public[name] {
		return nil, fmt.Errorf("%s is not the key in %s", path, settingsFile)
	}
	return pair, nil
}
