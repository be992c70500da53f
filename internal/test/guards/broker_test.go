package guards

const (
	refusedStreams = "./internal/natsconn TestRefusedStreams"
	wrongOptions   = "./internal/natsconn TestWrongOptions"
)

var brokerGuards = []guard{
	{
		"natsconn: a renewed key", "who stays connected gets in with the key that the file has by then",
		"internal/natsconn/renew.go", `nc.Opts.Nkey = fresh.Nkey`, `_ = fresh.Nkey`, "./internal/natsconn TestRenewedKey",
	},
	{
		"natsconn: retention", "a reader without acks does not delete what it reads",
		"internal/natsconn/refuse.go", `if c.Retention != jetstream.LimitsPolicy {`, `if false {`, refusedStreams,
	},
	{
		"natsconn: no_ack", "a publisher learns whether its event was stored",
		"internal/natsconn/refuse.go", `if c.NoAck {`, `if false {`, refusedStreams,
	},
	{
		"natsconn: max_msgs_per_subject", "no event pushes out another of its machine",
		"internal/natsconn/refuse.go", `if c.MaxMsgsPerSubject > 0 {`, `if false {`, refusedStreams,
	},
	{
		"natsconn: schedules", "no machine's credential publishes for another machine",
		"internal/natsconn/refuse.go", `if c.AllowMsgSchedules {`, `if false {`, "./internal/natsconn TestSchedulesForge",
	},
	{
		"natsconn: rollups", "no machine's credential deletes the events of others",
		"internal/natsconn/refuse.go", `if c.AllowRollup {`, `if false {`, "./internal/natsconn TestRollupEmpties",
	},
	{
		"natsconn: transforms of sources", "messages keep the subjects that permissions are bound to",
		"internal/natsconn/refuse.go", `if t.Destination != "" && t.Destination != t.Source {`, `if false {`, refusedStreams,
	},
	{
		"natsconn: republishing", "no event passes for a report, a change or a request of an administrator",
		"internal/natsconn/republish.go", `if len(taken) == 0 {`, `if true {`, refusedStreams,
	},
	{
		"natsconn: a stream changed while it is read", "what a start would refuse shows while rollcall runs",
		"internal/natsconn/risk.go", `refused != nil {`, `false {`, "./internal/natsconn TestLook",
	},
	{
		"natsconn: sealed", "a stream that stores nothing is told at the start",
		"internal/natsconn/refuse.go", `if c.Sealed {`, `if false {`, "./internal/natsconn TestSealedStream",
	},
	{
		"natsconn: subject transform", "messages keep the subjects that permissions are bound to",
		"internal/natsconn/refuse.go", `if t := c.SubjectTransform; t != nil {`, `if t := c.SubjectTransform; false {`, refusedStreams,
	},
	{
		"natsconn: mirror", "a stream that takes no messages is told at the start",
		"internal/natsconn/refuse.go", `if c.Mirror != nil {`, `if false {`, refusedStreams,
	},
	{
		"natsconn: subjects that are not listened to", "no event goes nowhere",
		"internal/natsconn/refuse.go", `len(lacking) > 0 {`, `false {`, refusedStreams,
	},
	{
		"natsconn: a stream that would answer", "a question gets our answer, not a stream's ack",
		"internal/natsconn/refuse.go", `if len(answers) > 0 {`, `if false {`, refusedStreams,
	},
	{
		"natsconn: a stream that takes what is ours", "each of our subjects has one stream",
		"internal/natsconn/refuse.go", `r.config.Name != c.Name && len(taken) > 0 {`, `false {`, refusedStreams,
	},
	{
		"natsconn: a stream that exists is never changed", "an operator's settings stay",
		"internal/natsconn/streams.go", `infos[i] = found[r.config.Name]; infos[i] != nil {`, `infos[i] = found[r.config.Name]; false {`,
		"./internal/natsconn TestPrepareChangesNothing",
	},
	{
		"natsconn: deny_delete and deny_purge", "nobody deletes events by mistake",
		"internal/natsconn/streams.go", `events.DenyDelete, events.DenyPurge = true, true`, ``, "./internal/natsconn TestPrepareMakesStreams",
	},
	{
		"natsconn: duplicate_window", "no machine suppresses the event of another by its id",
		"internal/natsconn/streams.go", `events.Duplicates = duplicateWindow`, ``, "./internal/natsconn TestPrepareMakesStreams",
	},
	{
		"natsconn: bounds of the other streams", "nothing is without a bound where the events have one",
		"internal/natsconn/streams.go", `deadLetters.MaxAge = s.MaxAge`, ``, "./internal/natsconn TestPrepareMakesStreams",
	},
	{
		"natsconn: names of streams", "a name that is none is told before anything is made",
		"internal/natsconn/streams.go", `if name == "" || strings.ContainsAny(`, `if false && strings.ContainsAny(`, "./internal/natsconn TestWrongNames",
	},
	{
		"natsconn: two streams of one name", "events, reports and dead letters are apart",
		"internal/natsconn/streams.go", `if other, ok := taken[name]; ok {`, `if other, ok := taken[name]; false && ok {`, "./internal/natsconn TestWrongNames",
	},
	{
		"natsconn: JetStream is not ready yet", "a cluster that chooses a leader is waited for",
		"internal/natsconn/streams.go", "case errIncomplete, errNotAssigned, errNotAvailable, errNotLeader, errNameInUse:\n\t\treturn true", "case errIncomplete:\n\t\treturn true",
		"./internal/natsconn TestUntilReady",
	},
	{
		"natsconn: max age below the allowed lateness", "a stream that may lose something is told",
		"internal/natsconn/risk.go", `if c.MaxAge > 0 && c.MaxAge < lateness {`, `if false {`, "./internal/natsconn TestWarnings",
	},
	{
		"natsconn: a stream in memory", "a stream that may lose something is told",
		"internal/natsconn/risk.go", `if c.Storage == jetstream.MemoryStorage {`, `if false {`, "./internal/natsconn TestWarnings",
	},
	{
		"natsconn: a stream that refuses what is new", "a stream that may lose something is told",
		"internal/natsconn/risk.go", `if c.Discard == jetstream.DiscardNew {`, `if false {`, "./internal/natsconn TestWarnings",
	},
	{
		"natsconn: one replica", "a stream that may lose something is told",
		"internal/natsconn/risk.go", `if c.Replicas <= 1 {`, `if false {`, "./internal/natsconn TestWarnings",
	},
	{
		"natsconn: reconnects for ever", "no outage is too long",
		"internal/natsconn/options.go", `n.MaxReconnect, n.IgnoreAuthErrorAbort = -1, true`, `n.MaxReconnect, n.IgnoreAuthErrorAbort = 5, true`, "./internal/natsconn TestReconnect",
	},
	{
		"natsconn: a refusal later is survived", "a server in the middle of a change does not end the service",
		"internal/natsconn/options.go", `n.MaxReconnect, n.IgnoreAuthErrorAbort = -1, true`, `n.MaxReconnect, n.IgnoreAuthErrorAbort = -1, false`, "./internal/natsconn TestRefusedLater",
	},
	{
		"natsconn: a server is waited for", "the order of starting does not matter",
		"internal/natsconn/connect.go", `if err == nil || !mayPass(err) {`, `if true {`, "./internal/natsconn TestAwait$",
	},
	{
		"natsconn: what no wait can cure", "what only our configuration can cure ends the start",
		"internal/natsconn/connect.go", `if err == nil || !mayPass(err) {`, `if err == nil {`, "./internal/natsconn TestServerWithoutTLS",
	},
	{
		"natsconn: a login that is refused at first", "the order in which NATS and rollcall are set up does not matter",
		"internal/natsconn/connect.go", `|| isRefusal(err) ||`, `||`, "./internal/natsconn TestRefusedAtFirst",
	},
	{
		"natsconn: a limit of consumers", "who reads and asks learns that one may keep the other waiting",
		"internal/natsconn/consumers.go", `if limit.most > 0 && limit.most < s.Consumers {`, `if false {`, "./internal/natsconn TestFewConsumers",
	},
	{
		"natsconn: JetStream is waited for", "the order in which NATS and rollcall are set up does not matter",
		"internal/natsconn/await_streams.go", ` && !errors.Is(err, errNoJetStream) {`, ` {`, "./internal/natsconn TestJetStreamLater",
	},
	{
		"natsconn: addresses in logs", "no password is logged",
		"internal/natsconn/options.go", `list[i] = u.Scheme + "://" + u.Host`, `list[i] = u.String()`, "./internal/natsconn TestRedact",
	},
	{
		"natsconn: a long duplicate window", "that one machine can suppress another's event is told",
		"internal/natsconn/risk.go", `if c.Duplicates > duplicateWindow {`, `if false {`, "./internal/natsconn TestRisks",
	},
	{
		"natsconn: a comma in a password", "no half of a password is taken for a host and logged",
		"internal/natsconn/options.go", `if len(list) > 1 && strings.Contains(urls, "@") && !strings.Contains(server, "://") {`, `if false {`, "./internal/natsconn TestRedact",
	},
	{
		"natsconn: a broken address with a password", "an error quotes no password",
		"internal/natsconn/options.go", `case err != nil && hasUser(o.URL):`, `case false:`, wrongOptions,
	},
	{
		"natsconn: a seed in place of its file", "an error quotes no seed",
		"internal/natsconn/options.go", `if isSeed(s.value) {`, `if false {`, wrongOptions,
	},
	{
		"natsconn: two logins", "it is never a guess which login is used",
		"internal/natsconn/options.go", `len(set) > 1 {`, `false {`, wrongOptions,
	},
	{
		"natsconn: inside, the port is tried", "an address in use is an error at once, with the ways out",
		"internal/natsserver/server.go", `case errors.Is(err, syscall.EADDRINUSE):`, `case false && errors.Is(err, syscall.EADDRINUSE):`, "./internal/natsserver TestEmbeddedAddressInUse",
	},
	{
		"natsconn: inside, fatal errors of the start", "a port taken meanwhile or a broken store is an error, not a line in a log",
		"internal/natsserver/log.go", `l.first = fmt.Errorf(format, args...)`, ``, "./internal/natsserver TestEmbeddedAddressTakenMeanwhile",
	},
	{
		"natsconn: inside, who answers", "events are not read from a stranger's server",
		"internal/natsserver/server.go", `if nc.ConnectedServerId() != id {`, `if false {`, "./internal/natsserver TestStrangerAnswers",
	},
	{
		"natsconn: inside, every message is fsynced", "what is acknowledged is on the disk",
		"internal/natsserver/server.go", `SyncAlways:             true,`, ``, "./internal/natsserver TestEmbedded$",
	},
	{
		"natsconn: inside, other machines", "that anybody may connect without a password is told",
		"internal/natsserver/server.go", `!ip.IsLoopback() {`, `false && !ip.IsLoopback() {`, "./internal/natsserver TestEmbeddedForOtherMachines",
	},
	{
		"natsconn: inside, who may do what", "no other program deletes a stream, or has an answer sent to where it would",
		"internal/natsserver/accounts.go", `{Nkey: user, Account: local, Permissions`, `{Nkey: user, Permissions`, "./internal/natsserver TestWithoutKeyNothingElse",
	},
	{
		"natsconn: inside, who speaks", "no other program publishes reports or answers in rollcall's place",
		"internal/natsserver/accounts.go", `Deny: streamed(subjects)}`, `}`, "./internal/natsserver TestWithoutKeyNothingElse",
	},
	{
		"natsconn: max_msg_size", "nobody stores what is only there to be refused",
		"internal/natsconn/streams.go", `events.MaxMsgSize = rollcallv1.MaxMessage`, ``, "./internal/natsconn TestPrepareMakesStreams",
	},
	{
		"natsconn: inside, the folder", "a folder that cannot be written to is told as such",
		"internal/natsserver/server.go", "if err := makeStore(o.Dir); err != nil {", "if err := makeStore(o.Dir); false {", "./internal/natsserver TestEmbeddedFolder",
	},
}
