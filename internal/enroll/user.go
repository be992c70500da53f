package enroll

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"rollcall/internal/datadir"
	"rollcall/internal/failpoint"
	"rollcall/internal/wire"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// Options are those of one enrolment.
type Options struct {
	// Expire is how long the credentials are valid; 0 is until they are revoked.
	Expire time.Duration
	// Since is from where a machine's agent reads the journal at its first start: see
	// ROLLCALL_AGENT_SINCE. Empty is the agent's default.
	Since string
}

// Enrolled is what Enroll made.
type Enrolled struct {
	// Folder has the files, of which each is to be copied to the folder To; empty if they
	// are used where they are.
	Folder, To string
	// Others counts the user's earlier credentials with other keys that are valid still.
	Others int
}

// Enroll makes a user's credentials, and the settings to use them. Where the earlier ones
// are in the folder, they are renewed: the key stays, so that the settings do.
func (f *Folder) Enroll(as Role, name string, o Options) (Enrolled, error) {
	problem := wire.NameProblem(name)
	if name == "" {
		problem = "it is empty"
	}
	//guard:false "what is no name is not enrolled" TestNames
	if problem != "" {
		return Enrolled{}, fmt.Errorf("%q is no name: %s: use 1 to 255 bytes of visible text", name, problem)
	}
	if f.settings.Keys[string(as)] == "" {
		return Enrolled{}, fmt.Errorf("%s knows no %s yet: write accounts.conf anew by rollcall enroll --accounts, and load it", settingsFile, as)
	}
	role := f.roles[as]
	made := Enrolled{Folder: f.folderOf(as, name), To: role.to}
	pair, err := f.userKey(as, name)
	if err != nil {
		return made, err
	}
	defer pair.Wipe()
	entry := Entry{Role: as, Name: name, Issued: time.Now().UTC().Truncate(time.Second)}
	if entry.Key, err = pair.PublicKey(); err != nil {
		return made, err
	}
	made.Others = f.others(as, name, entry.Key)
	claims := jwt.NewUserClaims(entry.Key)
	claims.Name = userName(role, name)
	claims.IssuerAccount = f.settings.Keys[role.account]
	claims.SetScoped(true)
	if o.Expire > 0 {
		end := entry.Issued.Add(o.Expire)
		entry.Expires, claims.Expires = &end, end.Unix()
	}
	signer, err := readKey(f.keys(), string(as), f.settings.Keys)
	if err != nil {
		return made, err
	}
	defer signer.Wipe()
	token, err := claims.Encode(signer)
	if err != nil {
		return made, err
	}
	// The register first: what is not in it cannot be revoked.
	//guard:set f.record(...) error(nil) "who is enrolled is in the register, and can be revoked" TestRevoked
	if err := f.record(entry); err != nil {
		return made, err
	}
	return made, f.writeFiles(made.Folder, role, pair, token, f.environment(as, role, name, entry.Key, o, made.Folder))
}

// userName is what the server puts into the subject on which a user publishes: a machine's
// name as it is spelt there. A name itself could be a wildcard.
func userName(r role, name string) string {
	//guard:set rollcallv1.EncodeMachine(name) name "no name is a wildcard" TestNames
	spelt := rollcallv1.EncodeMachine(name)
	if r.mqtt {
		spelt = strings.ReplaceAll(spelt, ".", "//") // as the server spells the dots of a topic
	}
	return spelt
}

// userKey returns the key of the user's credentials in the folder, or else a new one.
func (f *Folder) userKey(as Role, name string) (nkeys.KeyPair, error) {
	path := filepath.Join(f.folderOf(as, name), f.roles[as].creds)
	newest, found := f.newest(as, name)
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && f.roles[as].mqtt:
		return nkeys.CreateUser()
	case err != nil:
		return nil, err
	}
	pair, err := jwt.ParseDecoratedUserNKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: remove it, and a new key is made", path, err)
	}
	public, err := pair.PublicKey()
	//guard:false "a revocation that was cut off is completed" TestKilledAtEachWrite
	if e := f.entries[public]; err == nil && e.Revoked != nil && e.Role == as && e.Name == name {
		return nkeys.CreateUser() // the revocation was cut off before it removed the file
	}
	//guard:drop "public != newest.Key" "credentials of another machine are not renewed" TestRenewed
	if err != nil || !found || public != newest.Key {
		return nil, fmt.Errorf("%s is not of the %s %q: move it away", path, as, name)
	}
	return pair, nil
}

// maxFolder is the length from which on a folder is not called as the user is: file systems
// allow 255 bytes.
const maxFolder = 200

