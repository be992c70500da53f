package guards

const (
	refusedStreams = "./internal/broker TestRefusedStreams"
	wrongOptions   = "./internal/broker TestWrongOptions"
)

var brokerGuards = []guard{
	{
		"broker: a renewed key", "who stays connected gets in with the key that the file has by then",
		"internal/broker/renew.go", `nc.Opts.Nkey = fresh.Nkey`, `_ = fresh.Nkey`, "./internal/broker TestRenewedKey",
	},
	{
		"broker: retention", "a reader without acks does not delete what it reads",
		"internal/broker/refuse.go", `if c.Retention != jetstream.LimitsPolicy {`, `if false {`, refusedStreams,
	},
	{
		"broker: no_ack", "a publisher learns whether its event was stored",
		"internal/broker/refuse.go", `if c.NoAck {`, `if false {`, refusedStreams,
	},
	{
		"broker: max_msgs_per_subject", "no event pushes out another of its machine",
		"internal/broker/refuse.go", `if c.MaxMsgsPerSubject > 0 {`, `if false {`, refusedStreams,
	},
	{
		"broker: schedules", "no machine's credential publishes for another machine",
		"internal/broker/refuse.go", `if c.AllowMsgSchedules {`, `if false {`, "./internal/broker TestSchedulesForge",
	},
	{
		"broker: rollups", "no machine's credential deletes the events of others",
		"internal/broker/refuse.go", `if c.AllowRollup {`, `if false {`, "./internal/broker TestRollupEmpties",
	},
	{
		"broker: transforms of sources", "messages keep the subjects that permissions are bound to",
		"internal/broker/refuse.go", `if t.Destination != "" && t.Destination != t.Source {`, `if false {`, refusedStreams,
	},
	{
		"broker: republishing", "no event passes for a report, a change or a request of an administrator",
		"internal/broker/republish.go", `if len(taken) == 0 {`, `if true {`, refusedStreams,
	},
	{
		"broker: a stream changed while it is read", "what a start would refuse shows while rollcall runs",
		"internal/broker/risk.go", `refused != nil {`, `false {`, "./internal/broker TestLook",
	},
	{
		"broker: sealed", "a stream that stores nothing is told at the start",
		"internal/broker/refuse.go", `if c.Sealed {`, `if false {`, "./internal/broker TestSealedStream",
	},
	{
		"broker: subject transform", "messages keep the subjects that permissions are bound to",
		"internal/broker/refuse.go", `if t := c.SubjectTransform; t != nil {`, `if t := c.SubjectTransform; false {`, refusedStreams,
	},
	{
		"broker: mirror", "a stream that takes no messages is told at the start",
		"internal/broker/refuse.go", `if c.Mirror != nil {`, `if false {`, refusedStreams,
	},
	{
		"broker: subjects that are not listened to", "no event goes nowhere",
		"internal/broker/refuse.go", `len(lacking) > 0 {`, `false {`, refusedStreams,
	},
	{
		"broker: a stream that would answer", "a question gets our answer, not a stream's ack",
		"internal/broker/refuse.go", `if len(answers) > 0 {`, `if false {`, refusedStreams,
	},
	{
		"broker: a stream that takes what is ours", "each of our subjects has one stream",
		"internal/broker/refuse.go", `r.config.Name != c.Name && len(taken) > 0 {`, `false {`, refusedStreams,
	},
	{
		"broker: a stream that exists is never changed", "an operator's settings stay",
		"internal/broker/streams.go", `infos[i] = found[r.config.Name]; infos[i] != nil {`, `infos[i] = found[r.config.Name]; false {`,
		"./internal/broker TestPrepareChangesNothing",
	},
	{
		"broker: deny_delete and deny_purge", "nobody deletes events by mistake",
		"internal/broker/streams.go", `events.DenyDelete, events.DenyPurge = true, true`, ``, "./internal/broker TestPrepareMakesStreams",
	},
	{
		"broker: duplicate_window", "no machine suppresses the event of another by its id",
		"internal/broker/streams.go", `events.Duplicates = duplicateWindow`, ``, "./internal/broker TestPrepareMakesStreams",
	},
	{
		"broker: bounds of the other streams", "nothing is without a bound where the events have one",
		"internal/broker/streams.go", `deadLetters.MaxAge = s.MaxAge`, ``, "./internal/broker TestPrepareMakesStreams",
	},
	{
		"broker: names of streams", "a name that is none is told before anything is made",
		"internal/broker/streams.go", `if name == "" || strings.ContainsAny(`, `if false && strings.ContainsAny(`, "./internal/broker TestWrongNames",
	},
	{
		"broker: two streams of one name", "events, reports and dead letters are apart",
		"internal/broker/streams.go", `if other, ok := taken[name]; ok {`, `if other, ok := taken[name]; false && ok {`, "./internal/broker TestWrongNames",
	},
	{
		"broker: JetStream is not ready yet", "a cluster that chooses a leader is waited for",
		"internal/broker/streams.go", "case errIncomplete, errNotAssigned, errNotAvailable, errNotLeader, errNameInUse:\n\t\treturn true", "case errIncomplete:\n\t\treturn true",
		"./internal/broker TestUntilReady",
	},
	{
		"broker: max age below the allowed lateness", "a stream that may lose something is told",
		"internal/broker/risk.go", `if c.MaxAge > 0 && c.MaxAge < lateness {`, `if false {`, "./internal/broker TestWarnings",
	},
	{
		"broker: a stream in memory", "a stream that may lose something is told",
		"internal/broker/risk.go", `if c.Storage == jetstream.MemoryStorage {`, `if false {`, "./internal/broker TestWarnings",
	},
	{
		"broker: a stream that refuses what is new", "a stream that may lose something is told",
		"internal/broker/risk.go", `if c.Discard == jetstream.DiscardNew {`, `if false {`, "./internal/broker TestWarnings",
	},
	{
		"broker: one replica", "a stream that may lose something is told",
		"internal/broker/risk.go", `if c.Replicas <= 1 {`, `if false {`, "./internal/broker TestWarnings",
	},
	{
		"broker: reconnects for ever", "no outage is too long",
		"internal/broker/options.go", `n.MaxReconnect, n.IgnoreAuthErrorAbort = -1, true`, `n.MaxReconnect, n.IgnoreAuthErrorAbort = 5, true`, "./internal/broker TestReconnect",
	},
	{
		"broker: a refusal later is survived", "a server in the middle of a change does not end the service",
		"internal/broker/options.go", `n.MaxReconnect, n.IgnoreAuthErrorAbort = -1, true`, `n.MaxReconnect, n.IgnoreAuthErrorAbort = -1, false`, "./internal/broker TestRefusedLater",
	},
	{
		"broker: a server is waited for", "the order of starting does not matter",
		"internal/broker/connect.go", `if err == nil || !mayPass(err) {`, `if true {`, "./internal/broker TestAwait$",
	},
	{
		"broker: what no wait can cure", "what only our configuration can cure ends the start",
		"internal/broker/connect.go", `if err == nil || !mayPass(err) {`, `if err == nil {`, "./internal/broker TestServerWithoutTLS",
	},
	{
		"broker: a login that is refused at first", "the order in which NATS and rollcall are set up does not matter",
		"internal/broker/connect.go", `|| isRefusal(err) ||`, `||`, "./internal/broker TestRefusedAtFirst",
	},
	{
		"broker: a limit of consumers", "who reads and asks learns that one may keep the other waiting",
		"internal/broker/consumers.go", `if limit.most > 0 && limit.most < s.Consumers {`, `if false {`, "./internal/broker TestFewConsumers",
	},
	{
		"broker: JetStream is waited for", "the order in which NATS and rollcall are set up does not matter",
		"internal/broker/await_streams.go", ` && !errors.Is(err, errNoJetStream) {`, ` {`, "./internal/broker TestJetStreamLater",
	},
	{
		"broker: addresses in logs", "no password is logged",
		"internal/broker/options.go", `list[i] = u.Scheme + "://" + u.Host`, `list[i] = u.String()`, "./internal/broker TestRedact",
	},
	{
		"broker: a long duplicate window", "that one machine can suppress another's event is told",
		"internal/broker/risk.go", `if c.Duplicates > duplicateWindow {`, `if false {`, "./internal/broker TestRisks",
	},
	{
		"broker: a comma in a password", "no half of a password is taken for a host and logged",
		"internal/broker/options.go", `if len(list) > 1 && strings.Contains(urls, "@") && !strings.Contains(server, "://") {`, `if false {`, "./internal/broker TestRedact",
	},
	{
		"broker: a broken address with a password", "an error quotes no password",
		"internal/broker/options.go", `case err != nil && hasUser(o.URL):`, `case false:`, wrongOptions,
	},
	{
		"broker: a seed in place of its file", "an error quotes no seed",
		"internal/broker/options.go", `if isSeed(s.value) {`, `if false {`, wrongOptions,
	},
	{
		"broker: two logins", "it is never a guess which login is used",
		"internal/broker/options.go", `len(set) > 1 {`, `false {`, wrongOptions,
	},
	{
		"broker: inside, the port is tried", "an address in use is an error at once, with the ways out",
		"internal/broker/embedded.go", `case errors.Is(err, syscall.EADDRINUSE):`, `case false && errors.Is(err, syscall.EADDRINUSE):`, "./internal/broker TestEmbeddedAddressInUse",
	},
	{
		"broker: inside, fatal errors of the start", "a port taken meanwhile or a broken store is an error, not a line in a log",
		"internal/broker/serverlog.go", `l.first = fmt.Errorf(format, args...)`, ``, "./internal/broker TestEmbeddedAddressTakenMeanwhile",
	},
	{
		"broker: inside, who answers", "events are not read from a stranger's server",
		"internal/broker/embedded.go", `if nc.ConnectedServerId() != id {`, `if false {`, "./internal/broker TestStrangerAnswers",
	},
	{
		"broker: inside, every message is fsynced", "what is acknowledged is on the disk",
		"internal/broker/embedded.go", `SyncAlways:             true,`, ``, "./internal/broker TestEmbedded$",
	},
	{
		"broker: inside, other machines", "that anybody may connect without a password is told",
		"internal/broker/embedded.go", `!ip.IsLoopback() {`, `false && !ip.IsLoopback() {`, "./internal/broker TestEmbeddedForOtherMachines",
	},
	{
		"broker: inside, who may do what", "no other program deletes a stream, or has an answer sent to where it would",
		"internal/broker/local.go", `{Nkey: user, Account: local, Permissions`, `{Nkey: user, Permissions`, "./internal/broker TestWithoutKeyNothingElse",
	},
	{
		"broker: inside, who speaks", "no other program publishes reports or answers in rollcall's place",
		"internal/broker/local.go", `Deny: streamed(subjects)}`, `}`, "./internal/broker TestWithoutKeyNothingElse",
	},
	{
		"broker: max_msg_size", "nobody stores what is only there to be refused",
		"internal/broker/streams.go", `events.MaxMsgSize = rollcallv1.MaxMessage`, ``, "./internal/broker TestPrepareMakesStreams",
	},
	{
		"broker: inside, the folder", "a folder that cannot be written to is told as such",
		"internal/broker/embedded.go", "if err := makeStore(o.Dir); err != nil {", "if err := makeStore(o.Dir); false {", "./internal/broker TestEmbeddedFolder",
	},
}
