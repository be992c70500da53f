//go:build unix

package enroll

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"

	rollcallv1 "rollcall/proto/rollcall/v1"
)

var settings = Settings{
	URL: "tls://nats.example.com:4222", Subject: rollcallv1.DefaultSubject,
	Streams: Streams{Events: rollcallv1.DefaultEventsStream, Reports: rollcallv1.DefaultReportsStream, DeadLetters: rollcallv1.DefaultDeadLettersStream},
}

// certificate returns one in PEM.
func certificate(t testing.TB) []byte {
	t.Helper()
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(nil, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// newFolder makes a folder; it is closed when the test ends.
func newFolder(t *testing.T) *Folder {
	t.Helper()
	f, err := Init(filepath.Join(t.TempDir(), "enrolled"), settings, certificate(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// reopened closes a folder and opens it again.
func reopened(t *testing.T, f *Folder) *Folder {
	t.Helper()
	f.Close()
	again, err := Open(f.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(again.Close)
	return again
}

func enrolled(t *testing.T, f *Folder, as Role, name string, o Options) Enrolled {
	t.Helper()
	made, err := f.Enroll(as, name, o)
	if err != nil {
		t.Fatalf("%s %q: %v", as, name, err)
	}
	return made
}

// claims reads a user's credentials.
func claims(t *testing.T, path string) *jwt.UserClaims {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.ParseDecoratedJWT(text)
	if err != nil {
		t.Fatal(err)
	}
	c, err := jwt.DecodeUserClaims(token)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// accountsOf reads accounts.conf, by the accounts' names; each has to be valid.
func accountsOf(t *testing.T, f *Folder) map[string]*jwt.AccountClaims {
	t.Helper()
	text, err := os.ReadFile(f.AccountsFile())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*jwt.AccountClaims{}
	for line := range strings.Lines(string(text)) {
		_, token, found := strings.Cut(strings.TrimSpace(line), ": ")
		if !found || !strings.HasPrefix(line, "  A") {
			continue
		}
		account, err := jwt.DecodeAccountClaims(token)
		if err != nil {
			t.Fatal(err)
		}
		var issues jwt.ValidationResults
		account.Validate(&issues)
		for _, issue := range issues.Issues {
			if issue.Blocking {
				t.Errorf("%s: %s", account.Name, issue.Description)
			}
		}
		all[account.Name] = account
	}
	if len(all) != len(accounts) {
		t.Fatalf("%d accounts, want %d", len(all), len(accounts))
	}
	return all
}

// hostile are names that mean something to NATS, to a file system, a shell or systemd.
var hostile = []string{
	"*", ">", "web.*", "a.>", ".", "..", "a..b", ".a", "a.", "a b", "a/b", "../../etc/passwd", "50%", "%2A", "-x", "--init",
	"{{name()}}", "{{subject()}}", `back\slash`, `"quoted"`, "'single'", "$HOME", "`id`", "#comment", ";", "名前", "Ünïcode", "a=b",
	"two words", "$(id)", "\\", strings.Repeat("x", 255), strings.Repeat("é", 127), strings.Repeat(".", 255), "web1", "Web1",
}

// TestNames: every name gets a folder of its own below the machines', a user of its own whose
// name is its spelling in subjects, and settings that a shell reads as they are.
func TestNames(t *testing.T) {
	f := newFolder(t)
	folders := map[string]bool{}
	for _, name := range hostile {
		made := enrolled(t, f, Machine, name, Options{})
		if parent := filepath.Dir(made.Folder); parent != filepath.Join(f.dir, "machines") || folders[made.Folder] {
			t.Errorf("%q: folder %s", name, made.Folder)
		}
		folders[made.Folder] = true
		if got := claims(t, filepath.Join(made.Folder, "agent.creds")); got.Name != rollcallv1.EncodeMachine(name) || strings.ContainsAny(got.Name, "*> ") {
			t.Errorf("%q: the user is called %q", name, got.Name)
		}
		env := filepath.Join(made.Folder, "agent.env")
		out, err := exec.Command("sh", "-c", `. "$0"; printf %s "$ROLLCALL_AGENT_MACHINE"`, env).Output()
		if err != nil || string(out) != name {
			t.Errorf("a shell reads %q as %q (%v)", name, out, err)
		}
	}
	for _, name := range []string{"", " ", "a\nb", "a\x00b", "\x1b[31m", "a\u200bb", strings.Repeat("x", 256), "a\xffb"} {
		if made, err := f.Enroll(Machine, name, Options{}); err == nil {
			t.Errorf("%q is enrolled: %+v", name, made)
		}
	}
}

// TestRenewed: who is enrolled again keeps the key if the credentials are in the folder, and
// else gets another, and the earlier ones are counted.
func TestRenewed(t *testing.T) {
	f := newFolder(t)
	made := enrolled(t, f, Machine, "web1", Options{Expire: time.Hour})
	creds := filepath.Join(made.Folder, "agent.creds")
	first := claims(t, creds)
	if end := time.Unix(first.Expires, 0); time.Until(end) > time.Hour || time.Until(end) < 50*time.Minute {
		t.Errorf("valid until %v", end)
	}
	f = reopened(t, f)
	if made = enrolled(t, f, Machine, "web1", Options{}); made.Others != 0 || claims(t, creds).Subject != first.Subject || claims(t, creds).Expires != 0 {
		t.Errorf("renewed: %+v, %+v", made, claims(t, creds))
	}
	if err := os.Rename(made.Folder, filepath.Join(t.TempDir(), "moved")); err != nil {
		t.Fatal(err)
	}
	f = reopened(t, f)
	if made = enrolled(t, f, Machine, "web1", Options{}); made.Others != 1 || claims(t, creds).Subject == first.Subject {
		t.Errorf("enrolled anew: %+v, %+v", made, claims(t, creds))
	}
	other := enrolled(t, f, Machine, "web2", Options{})
	if err := os.Rename(filepath.Join(other.Folder, "agent.creds"), creds); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Enroll(Machine, "web1", Options{}); err == nil || !strings.Contains(err.Error(), "web1") {
		t.Errorf("with the credentials of another machine: %v", err)
	}
}

// TestRevoked: all credentials of a name are revoked, of no other; a new enrolment gets a new
// key.
func TestRevoked(t *testing.T) {
	f := newFolder(t)
	keys := map[string]bool{}
	for range 3 {
		made := enrolled(t, f, Machine, "web1", Options{})
		keys[claims(t, filepath.Join(made.Folder, "agent.creds")).Subject] = true
		if err := os.RemoveAll(made.Folder); err != nil {
			t.Fatal(err)
		}
	}
	enrolled(t, f, Machine, "web2", Options{})
	enrolled(t, f, Reader, "web1", Options{})
	if n, err := f.Revoke(Machine, "web1"); n != 3 || err != nil {
		t.Errorf("%d revoked (%v), want 3", n, err)
	}
	if n, err := f.Revoke(Machine, "web1"); n != 0 || err != nil {
		t.Errorf("revoked again: %d, %v", n, err)
	}
	if _, err := f.Revoke(Machine, "nobody"); err == nil {
		t.Error("nobody is revoked")
	}
	f = reopened(t, f)
	if err := f.WriteAccounts(); err != nil {
		t.Fatal(err)
	}
	all := accountsOf(t, f)
	for name, account := range all {
		for key := range account.Revocations {
			if name != machines || !keys[key] {
				t.Errorf("%s revokes %s", name, key)
			}
		}
	}
	if got := len(all[machines].Revocations); got != len(keys) || got != 3 {
		t.Errorf("%d keys are revoked, want 3", got)
	}
	later := f.Entries()[0]
	later.Issued = time.Now().Add(time.Hour).Truncate(time.Second).UTC() // by another clock
	later.Revoked, later.Name, later.Key = nil, "later", "U1"
	if err := f.record(later); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Revoke(Machine, "later"); err != nil || f.entries["U1"].Revoked.Before(later.Issued) {
		t.Errorf("revoked at %v what was issued at %v (%v)", f.entries["U1"].Revoked, later.Issued, err)
	}
	made := enrolled(t, f, Machine, "web1", Options{})
	if made.Others != 0 || keys[claims(t, filepath.Join(made.Folder, "agent.creds")).Subject] {
		t.Errorf("after the revocation: %+v", made)
	}
}

// TestSecrets: nobody else can read what is secret, and neither accounts.conf nor the
// register has any of it.
func TestSecrets(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	f := newFolder(t)
	for as, name := range map[Role]string{Machine: "web1", Device: "door", Reader: "ada", Service: "service", Admin: "admin", Page: "page", Sys: "ops"} {
		enrolled(t, f, as, name, Options{})
	}
	if info, err := os.Stat(f.dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has mode %v (%v)", info.Mode(), err)
	}
	err := filepath.WalkDir(f.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		text, err2 := os.ReadFile(path)
		if err != nil || err2 != nil {
			return fmt.Errorf("%w, %w", err, err2)
		}
		secret := slices.Contains([]string{".nk", ".creds", ".jwt"}, filepath.Ext(path))
		if secret && info.Mode().Perm()&0o007 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		if ofUser := filepath.Dir(path) != f.dir && filepath.Ext(path) != ".nk"; ofUser && info.Mode().Perm()&0o040 == 0 {
			t.Errorf("%s has mode %v: where it is copied to, the program's group could not read it", path, info.Mode())
		}
		for line := range strings.FieldsSeq(string(text)) { // seeds begin with S
			if len(line) == 58 && line[0] == 'S' && !secret {
				t.Errorf("%s has a seed", path)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestInit: a folder is made once; what is missing or wrong in it is named; half a line at
// the end of the register, which a crash left, is cut.
func TestInit(t *testing.T) {
	f := newFolder(t)
	enrolled(t, f, Machine, "web1", Options{})
	if _, err := Open(f.dir); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("opened twice: %v", err)
	}
	f.Close()
	f = wantSame(t, f)
	if err := os.Rename(filepath.Join(f.dir, settingsFile), filepath.Join(f.dir, "moved")); err != nil {
		t.Fatal(err)
	}
	if _, err := Init(f.dir, settings, nil); err == nil || !strings.Contains(err.Error(), "has keys already") {
		t.Errorf("made over keys whose settings are lost: %v", err)
	}
	if err := os.Rename(filepath.Join(f.dir, "moved"), filepath.Join(f.dir, settingsFile)); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(keyFile(f.keys(), "operator"))
	if err != nil {
		t.Fatal(err)
	}
	private := append(certificate(t), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})...)
	for _, ca := range [][]byte{key, private, []byte("root:x:0:0"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})} {
		if _, err := Init(filepath.Join(t.TempDir(), "other"), settings, ca); err == nil {
			t.Errorf("no certificate, but taken for one: %s", ca)
		}
	}
	if _, err := Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "--init") {
		t.Errorf("opened before it was made: %v", err)
	}
	register := filepath.Join(f.dir, registerFile)
	whole, err := os.ReadFile(register)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(register, append(whole, whole[:20]...), 0o600); err != nil {
		t.Fatal(err)
	}
	f = reopened(t, f)
	enrolled(t, f, Machine, "web2", Options{})
	if f = reopened(t, f); len(f.Entries()) != 2 {
		t.Errorf("%+v", f.Entries())
	}
	if whole, err = os.ReadFile(register); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(register, whole[:len(whole)-1], 0o600); err != nil { // without the last line's end
		t.Fatal(err)
	}
	f = reopened(t, f)
	enrolled(t, f, Machine, "web4", Options{})
	if f = reopened(t, f); len(f.Entries()) != 3 {
		t.Errorf("%+v", f.Entries())
	}
	f.Close()
	if err := os.WriteFile(register, append([]byte("x\n"), whole...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(f.dir); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a damaged register: %v", err)
	}
	if err := os.Remove(register); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(f.dir); err == nil || !strings.Contains(err.Error(), "nobody is revoked") {
		t.Errorf("a lost register: %v", err)
	}
	if err := os.WriteFile(register, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(keyFile(f.keys(), "operator")); err != nil {
		t.Fatal(err)
	}
	if f, err = Open(f.dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	enrolled(t, f, Machine, "web3", Options{}) // without the operator's key
	if err := f.WriteAccounts(); err == nil || !strings.Contains(err.Error(), "operator.nk") {
		t.Errorf("without the operator's key: %v", err)
	}
}

// wantSame checks that a folder that was made is opened by Init as it is, with the same
// settings only.
func wantSame(t *testing.T, f *Folder) *Folder {
	t.Helper()
	ca, err := os.ReadFile(filepath.Join(f.dir, caFile))
	if err != nil {
		t.Fatal(err)
	}
	other, another := settings, settings
	other.URL, another.Streams.Events = "nats://127.0.0.1", "OTHER"
	for says, c := range map[string]struct {
		settings Settings
		ca       []byte
	}{
		"with other certificates":                   {settings, nil},
		"for tls://nats.example.com":                {other, ca},
		"for another subject or other streams: enr": {another, ca},
	} {
		if _, err := Init(f.dir, c.settings, c.ca); err == nil || !strings.Contains(err.Error(), "was made already, "+says) {
			t.Errorf("made twice: %v, want an error that says %s", err, says)
		}
	}
	before, err := os.ReadFile(f.AccountsFile())
	if err != nil {
		t.Fatal(err)
	}
	again, err := Init(f.dir, settings, ca)
	if err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(f.AccountsFile())
	if err != nil || string(after) != string(before) || !maps.Equal(again.settings.Keys, f.settings.Keys) {
		t.Errorf("made again: %v, other keys %v", err, !maps.Equal(again.settings.Keys, f.settings.Keys))
	}
	again.Close()
	return again
}

// TestList: of the credentials of one key those are listed that are valid still, and the last
// ones; of a revoked key only that it is.
func TestList(t *testing.T) {
	f := newFolder(t)
	for _, expire := range []time.Duration{0, time.Nanosecond, time.Hour, 2 * time.Nanosecond} {
		enrolled(t, f, Machine, "web1", Options{Expire: expire})
	}
	enrolled(t, f, Machine, "web2", Options{Expire: time.Hour})
	enrolled(t, f, Machine, "web2", Options{})
	listed := func() (list []string) {
		for _, e := range f.Entries() {
			end := ""
			if e.Expires != nil {
				end = e.Expires.Sub(e.Issued).String()
			}
			if e.Revoked != nil {
				end = "revoked"
			}
			list = append(list, e.Name+" "+end)
		}
		return list
	}
	if got, want := listed(), []string{"web1 ", "web1 1h0m0s", "web1 2ns", "web2 1h0m0s", "web2 "}; !slices.Equal(got, want) {
		t.Errorf("listed are %q, want %q", got, want)
	}
	f = reopened(t, f)
	if _, err := f.Revoke(Machine, "web1"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, want := listed(), []string{"web1 revoked", "web2 1h0m0s", "web2 "}; !slices.Equal(got, want) {
			t.Errorf("listed are %q, want %q", got, want)
		}
		f = reopened(t, f)
	}
	if err := os.RemoveAll(filepath.Join(f.dir, "machines", "web2")); err != nil {
		t.Fatal(err)
	}
	enrolled(t, f, Machine, "web2", Options{Expire: time.Nanosecond})
	if err := os.RemoveAll(filepath.Join(f.dir, "machines", "web2")); err != nil {
		t.Fatal(err)
	}
	if made := enrolled(t, f, Machine, "web2", Options{}); made.Others != 1 {
		t.Errorf("%d others, want the key of the first two credentials", made.Others)
	}
}

// TestEarlierFolder: accounts.conf that is written anew by a version that has one role more
// has that, the same operator, keys and revocations; before, the role is refused.
func TestEarlierFolder(t *testing.T) {
	f := newFolder(t)
	enrolled(t, f, Machine, "web1", Options{})
	if _, err := f.Revoke(Machine, "web1"); err != nil {
		t.Fatal(err)
	}
	if err := f.WriteAccounts(); err != nil {
		t.Fatal(err)
	}
	before := accountsOf(t, f)
	lost := f.settings.Keys[string(Page)]
	delete(f.settings.Keys, string(Page))
	if err := errors.Join(writeSettings(f.dir, f.settings), os.Remove(keyFile(f.keys(), string(Page)))); err != nil {
		t.Fatal(err)
	}
	f = reopened(t, f)
	if _, err := f.Enroll(Page, "page", Options{}); err == nil || !strings.Contains(err.Error(), "rollcall enroll --accounts") {
		t.Errorf("enrolled with a role that the folder does not know: %v", err)
	}
	if err := f.WriteAccounts(); err != nil {
		t.Fatal(err)
	}
	f = reopened(t, f)
	if key := f.settings.Keys[string(Page)]; key == "" || key == lost {
		t.Errorf("the key of the new role is %q", key)
	}
	enrolled(t, f, Page, "page", Options{})
	for name, account := range accountsOf(t, f) {
		was := before[name]
		if account.Subject != was.Subject || !maps.Equal(account.Revocations, was.Revocations) || len(account.SigningKeys) != len(was.SigningKeys) {
			t.Errorf("%s is\n%+v, was\n%+v", name, account, was)
		}
		for key := range account.SigningKeys {
			if _, known := was.SigningKeys[key]; !known && key != f.settings.Keys[string(Page)] {
				t.Errorf("%s has the new key %s", name, key)
			}
		}
	}
}

// TestWrongKey: a key that is not the one in the settings signs nothing.
func TestWrongKey(t *testing.T) {
	f := newFolder(t)
	if err := os.Rename(keyFile(f.keys(), string(Reader)), keyFile(f.keys(), string(Machine))); err != nil {
		t.Fatal(err)
	}
	if made, err := f.Enroll(Machine, "web1", Options{}); err == nil || !strings.Contains(err.Error(), "is not the key in enroll.json") {
		t.Errorf("enrolled with the readers' key: %+v, %v", made, err)
	}
}

// TestTwoAtOnce: of several that make or use a folder at once each succeeds, or is told that
// another uses it; all have the same keys.
func TestTwoAtOnce(t *testing.T) {
	dir, ca := filepath.Join(t.TempDir(), "enrolled"), certificate(t)
	var all sync.WaitGroup
	made := make(chan string, 1000)
	for n := range 8 {
		all.Go(func() {
			for done := 0; done < 5; {
				f, err := Init(dir, settings, ca)
				if err != nil {
					if !strings.Contains(err.Error(), "another process uses it") {
						t.Error(err)
						return
					}
					time.Sleep(time.Millisecond)
					continue
				}
				if _, err := f.Enroll(Machine, fmt.Sprint("m", n, ".", done), Options{}); err != nil {
					t.Error(err)
				}
				made <- f.settings.Keys["operator"]
				done++
				f.Close()
			}
		})
	}
	all.Wait()
	close(made)
	operators := map[string]bool{}
	for operator := range made {
		operators[operator] = true
	}
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if len(operators) != 1 || len(f.Entries()) != 8*5 {
		t.Errorf("%d operators, %d are enrolled", len(operators), len(f.Entries()))
	}
}

func BenchmarkEnroll(b *testing.B) {
	f, err := Init(filepath.Join(b.TempDir(), "enrolled"), settings, certificate(b))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	n := 0
	for b.Loop() {
		n++
		if _, err := f.Enroll(Machine, fmt.Sprint("web", n), Options{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "machines/s")
}

// TestDomain: permissions and settings of everybody who uses the streams name their domain; a
// machine only publishes.
func TestDomain(t *testing.T) {
	in := settings
	in.Streams.Domain = "hub"
	f, err := Init(filepath.Join(t.TempDir(), "enrolled"), in, certificate(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	text, err := json.Marshal(accountsOf(t, f))
	if err != nil {
		t.Fatal(err)
	}
	for subject, want := range map[string]int{`"$JS.API.STREAM.MSG.GET.ROLLCALL_EVENTS"`: 1, `"$JS.hub.API.STREAM.MSG.GET.ROLLCALL_EVENTS"`: 1} {
		if n := strings.Count(string(text), subject); n != want {
			t.Errorf("%s is there %d times, want %d, in %s", subject, n, want, text)
		}
	}
	for as, want := range map[Role]bool{Service: true, Admin: true, Reader: true, Page: true, Machine: false} {
		made := enrolled(t, f, as, "one", Options{})
		env, err := os.ReadFile(filepath.Join(made.Folder, f.roles[as].env))
		if got := strings.Contains(string(env), "\nNATS_JS_DOMAIN=hub\n"); err != nil || got != want {
			t.Errorf("%s: %s%v", as, env, err)
		}
	}
	if _, err := Init(f.dir, settings, nil); err == nil {
		t.Error("a folder of streams in another domain is used")
	}
}
