package guards

const (
	pastOracle = "./internal/past ^(TestOracle|TestExpired)$"
	pastBad    = "./internal/past TestBadQuestions"
	pastPages  = "./internal/query TestPastInPages"
	pastYields = "./internal/query TestPastYields"
)

var pastGuards = []patch{
	{
		"past: how many at a time", "a flood of questions about the past holds no more memory than a few",
		"internal/past/past.go", `case len(q.underWay) >= q.config.MaxQuestions:`, `case false:`, "./internal/past TestBusy",
	},
	{
		"past: nobody asks on", "a question is over when nobody wants its answer",
		"internal/past/past.go", `time.AfterFunc(q.idle, func() { i.end(errUnasked) })`, `time.AfterFunc(q.idle, func() {})`, "./internal/past TestUnasked",
	},
	{
		"past: the asker leaves", "a question of which nobody has the cursor makes room at once",
		"internal/past/past.go", "\t\ti.end(errUnasked) // nobody has a cursor\n", "", "./internal/past TestAskerLeaves",
	},
	{
		"past: no question after the end", "nothing runs when the service has ended",
		"internal/past/past.go", `q.closed = true`, `q.closed = false`, "./internal/past TestClose",
	},
	{
		"past: yields to ingest", "reading the past never holds up the fold",
		"internal/past/inquiry.go", `for i.config.Behind() {`, `for false {`, pastYields,
	},
	{
		"past: at is inclusive", "what happened at the moment counts",
		"internal/past/question.go", `return q.Stays || date <= q.To`, `return q.Stays || date < q.To`, "./internal/query TestPastOfNobody",
	},
	{
		"past: to is inclusive", "who came at the last moment was there",
		"internal/past/question.go", `return began <= q.To &&`, `return began < q.To &&`, "./internal/query TestHistory",
	},
	{
		"past: from is inclusive", "a session that began and ended at the first moment is of that time",
		"internal/past/question.go", `(began > q.From || ended > q.From)`, `ended >= q.From`, "./internal/query TestHistory",
	},
	{
		"past: somebody else's login under the same name", "a user's session ends where the roster ends it",
		"internal/past/question.go", "[]roster.Session{{ID: s.ID}}\n\t\t\treturn r, s.ID != \"\"", "[]roster.Session{{ID: s.ID}}\n\t\t\treturn r, false", pastOracle,
	},
	{
		"past: events of the future", "what the service refused is in no answer",
		"internal/past/fold.go", `case e.Date > m.receipt.Add(f.settings.MaxSkew):`, `case false:`, pastOracle,
	},
	{
		"past: late events", "what the service refused is in no answer",
		"internal/past/fold.go", `if at.settled || e.Date < at.newest.Add(-f.settings.AllowedLateness) {`, `if at.settled {`, pastOracle,
	},
	{
		"past: late for what is gone", "what the service refused is in no answer, also after half of the stream has expired",
		"internal/past/fold.go", `m.newest = max(m.newest, min(r.stamp.Date, f.gone.Add(f.settings.MaxSkew)))`, `_ = f.gone`, "./internal/past TestLateForWhatIsGone",
	},
	{
		"past: merged by sequence", "lateness is judged in the order of the stream",
		"internal/past/inquiry.go", `waiting[n][0].sequence < waiting[lowest][0].sequence`, `waiting[n][0].sequence > waiting[lowest][0].sequence`, pastOracle,
	},
	{
		"past: the payload decides", "of the subject of all machines only this machine's events count",
		"internal/past/fold.go", `case f.Machine != "" && e.Machine != f.Machine:`, `case false:`, pastOracle,
	},
	{
		"past: the subject of all machines", "events of the simplest publishers count",
		"internal/past/inquiry.go", `return append(s.AllEventsOf(i.question.Machine), s.Events())`, `return s.AllEventsOf(i.question.Machine)`, pastOracle,
	},
	{
		"past: a machine's subject of MQTT", "events that came by MQTT count",
		"internal/past/inquiry.go", `return append(s.AllEventsOf(i.question.Machine), s.Events())`, `return []string{s.Events(), s.EventsOf(i.question.Machine)}`, "./internal/past ^(TestOracle|TestFromMQTT)$",
	},
	{
		"past: at the greatest date it is the roster", "without the stream's beginning the present is still known",
		"internal/past/fold.go", `if !f.Stays && registers.Newest <= f.To {`, `if false && registers.Newest <= f.To {`, pastOracle,
	},
	{
		"past: what the roster remembers", "a session older than the stream is in the past",
		"internal/past/fold.go", "\t\tm.remembered = append(m.remembered, r)\n", "\t\t_ = r\n", pastOracle,
	},
	{
		"past: as of one place", "what the roster has not read is in no answer",
		"internal/past/read.go", `if meta.Sequence.Stream > l.last {`, `if false {`, "./internal/past TestNotYetRead",
	},
	{
		"past: a machine ahead of the position", "a machine is read as far as it tells",
		"internal/past/inquiry.go", `place = max(place, s.Stamp.Place)`, `_ = s`, "./internal/past TestAheadOfThePosition",
	},
	{
		"past: the roster knows better", "nothing ends a session that is open",
		"internal/past/machine.go", `return m.lasting[k] == s.raised }`, `return false && m.lasting[k] == s.raised }`, "./internal/past TestRosterKnowsBetter",
	},
	{
		"past: open only where the roster has it open", "a session refused for want of room is not told as open",
		"internal/past/answer.go", `case m.lasting[k] == s.raised:`, `case true || m.lasting[k] == s.raised:`, "./internal/past TestRefusedForWantOfRoom",
	},
	{
		"past: a stream without its beginning", "an answer that may lack something says so, and from when it would not",
		"internal/past/inquiry.go", `return f.first > 1 && moment < f.gone && f.unsettled()`, `return false && moment < f.gone`, "./internal/past TestIncomplete",
	},
	{
		"past: known from the roster", "an answer that lacks nothing is complete",
		"internal/past/inquiry.go", `moment < f.gone && f.unsettled()`, `moment < f.gone`, "./internal/past TestIncomplete",
	},
	{
		"past: what one question holds", "a question fits in memory or is refused",
		"internal/past/fold.go", `if f.held > f.limit/4*3 {`, `if false {`, "./internal/past TestBounded",
	},
	{
		"past: what the roster remembers is bounded too", "a question fits in memory or is refused",
		"internal/past/fold.go", "\tif f.held > f.limit {\n", "\tif false {\n", "./internal/past TestBounded",
	},
	{
		"past: what the roster remembers is held once", "a fleet that is on fits in memory",
		"internal/past/machine.go", "\t\t\treturn 0, true\n", "\t\t\t_ = found\n", "./internal/past TestLiveFleetFits",
	},
	{
		"past: too late for the memory", "what is not in an answer is counted",
		"internal/past/fold.go", `f.unplaced++`, ``, "./internal/past TestLong",
	},
	{
		"past: another stream", "the past is not made of another stream's events",
		"internal/past/read.go", `at.Proof.Created != r.created ||`, ``, "./internal/past TestAnotherStream",
	},
	{
		"past: another stream while it is read", "the past is not made of another stream's events",
		"internal/past/read.go", `if roster.TimeOf(s.CachedInfo().Created) != l.created {`, `if false {`, "./internal/past TestAnotherStream",
	},
	{
		"past: a message lost on the way", "every message up to the place is in the answer",
		"internal/past/read.go", `if meta.Sequence.Consumer != l.delivered {`, `if false {`, "./internal/past TestDroppedMessages",
	},
	{
		"past: a server that goes away", "a question outlives its consumers and the connection",
		"internal/past/read.go", `case errors.Is(err, errAnother), try == maxTries:`, `case true:`, "./internal/past TestServerAway",
	},
	{
		"past: large messages", "a pull has room for the largest message",
		"internal/past/read.go", `max(pullBytes, l.nc.MaxPayload()+64<<10)`, `pullBytes/8`, "./internal/past TestLargeMessages",
	},
	{
		"past: strange cursors", "a cursor that we never gave is told",
		"internal/past/answer.go", `if err != nil || offset < 0 || strconv.Itoa(offset) != row {`, `if err != nil {`, pastBad,
	},
	{
		"past: a cursor beyond the rows", "a cursor that we never gave is told",
		"internal/past/answer.go", `if offset > a.Rows() {`, `if false {`, pastBad,
	},
	{
		"past: from after to", "a question that means nothing is told with its field",
		"internal/past/question.go", `case q.Stays && q.From > q.To:`, `case false:`, pastBad,
	},
	{
		"past: times out of range", "a question that means nothing is told with its field",
		"internal/query/past.go", `err != nil || year < 1970 || year > 2261 {`, `err != nil || year < 0 {`, "./internal/query TestPastRefused",
	},
	{
		"past: a cursor of another question", "no answer is made of two questions",
		"internal/query/past.go", `case a.Question() != q:`, `case false:`, pastYields,
	},
	{
		"past: one too many", "a client learns that it may ask again later",
		"internal/query/past.go", `case errors.Is(err, past.ErrBusy):`, `case false:`, pastYields,
	},
	{
		"past: a question that is over", "a client learns that it must ask anew",
		"internal/query/past.go", `case errors.Is(err, past.ErrGone):`, `case false:`, "./internal/query TestPastRefused",
	},
	{
		"past: a line of its own", "questions about the past starve no others",
		"internal/query/responder.go", `line = s.waitingPast`, `_ = s.waitingPast`, "./internal/query TestPastStarvesNobody",
	},
	{
		"past: one worker more than may be under way", "one too many is refused at once, not when another is done",
		"internal/query/service.go", `range s.Past.Most() + 1 {`, `range s.Past.Most() {`, "./internal/query TestPastStarvesNobody",
	},
	{
		"past: a report fits a message", "a large answer comes in parts",
		"internal/query/pastreport.go", `if room < 0 && last != nil {`, `if false && last != nil {`, pastPages,
	},
	{
		"past: the limit of a report", "an answer has no more machines than asked for",
		"internal/query/pastreport.go", `case another && len(machines) == q.limit():`, `case false:`, pastPages,
	},
	{
		"past: a user once", "a user with two sessions is one user of a report",
		"internal/query/pastreport.go", `case last.Users[len(last.Users)-1] == user:`, `case false:`, pastPages,
	},
	{
		"past: how many, as configured", "ROLLCALL_MAX_PAST_QUESTIONS is the limit",
		"internal/service/wire.go", `MaxQuestions: int(s.cfg.MaxPastQuestions),`, `MaxQuestions: 0,`, "./cmd/rollcall TestFloodOfPastQuestions",
	},
	{
		"ask: an answer that is not done", "a question about the past is asked on until it is answered",
		"internal/client/ask.go", "\t\t\t\tcursor = \"\" // it may be given again\n", "\t\t\t\t_ = cursor\n", "./internal/client TestNotDone",
	},
	{
		"ask: nobody answers", "a user learns that no service runs there",
		"internal/client/ask.go", `case errors.Is(err, nats.ErrNoResponders):`, `case false:`, "./internal/client TestNobodyAnswers",
	},
	{
		"ask: progress is no answer", "a page that only says how far it is is not printed",
		"cmd/rollcall/pastprogress.go", `if !p.Done {`, `if false {`, "./cmd/rollcall TestReading$",
	},
	{
		"ask: progress is for terminals", "a script's standard error has complaints only",
		"cmd/rollcall/pastprogress.go", ` || !isTerminal(r.std.err) {`, ` {`, "./cmd/rollcall TestReadingElsewhere",
	},
	{
		"ask: progress is taken away", "the answer stands alone on the terminal",
		"cmd/rollcall/pastprogress.go", `_ = r.bar.Clear()`, ``, "./cmd/rollcall TestReadingOnATerminal",
	},
	{
		"ask: what the past lacks is told", "an answer that is not complete never looks complete",
		"cmd/rollcall/pastprogress.go", `if !r.completeFrom.IsZero() {`, `if false {`, "./cmd/rollcall TestReading$",
	},
	{
		"ask: what came too late is told", "an answer that is not complete never looks complete",
		"cmd/rollcall/pastprogress.go", `if r.unplaced > 0 {`, `if false {`, "./cmd/rollcall TestReading$",
	},
}
