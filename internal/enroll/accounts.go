package enroll

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"

	"rollcall/internal/datadir"
)

// accountsFile is what the NATS server includes; operatorFile has the operator as it stands
// in there.
const (
	accountsFile = "accounts.conf"
	operatorFile = "operator.jwt"
)

// AccountsFile returns the path of accounts.conf.
func (f *Folder) AccountsFile() string { return filepath.Join(f.dir, accountsFile) }

// makeOperator signs the operator itself, once: with another text for it, the server refuses
// a reload.
func makeOperator(dir, folder string, keys map[string]string) error {
	operator, err := readKey(folder, "operator", keys)
	if err != nil {
		return err
	}
	defer operator.Wipe()
	claims := jwt.NewOperatorClaims(keys["operator"])
	claims.Name = "rollcall"
	claims.SystemAccount = keys[system]
	token, err := claims.Encode(operator)
	if err != nil {
		return fmt.Errorf("signing the operator: %w", err)
	}
	return datadir.Replace(filepath.Join(dir, operatorFile), []byte(token+"\n"), 0o600)
}

// WriteAccounts writes accounts.conf anew, from the keys and the register: all that the
// server has to know. It contains no secrets.
func (f *Folder) WriteAccounts() error {
	operator, err := readKey(f.keys(), "operator", f.settings.Keys)
	if err != nil {
		return err
	}
	defer operator.Wipe()
	//guard:set f.addKeys() error(nil) "accounts written by a later version have its new roles" TestEarlierFolder
	if err := f.addKeys(); err != nil {
		return err
	}
	token, err := os.ReadFile(filepath.Join(f.dir, operatorFile))
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# Written by "rollcall enroll". After it was written anew, copy it to the server, and
# reload that: nats-server --signal reload

operator: %s
system_account: %s
resolver: MEMORY
resolver_preload {
`, strings.TrimSpace(string(token)), f.settings.Keys[system])
	all := f.claims()
	for _, name := range accounts {
		account := all[name]
		token, err := account.Encode(operator)
		if err != nil {
			return fmt.Errorf("signing the account %s: %w", name, err)
		}
		fmt.Fprintf(&b, "  # %s\n  %s: %s\n", name, account.Subject, token)
	}
	b.WriteString("}\n")
	return datadir.Replace(f.AccountsFile(), []byte(b.String()), 0o644)
}

// claims returns what the accounts may do.
func (f *Folder) claims() map[string]*jwt.AccountClaims {
	all := map[string]*jwt.AccountClaims{}
	for _, name := range accounts {
		account := jwt.NewAccountClaims(f.settings.Keys[name])
		account.Name = name
		all[name] = account
	}
	// The limit is the server's, max_file_store: with a lower limit than this one, the
	// server would give the account no JetStream at all.
	all[rollcall].Limits.DiskStorage, all[rollcall].Limits.MemoryStorage = jwt.NoLimit, jwt.NoLimit
	all[devices].Limits.DiskStorage, all[devices].Limits.MemoryStorage = maxDevices, 0
	for _, name := range slices.Sorted(maps.Keys(f.roles)) {
		role := f.roles[name]
		scope := jwt.NewUserScope()
		scope.Key, scope.Role = f.settings.Keys[string(name)], string(name)
		scope.Template.Pub.Allow = role.publish
		scope.Template.Sub.Allow = role.subscribe
		scope.Template.Sub.Deny = role.deny
		scope.Template.AllowedConnectionTypes = jwt.StringList{jwt.ConnectionTypeStandard, jwt.ConnectionTypeWebsocket}
		if role.inbox != "" {
			scope.Template.Sub.Allow = append(slices.Clone(role.subscribe), role.inbox+".>")
		}
		if role.mqtt {
			scope.Template.BearerToken = true
			scope.Template.AllowedConnectionTypes = jwt.StringList{jwt.ConnectionTypeMqtt, jwt.ConnectionTypeMqttWS}
		}
		all[role.account].SigningKeys.AddScopedSigner(scope)
	}
	f.share(all)
	for _, e := range f.entries {
		if e.Revoked != nil {
			//guard:drop "the accounts have the revocations" TestRevoked
			all[f.roles[e.Role].account].RevokeAt(e.Key, *e.Revoked)
		}
	}
	return all
}

// share exports from ROLLCALL, and imports into the others.
func (f *Folder) share(all map[string]*jwt.AccountClaims) {
	exported := map[string]bool{}
	for _, s := range allShared(f.subjects, f.settings.Streams) {
		subject := jwt.Subject(s.subject)
		if !exported[s.subject] {
			all[rollcall].Exports.Add(&jwt.Export{Name: s.subject, Subject: subject, Type: s.kind, ResponseType: s.response})
		}
		exported[s.subject] = true
		all[s.account].Imports.Add(&jwt.Import{Name: s.subject, Subject: subject, Type: s.kind, Account: f.settings.Keys[rollcall]})
	}
}

// Revoke revokes all credentials of a user, removes the user's folder, and returns how many
// keys they had; none if they were revoked already. The server goes on accepting them until it
// has loaded the accounts.conf that [Folder.WriteAccounts] writes afterwards.
func (f *Folder) Revoke(as Role, name string) (int, error) {
	// The server compares whole seconds, and refuses what was issued in that second too.
	now, n, known := time.Now().UTC().Truncate(time.Second), 0, false
	for _, e := range slices.Collect(maps.Values(f.entries)) {
		if e.Role != as || e.Name != name {
			continue
		}
		known = true
		if e.Revoked != nil {
			continue
		}
		// The clock may have been set back since it was issued.
		at := now
		//guard:false "a revocation holds although the clock was set back" TestRevoked
		if e.Issued.After(at) {
			at = e.Issued
		}
		e.Revoked = &at
		if err := f.record(e); err != nil {
			return n, err
		}
		n++
	}
	if !known {
		return 0, fmt.Errorf("there are no credentials of the %s %q to revoke", as, name)
	}
	return n, f.removeFiles(as, name)
}