// folderOf returns the folder of a user: machines/web1.example.com.
func (f *Folder) folderOf(as Role, name string) string {
	r := f.roles[as]
	if as == Service || as == Admin || as == Page {
		return filepath.Join(f.dir, r.folder)
	}
	return filepath.Join(f.dir, r.folder, folderName(name))
}

// folderName spells a name as in subjects, and with %XX for what means something to a shell,
// or to the library that reads the credentials, which takes $X for a variable.
func folderName(name string) string {
	var b strings.Builder
	for i, c := range []byte(rollcallv1.EncodeMachine(name)) {
		if strings.IndexByte(ofFolder, c) < 0 || i == 0 && c == '-' {
			fmt.Fprintf(&b, "%%%02X", c)
			continue
		}
		b.WriteByte(c)
	}
	if b.Len() > maxFolder {
		return fmt.Sprintf("%s~%x", b.String()[:maxFolder/2], sha256.Sum256([]byte(name)))
	}
	return b.String()
}

// ofFolder are the bytes that stay in the name of a folder.
const ofFolder = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.%"

// writeFiles writes the credentials, the settings, and the certificates to trust. The group
// may read them: where they are copied to, it is that of the program.
func (f *Folder) writeFiles(dir string, r role, pair nkeys.KeyPair, token, env string) error {
	err := os.MkdirAll(dir, 0o750)
	if err == nil {
		err = os.Chmod(dir, 0o750) // whatever the umask
	}
	if err != nil {
		return err
	}
	if err := datadir.RemoveUnfinished(dir, r.creds); err != nil {
		return err
	}
	creds := []byte(token)
	if !r.mqtt {
		seed, err := pair.Seed()
		if err != nil {
			return err
		}
		if creds, err = jwt.FormatUserConfig(token, seed); err != nil {
			return err
		}
	}
	ca, err := os.ReadFile(filepath.Join(f.dir, caFile))
	switch {
	case err == nil:
		err = write(filepath.Join(dir, caFile), ca, 0o644)
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	}
	if err == nil {
		err = write(filepath.Join(dir, r.env), []byte(env), 0o640)
	}
	failpoint.At("enroll-settings")
	if err == nil {
		err = datadir.Replace(filepath.Join(dir, r.creds), creds, 0o640)
	}
	return err
}

// write writes a file that can be made anew, whatever the umask.
func write(path string, content []byte, mode os.FileMode) error {
	//guard:drop os.Chmod "a strict umask hides nothing from the program's group" TestSecrets
	return errors.Join(os.WriteFile(path, content, mode), os.Chmod(path, mode))
}

// environment returns the settings: variables as systemd's EnvironmentFile and a shell read
// them.
func (f *Folder) environment(as Role, r role, name, key string, o Options, made string) string {
	to := r.to
	if to == "" {
		to, _ = filepath.Abs(made)
	}
	var b strings.Builder
	//guard:set quote(value) value "a shell reads the settings as they are" TestNames
	set := func(variable, value string) { fmt.Fprintf(&b, "%s=%s\n", variable, quote(value)) }
	fmt.Fprintf(&b, "# Made by rollcall enroll for the %s %s.\n", as, name)
	if r.mqtt {
		set("MQTT_USER", name)
		set("MQTT_TOPIC", strings.ReplaceAll(f.subjects.Events(), ".", "/")+"/"+rollcallv1.EncodeMachine(name))
		return b.String()
	}
	set("NATS_URL", f.settings.URL)
	set("NATS_CREDS", filepath.Join(to, r.creds))
	set("NATS_INBOX_PREFIX", strings.ReplaceAll(r.inbox, own, key))
	if _, err := os.Stat(filepath.Join(f.dir, caFile)); err == nil {
		set("NATS_CA", filepath.Join(to, caFile))
	}
	if f.settings.Subject != rollcallv1.DefaultSubject {
		set("ROLLCALL_SUBJECT", f.settings.Subject)
	}
	// Publishing needs no domain.
	if domain := f.settings.Streams.Domain; domain != "" && as != Machine {
		set("NATS_JS_DOMAIN", domain)
	}
	if as == Machine {
		set("ROLLCALL_AGENT_MACHINE", name)
		if o.Since != "" {
			set("ROLLCALL_AGENT_SINCE", o.Since)
		}
	}
	return b.String()
}

// plain are bytes that need no quotes.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:,@%+="

// quote writes a value so that systemd and a shell read it as it is.
func quote(value string) string {
	if value != "" && strings.Trim(value, plain) == "" {
		return value
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace(value) + `"`
}
