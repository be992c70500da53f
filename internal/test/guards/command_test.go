package guards

const (
	values  = "./internal/config TestValues"
	scripts = "./cmd/rollcall TestScripts/"
)

var commandGuards = []guard{
	{
		"serve: the data folder's lock", "two services never write over each other's snapshots",
		"internal/service/lock_unix.go", `syscall.LOCK_EX|syscall.LOCK_NB`, `syscall.LOCK_SH|syscall.LOCK_NB`, "./cmd/rollcall TestCannotServe/folder_used",
	},
	{
		"serve: the lock is that of the folder", "no second service starts in a folder that was removed and made again",
		"internal/service/datafolder.go", `if isFile(d.lock, filepath.Join(d.dir, lockName)) {`, `if true {`, "./cmd/rollcall TestFolderRemoved/the_folder",
	},
	{
		"serve: a folder that another process has", "nothing is written to another service's folder",
		"internal/service/datafolder.go", "if err := d.hold(); errors.Is(err, errFolderUsed) {\n\t\t\treturn err", "if err := d.hold(); errors.Is(err, errFolderUsed) {\n\t\t\tcontinue", "./cmd/rollcall TestFolderTaken",
	},
	{
		"serve: the embedded server's store", "what is acknowledged is on the disk",
		"internal/service/datafolder.go", `if s.embedded != nil && s.embedded.StoreLost() {`, `if false {`, "./cmd/rollcall TestStoreRemoved/nats",
	},
	{
		"serve: a snapshot waits for the letters", "no dead letter is lost by a crash",
		"internal/service/wire.go", `s.snapshots.Settled = s.letters.Settled`, ``, "./internal/test/faults TestSnapshotWaitsForLetters",
	},
	{
		"serve: letters until the last snapshot", "there is a last snapshot, though letters are under way at the end",
		"internal/service/service.go", `s.letters.Run(until(saved))`, `s.letters.Run(ctx)`, "./cmd/rollcall TestLettersAtTheEnd",
	},
	{
		"serve: no last snapshot is no failure", "an end while NATS is stalled, or the disk is full, is a clean end",
		"internal/service/service.go", `s.log.Error("no last snapshot", "err", err)`, `return err`, "./cmd/rollcall TestNoLastSnapshot",
	},
	{
		"serve: positions of the snapshots", "a restored stream is read on after the newest of them that it proves",
		"internal/service/wire.go", "\treturn positions\n", "\treturn positions[:0]\n", "./cmd/rollcall TestRestoredStream",
	},
	{
		"serve: a stream that is missing is made", "publishers of a deleted stream have one again",
		"internal/service/wire.go", "Make: func(ctx context.Context) error {\n", "Make: func(ctx context.Context) error {\n\t\t\treturn nil\n", "./cmd/rollcall TestDeletedStream",
	},
	{
		"serve: accepted losses", "an operator can take the roster as it is",
		"internal/service/service.go", `r.Accept(place)`, ``, "./cmd/rollcall TestAcceptLoss",
	},
	{
		"serve: a connection that ends for good", "reading goes on, as after a crash",
		"internal/service/service.go", `if !beginsAnew(err) || ctx.Err() != nil {`, `if true {`, "./internal/test/faults TestClosed",
	},
	{
		"serve: the end of a connection is heard of", "reading goes on, as after a crash",
		"internal/service/nats.go", `s.lost <- fmt.Errorf(`, `_ = fmt.Errorf(`, "./internal/service TestClosedIsHeardOf",
	},
	{
		"serve: a fold that is stuck", "systemd restarts a service that does nothing",
		"internal/service/service.go", `s.pulse.of(s.ingest.Fold)`, `s.ingest.Fold`, "./internal/service TestStuckFoldIsNotPingedFor",
	},
	{
		"serve: a manager that does not read", "what is told of the service does not hold it up",
		"internal/service/notify.go", `Add(tellWithin)`, `Add(time.Hour)`, "./internal/service TestManagerThatDoesNotRead",
	},
	{
		"healthcheck: the service's own certificate", "nobody else's health is taken for the service's",
		"cmd/rollcall/healthcheck_command.go", `!state.PeerCertificates[0].Equal(served.Certificate)`, `false`, "./cmd/rollcall TestHealthcheckWithTLS",
	},
	{
		"serve: a canceled start is a clean end", "SIGTERM ends with exit code 0 at any moment",
		"internal/service/service.go", `canceled := ctx.Err() != nil && errors.Is(err, context.Canceled)`, `canceled := false`, "./internal/test/faults TestTerminateStalled/starting",
	},
	{
		"serve: checks before anything is there", "/readyz answers from the first moment",
		"internal/service/health.go", `case reader == nil:`, `case false:`, "./internal/service TestChecksAtTheStart",
	},
	{
		"serve: ready only when caught up", "nobody is sent to half a roster",
		"internal/service/health.go", `case !reader.CaughtUp():`, `case false:`, "./internal/service TestChecksOfAReplay",
	},
	{
		"serve: only being caught up decides", "the service is ready while NATS is away, or the disk is full",
		"internal/service/health.go", `{Name: "snapshot", Run: s.checkSnapshot},`, `{Name: "snapshot", Decides: true, Run: s.checkSnapshot},`, "./internal/service TestSnapshotCheck",
	},
	{
		"serve: a connection that is away shows", "/readyz?verbose tells what is wrong",
		"internal/service/links.go", `if since := c.link.away.Load(); since != nil {`, `if since := c.link.away.Load(); false {`, "./internal/service TestChecksAtTheStart",
	},
	{
		"serve: what was seen before the connection was lost", "nothing is claimed of the stream until it was seen again",
		"internal/service/monitor.go", ` && seen.lost == m.link.lost.Load()`, ``, "./internal/service TestOutOfSight",
	},
	{
		"serve: what was seen long ago", "nothing is claimed of a stream that NATS does not answer for",
		"internal/service/monitor.go", ` && time.Since(seen.at) < freshFor`, ``, "./internal/service TestOutOfSight",
	},
	{
		"serve: a stream that is missing is asked for twice", "one odd answer is no proof",
		"internal/service/absent.go", `if len(missing) > 0 && pause(ctx, confirmAfter) {`, `if false {`, "./internal/service TestMissingOnce",
	},
	{
		"serve: a disk that was full", "publishers that get no answer show until an event is stored",
		"internal/service/obstacles.go", `o.disk.err != nil || o.disk.suspect}`, `o.disk.err != nil}`, "./internal/service TestObstacles",
	},
	{
		"serve: snapshots that fail show", "/readyz?verbose tells what is wrong",
		"internal/service/health.go", `if failing != nil {`, `if false {`, "./internal/service TestSnapshotCheck",
	},
	{
		"config: names that are none", "a misspelt variable is told, and not ignored",
		"internal/config/environment.go", `return append(found, misspelt(known)...)`, `return found`, scripts + "variables",
	},
	{
		"config: variables that Kubernetes sets", "a Service named rollcall does not keep its pods from starting",
		"internal/config/environment.go", ` || injected.MatchString(name) {`, ` {`, "./internal/config TestKubernetesVariablesAreLetThrough",
	},
	{
		"config: empty variables", "an empty variable counts as not set",
		"internal/config/environment.go", "if os.Getenv(name) == \"\" {\n\t\t\t\tos.Unsetenv(name)\n\t\t\t}", "_ = name", scripts + "kubernetes",
	},
	{
		"config: all problems at once", "one start shows all that is wrong",
		"internal/config/environment.go", "found = append(found, problem{name, why.problem, why.remedy})", "return append(found, problem{name, why.problem, why.remedy})", scripts + "variables",
	},
	{
		"config: secrets", "no password or token is logged",
		"internal/config/values.go", `return "(hidden)"`, `return string(s)`, "./internal/config TestSecretsAreNotFormatted",
	},
	{
		"config: passwords in addresses", "no password is logged",
		"internal/config/values.go", `func (s serverURL) String() string { return natsconn.Redact(string(s)) }`, `func (s serverURL) String() string { return string(s) }`,
		"./internal/config TestSecretsAreNotFormatted",
	},
	{
		"config: a seed in place of its file", "a complaint quotes no seed",
		"internal/config/values.go", `return &fault{"the file " + why, `, `return &fault{value + why, `, scripts + "secrets",
	},
	{
		"config: a comma in a password", "no half of a password is taken for a host",
		"internal/config/values.go", `if i > 0 && strings.Contains(server, "@") && !strings.Contains(server, "://") {`, `if false {`, values,
	},
	{
		"config: intervals", "no interval is so short that nothing else happens",
		"internal/config/values.go", `if d < time.Millisecond {`, `if false {`, values,
	},
	{
		"config: long times", "sums of times stay in range",
		"internal/config/values.go", `case d > longest:`, `case false:`, values,
	},
	{
		"config: sizes", "a size that overflows is none",
		"internal/config/values.go", `case !known || err != nil || n*unit/unit != n:`, `case !known || err != nil:`, values,
	},
	{
		"config: replicas", "a number that no server takes is told at once",
		"internal/config/values.go", `if err != nil || n < 1 || n > 5 {`, `if err != nil {`, values,
	},
	{
		"config: names of streams", "a name that no server takes is told at once",
		"internal/config/values.go", `if len(value) > 255 || strings.ContainsFunc(`, `if false && strings.ContainsFunc(`, values,
	},
	{
		"config: files", "a file that cannot be read is told at once",
		"internal/config/values.go", `if why := Unreadable(value); why != "" {` + "\n\t\treturn faulty", `if why := unreadable(value); false {` + "\n\t\treturn faulty", values,
	},
	{
		"config: two variables together", "a certificate without its key is told at once",
		"internal/config/config.go", `if p.bad && !found.concern(p.have, p.need) {`, `if false {`, "./internal/config TestPairs",
	},
	{
		"config: one name for two streams", "events, reports and dead letters are apart",
		"internal/config/config.go", `if a.value == b.value && !found.concern(a.name, b.name) {`, `if false {`, "./internal/config TestPairs",
	},
	{
		"command: exit codes", "what only another configuration can cure is not started again",
		"cmd/rollcall/commands.go", `, errors.Is(err, natsconn.ErrConfiguration):`, `, false && errors.Is(err, natsconn.ErrConfiguration):`, "./cmd/rollcall TestCannotServe/work_queue",
	},
	{
		"publish: bad lines", "what the service would refuse is not sent",
		"internal/publish/publisher.go", "l.text, &e); refusal != nil {\n\t\treturn nil, refusal", "l.text, &e); false {\n\t\treturn nil, refusal", scripts + "publish$",
	},
	{
		"publish: exit code", "a script learns that something was not stored",
		"cmd/rollcall/publish_command.go", `case tally.Refused+tally.Failed+tally.NoAck > 0:`, `case false:`, scripts + "publish$",
	},
	{
		"publish: files that cannot be read", "nothing is sent while a name is misspelt",
		"cmd/rollcall/publish_command.go", `if why := config.Unreadable(name); why != "" {`, `if why := unreadable(name); false {`, scripts + "publish$",
	},
	{
		"publish: lines that are too long", "they are told, and the others are stored",
		"internal/publish/publisher.go", `if l.text == nil {`, `if false {`, "./cmd/rollcall TestPublishTellsOversize",
	},
	{
		"publish: white space before JSON", "what publish takes, the service takes",
		"internal/publish/publisher.go", `if l.text[0] != '{' {`, `if false {`, "./cmd/rollcall TestPublishSaysWhatIsJSON",
	},
	{
		"publish: more than the server takes", "it is told, and the others are stored",
		"internal/publish/publisher.go", `if errors.Is(err, nats.ErrMaxPayload) {`, `if false {`, "./cmd/rollcall TestPublishMoreThanTheServerTakes",
	},
	{
		"publish: denied subjects", "a denied publish is told with its reason, not as a time-out",
		"internal/publish/publisher.go", "if trouble != nil {\n\t\t\treturn trouble", "if false {\n\t\t\treturn trouble", "./cmd/rollcall TestPublishDenied",
	},
	{
		"publish: the server is lost", "what was not stored is told, not waited for",
		"internal/publish/connerrors.go", `t.note("", errLost)`, ``, "./cmd/rollcall TestPublishLosesTheServer",
	},
	{
		"publish: no ack", "what may be stored is not told as failed",
		"internal/publish/publisher.go", `return errors.Is(err, errHopeless) ||`, `return false ||`, "./cmd/rollcall TestPublishWithoutAnswers",
	},
	{
		"publish: interrupted", "an end before the last line is no success",
		"internal/publish/publisher.go", `case ctx.Err() != nil: //`, `case false: //`, "./cmd/rollcall TestPublishInterrupted",
	},
	{
		"publish: lines are copies", "what is under way does not change",
		"internal/publish/jsonlines.go", `l.text = bytes.Clone(text)`, `l.text = text`, "./internal/publish TestLinesAreCopies",
	},
	{
		"publish: arguments in UTF-8", "no name is repaired",
		"cmd/rollcall/commands.go", `if !utf8.ValidString(arg) {`, `if false && !utf8.ValidString(arg) {`, "./cmd/rollcall TestPublishByHandRepairsNothing",
	},
	{
		"publish: one event by hand", "flags that mean nothing together are told",
		"cmd/rollcall/publish_command.go", `return c.ByHand.validate()`, `return nil`, scripts + "usage",
	},
	{
		"report: one that is not complete", "what is lost is said on the command line too",
		"cmd/rollcall/question.go", `if len(m.reasons) > 0 {`, `if false {`, "./cmd/rollcall TestReportNotComplete",
	},
	{
		"inspect: a snapshot's own words", "a hostile file does nothing to a terminal",
		"cmd/rollcall/snapshot_command.go", `if quoted := strconv.Quote(s); quoted != `, `if quoted := strconv.Quote(s); false && quoted != `, "./cmd/rollcall TestInspectHostile",
	},
}
