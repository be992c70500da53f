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
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"
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
	// Domain is the JetStream domain in which they are; empty: that of the server.
	Domain string `json:"domain,omitzero"`
}

// requests returns the subjects of requests to JetStream, such as STREAM.LIST. In a domain they are
// there twice: whoever is connected to a server of another one asks $JS.hub.API.STREAM.LIST, which a
// server of the domain turns into $JS.API.STREAM.LIST before it checks the permission.
func (s *Streams) requests(of ...string) []string {
	var subjects []string
	for _, request := range of {
		subjects = append(subjects, "$JS.API."+request)
		//guard:false "permissions are those of the streams' domain" TestDomain
		if s.Domain != "" {
			subjects = append(subjects, "$JS."+s.Domain+".API."+request)
		}
	}
	return subjects
}

// key returns the subjects on which a key of a bucket is written. Whoever is connected to a
// server of another domain writes it as if that were a request.
func (s *Streams) key(bucket, key string) []string {
	subject := "$KV." + bucket + "." + key
	//guard:false "a lease in another domain can be renewed" TestStandbyInDomain
	if s.Domain != "" {
		return []string{subject, "$JS." + s.Domain + ".API." + subject}
	}
	return []string{subject}
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
	issued   []Entry          // all that were, in the order of the register
	lines    int              // of the register
}

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
	err = f.readRegister()
	if err == nil {
		//guard:drop "nothing stays of a write that was cut off" TestKilledAtEachWrite
		err = datadir.RemoveUnfinished(dir, settingsFile, registerFile, accountsFile, operatorFile, caFile)
	}
	if err != nil {
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

func keyFile(folder, name string) string { return filepath.Join(folder, name+".nk") }

// readKey reads a secret key, in a folder of keys. Those that a command does not need may be
// elsewhere.
func readKey(folder, name string, public map[string]string) (nkeys.KeyPair, error) {
	path := keyFile(folder, name)
	seed, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pair, err := nkeys.ParseDecoratedNKey(seed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	//guard:drop "key != public[name]" "nothing is signed by a key of something else" TestWrongKey
	if key, err := pair.PublicKey(); err != nil || key != public[name] {
		return nil, fmt.Errorf("%s is not the key in %s", path, settingsFile)
	}
	return pair, nil
}
