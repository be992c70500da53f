package enroll

import (
	"slices"

	"github.com/nats-io/jwt/v2"

	rollcallv1 "rollcall/proto/rollcall/v1"
)

// Role is what a user of NATS is for.
type Role string

// The roles. A machine publishes its own events; a device does so by MQTT; a reader asks
// all questions, and so does the page; the service is "rollcall serve"; the admin manages
// the streams, and publishes for machines that are gone; sys manages the servers of a cluster.
const (
	Machine Role = "machine"
	Device  Role = "device"
	Reader  Role = "reader"
	Page    Role = "page"
	Service Role = "service"
	Admin   Role = "admin"
	Sys     Role = "sys" // not "system": its key would have the name of the account's, but for the case
)

// The accounts. There are several because NATS does not check the reply subject of a
// request: within one account a reader could have a dead letter sent to a machine's
// subject, where it would count as an event. Across accounts an answer can only go back to
// the account that asked.
const (
	system   = "SYSTEM"
	rollcall = "ROLLCALL" // the service, its streams, and their admin
	machines = "MACHINES"
	devices  = "DEVICES" // those of MQTT, which keeps its state in streams of its account
	readers  = "READERS"
)

var accounts = []string{system, rollcall, machines, devices, readers}

// maxDevices is the most that MQTT's own streams may keep, in bytes.
const maxDevices = 1 << 30

// role says what the users of a role may do, and which files they get.
type role struct {
	account            string
	publish, subscribe []string
	deny               []string // to subscribe
	// inbox is the prefix of a user's own answers: whoever may subscribe to _INBOX.> can
	// read everybody's. own is the user's public key.
	inbox string
	mqtt  bool
	// folder has a folder for each user, env and creds are the files in it, and to is
	// where they belong; "" is where they are made.
	folder, env, creds, to string
}

// own is what NATS replaces by the user's public key, and name by the user's name.
const (
	own  = "{{subject()}}"
	name = "{{name()}}"
)

// questions are what readers may ask; every service answers instances.
var questions = []string{"report", "machine", "user", "history", "counts", "sessions", "find", "status", instances}

const instances = "instances"

// gets returns the requests for single messages of the streams of dead letters and of reports.
func (s Streams) gets() (letters, reports string) {
	return "DIRECT.GET." + s.DeadLetters, "DIRECT.GET." + s.Reports
}

// roles returns what each role may do.
func roles(s rollcallv1.Subjects, streams Streams) map[Role]role {
	reads := []string{s.Reports(), s.Reports() + ".>", s.Changes(), s.AllChanges()}
	letters, reports := streams.gets()
	reader := role{
		account:   readers,
		publish:   append(streams.requests(letters, reports+".>"), s.AllQueries()),
		subscribe: reads,
		inbox:     "_INBOX_" + own,
		folder:    "readers", env: "nats.env", creds: "nats.creds",
	}
	page := reader
	page.folder, page.to, page.env = "page", "/etc/rollcall-web", "web.env"
	return map[Role]role{
		Machine: {
			account: machines, publish: []string{s.Events() + "." + name}, inbox: "_INBOX_" + own,
			folder: "machines", to: "/etc/rollcall-agent", env: "agent.env", creds: "agent.creds",
		},
		Device: {
			account: devices, publish: []string{s.Events() + "." + name}, deny: []string{">"}, mqtt: true,
			folder: "devices", env: "mqtt.env", creds: "mqtt.jwt",
		},
		Reader:  reader,
		Page:    page,
		Service: serviceRole(s, streams),
		Admin: {
			account:   rollcall,
			publish:   []string{"$JS.>", "$SRV.>", s.Events() + ".>", s.AllQueries()},
			subscribe: append([]string{"$JS.EVENT.>"}, reads...),
			inbox:     "_INBOX_admin",
			folder:    "admin", env: "nats.env", creds: "nats.creds",
		},
		Sys: {
			account: system,
			publish: []string{
				// To see servers, connections, and the replicas of streams. $SYS.REQ.SERVER.> also
				// permits to reload a server and to disconnect a client.
				"$SYS.REQ.SERVER.>", "$SYS.REQ.ACCOUNT.>", "$SYS.REQ.USER.INFO",
				// To remove a server that is gone from the cluster, and to move the cluster's leader.
				"$JS.API.SERVER.REMOVE", "$JS.API.META.LEADER.STEPDOWN",
			},
			// All users of this account have the same rights, so none needs an inbox of its own.
			inbox:  "_INBOX",
			folder: "sys", env: "nats.env", creds: "nats.creds",
		},
	}
}

