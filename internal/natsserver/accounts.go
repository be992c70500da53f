package natsserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"rollcall/internal/datadir"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// The embedded server has two accounts. rollcall itself, and whoever can read the
// key in the data folder, may do everything in the first, which has the streams.
// Every other program on the machine uses the second, without a login: it can
// publish events, ask questions, and receive reports and changes, but cannot delete
// or change anything. Two accounts are needed because NATS does not check
// permissions on the subject that a reply is sent to: within one account, a reply
// from JetStream could be a request to delete a stream. For the same reason local
// programs can deceive each other: one can direct a reply to the subject of reports.
const localAccount = "LOCAL"

// key returns the public key in the file, which is created if it is missing.
func key(file string) (public string, err error) {
	seed, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		seed, err = createKey(file)
	}
	if err != nil {
		return "", fmt.Errorf("reading the key of the embedded NATS server: %w", err)
	}
	pair, err := nkeys.ParseDecoratedNKey(seed)
	if err == nil {
		public, err = pair.PublicKey()
	}
	if err != nil {
		return "", fmt.Errorf("reading the key of the embedded NATS server in %s: %w: remove the file, and a new one is created", file, err)
	}
	return public, nil
}

// createKey writes a new seed file atomically, readable only by its owner.
func createKey(file string) ([]byte, error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return nil, err
	}
	seed, err := pair.Seed()
	if err != nil {
		return nil, err
	}
	seed = append(seed, '\n')
	return seed, datadir.Replace(file, seed, 0o600)
}

// setLogins sets who may connect: the holder of the key, in the account of the
// streams, and everybody else as the local user, who may not pose as rollcall by
// answering questions or publishing reports and changes. The local user has an nkey
// whose seed nobody has, since the server warns about plaintext passwords.
func setLogins(o *server.Options, public string, subjects rollcallv1.Subjects) error {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return err
	}
	user, err := pair.PublicKey()
	if err != nil {
		return err
	}
	local := server.NewAccount(localAccount)
	o.Accounts = []*server.Account{local}
	//guard:drop Account "no other program deletes a stream" TestWithoutKeyNothingElse
	o.Nkeys = []*server.NkeyUser{{Nkey: public}, {Nkey: user, Account: local, Permissions: &server.Permissions{
		//guard:drop publishedSubjects "no other program poses as rollcall" TestWithoutKeyNothingElse
		Publish:   &server.SubjectPermission{Deny: publishedSubjects(subjects)},
		Subscribe: &server.SubjectPermission{Deny: slices.Concat(subjects.AllEvents(), []string{subjects.AllQueries(), "$JS.>", "$SRV.>"})},
	}}}
	o.NoAuthUser = user
	return nil
}

// publishedSubjects returns the subjects of reports and changes.
func publishedSubjects(subjects rollcallv1.Subjects) []string {
	return append(subjects.AllReports(), subjects.Changes(), subjects.AllChanges())
}

// services returns the subjects of the requests that everybody may send: to store
// an event, to ask a question, and to see which streams exist and what they
// contain.
func services(subjects rollcallv1.Subjects) []string {
	return append(subjects.AllEvents(), subjects.AllQueries(),
		"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST", "$JS.API.STREAM.INFO.*", "$JS.API.STREAM.MSG.GET.*", "$JS.API.DIRECT.GET.>")
}

// share gives the local account access to the services and to what rollcall
// publishes.
func share(ns *server.Server, subjects rollcallv1.Subjects) error {
	local, err := ns.LookupAccount(localAccount)
	if err != nil {
		return err
	}
	ours, to := ns.GlobalAccount(), []*server.Account{local}
	for _, subject := range services(subjects) {
		err = errors.Join(err, ours.AddServiceExport(subject, to), local.AddServiceImport(ours, subject, subject))
	}
	const discovery = "$SRV.>" // each instance answers
	err = errors.Join(err, ours.AddServiceExportWithResponse(discovery, server.Streamed, to), local.AddServiceImport(ours, discovery, discovery))
	for _, subject := range publishedSubjects(subjects) {
		err = errors.Join(err, ours.AddStreamExport(subject, to), local.AddStreamImport(ours, subject, ""))
	}
	return err
}