// serviceRole returns what a service may do.
func serviceRole(s rollcallv1.Subjects, streams Streams) role {
	base := s.Base()
	letters, reports := streams.gets()
	return role{
		account: rollcall,
		publish: slices.Concat(streams.requests(
			// To check the settings and the identity of the streams. It may not create, change,
			// delete or purge any of them.
			"STREAM.LIST", "STREAM.NAMES", "INFO",
			"STREAM.INFO."+streams.Events, "STREAM.INFO."+streams.DeadLetters, "STREAM.INFO."+streams.Reports,
			// To read events: its own consumers, and the message at its position.
			"CONSUMER.CREATE."+streams.Events+".>", "CONSUMER.DELETE."+streams.Events+".*",
			"CONSUMER.MSG.NEXT."+streams.Events+".*", "STREAM.MSG.GET."+streams.Events,
			// To find out whether a dead letter is stored already, and which places were
			// assigned before the stream of events was recreated.
			letters+".>", letters, reports,
			// With ROLLCALL_STANDBY: the lease, whose bucket it creates, ...
			"STREAM.INFO.KV_ROLLCALL_LEASE", "STREAM.CREATE.KV_ROLLCALL_LEASE", "STREAM.MSG.GET.KV_ROLLCALL_LEASE",
			// ... and the object store by which a snapshot and the history are handed over.
			"STREAM.INFO.OBJ_ROLLCALL_HANDOVER", "STREAM.CREATE.OBJ_ROLLCALL_HANDOVER", "STREAM.PURGE.OBJ_ROLLCALL_HANDOVER",
			"STREAM.MSG.GET.OBJ_ROLLCALL_HANDOVER", "DIRECT.GET.OBJ_ROLLCALL_HANDOVER.>",
			"CONSUMER.CREATE.OBJ_ROLLCALL_HANDOVER.>", "CONSUMER.DELETE.OBJ_ROLLCALL_HANDOVER.*",
		),
			// With ROLLCALL_STANDBY: its lease.
			streams.key("ROLLCALL_LEASE", base+".active"),
			[]string{
				// What is handed over.
				"$O.ROLLCALL_HANDOVER.>", "$JS.FC.OBJ_ROLLCALL_HANDOVER.>",
				// What it publishes.
				s.Reports(), s.Reports() + ".>", s.Changes(), s.AllChanges(), base + ".deadletters.>",
				// Answers: to other accounts, to the admin, and to another service on the same
				// subjects. It asks who is there, and, when it stands by, for a hand-over.
				"_R_.>", "_INBOX_admin.>", "_INBOX_rollcall.>", s.Query(instances), s.Query("handover"),
			},
		),
		subscribe: []string{s.AllQueries(), "$SRV.>"},
		inbox:     "_INBOX_rollcall",
		folder:    "service", to: "/etc/rollcall", env: "rollcall.env", creds: "nats.creds",
	}
}

// shared is what ROLLCALL exports, and another account imports.
type shared struct {
	account, subject string
	kind             jwt.ExportType
	response         jwt.ResponseType
}

func allShared(s rollcallv1.Subjects, streams Streams) []shared {
	all := []shared{
		{account: machines, subject: s.Events() + ".>", kind: jwt.Service},
		{account: devices, subject: s.Events() + ".>", kind: jwt.Service},
	}
	for _, request := range streams.requests("DIRECT.GET."+streams.DeadLetters, "DIRECT.GET."+streams.Reports+".>") {
		all = append(all, shared{account: readers, subject: request, kind: jwt.Service})
	}
	for _, q := range questions {
		share := shared{account: readers, subject: s.Query(q), kind: jwt.Service}
		if q == instances {
			share.response = jwt.ResponseTypeStream
		}
		all = append(all, share)
	}
	for _, subject := range []string{s.Reports(), s.Reports() + ".>", s.Changes(), s.AllChanges()} {
		all = append(all, shared{account: readers, subject: subject, kind: jwt.Stream})
	}
	return all
}
