package guards

const badRequests = "./internal/report TestBadRequests"

var reportGuards = []guard{
	{
		"report: once it has caught up", "the first report does not wait for an interval",
		"internal/report/publish.go", `for !p.CaughtUp() {`, `for false {`, "./internal/report TestReportedOnceCaughtUp",
	},
	{
		"report: not before it has caught up", "half a roster is never shown as the whole",
		"internal/report/publish.go", "if !p.CaughtUp() {\n\t\treturn", "if false {\n\t\treturn", "./internal/report TestNothingBeforeCaughtUp",
	},
	{
		"report: nothing old after an outage", "reports are newest-wins",
		"internal/report/publish.go", `if !nc.IsConnected() {`, `if false {`, "./internal/report TestNothingOldIsSentAfterAnOutage",
	},
	{
		"report: only what changed", "nobody is told the same again and again",
		"internal/report/publish.go", `if p.published && content == p.content {`, `if false {`, "./internal/report TestPublishWhatChanged",
	},
	{
		"report: one that failed is not the last one", "what was not published is tried again",
		"internal/report/publish.go", "content := [sha256.Size]byte(pages.content.Sum(nil))\n", "content := [sha256.Size]byte(pages.content.Sum(nil))\n\tdefer func() { p.published, p.content = true, content }()\n",
		"./internal/report TestFailedIsTriedAgain",
	},
	{
		"report: page 1 last", "who has page 1 has the whole report",
		"internal/report/pages.go", `for head.Page = head.Pages; head.Page > 0; head.Page-- {`, `for head.Page = 1; head.Page <= head.Pages; head.Page++ {`, "./internal/report TestPublishInPages",
	},
	{
		"report: hidden machines", "a machine that nobody has heard of for long leaves the report",
		"internal/report/publish.go", `if m.shown {`, `if true {`, "./internal/report TestHiddenMachinesAreLeftOut",
	},
	{
		"report: a page fits a message", "a large report is published, in pages",
		"internal/report/pages.go", ` && (n < len(users) || len(body)-begin > p.room) {`, ` && n < len(users) {`, "./internal/report ^(TestPublishInPages|TestPagesJoined)$",
	},
	{
		"report: room for a machine", "a server that takes too little is told, not tried for ever",
		"internal/report/pages.go", `if maxPayload < minPayload {`, `if false {`, "./internal/report ^(TestRoom|TestSmallPayloadFails)$",
	},
	{
		"report: room beside the head", "a server that takes too little is told, not tried for ever",
		"internal/report/pages.go", `if room < minPayload/2 {`, `if false {`, "./internal/report TestRoom",
	},
	{
		"report: lengths in the content", "no change of a report looks like none",
		"internal/report/pages.go", `return append(binary.AppendUvarint(b, uint64(len(s))), s...)`, `return append(b, s...)`, "./internal/report TestContent$",
	},
	{
		"report: an answer before it has caught up", "half a roster is never shown as the whole",
		"internal/report/query.go", `case !s.CaughtUp():`, `case false:`, "./internal/report TestNotCaughtUp",
	},
	{
		"report: questions that wait", "a flood of questions neither fills the memory nor goes unanswered",
		"internal/report/query.go", "\t\tdefault:\n\t\t\ts.refuse", "\t\tcase <-make(chan bool):\n\t\t\ts.refuse", "./internal/report TestFloodIsRefused",
	},
	{
		"report: the position before the machines", "an answer has every event up to its place",
		"internal/report/query.go", "\tmachines, next := appendAnswer(nil, rows, more, room)\n", "\tmachines, next := appendAnswer(nil, rows, more, room)\n\tst = s.Roster.Status()\n\thead.fill(&st)\n",
		"./internal/report TestAnswersWhileFolding",
	},
	{
		"report: an answer fits a message", "a large answer comes in parts",
		"internal/report/answer.go", `case i > 0 && (n < len(m.users) || len(b) > room):`, `case i > 0 && n < len(m.users):`, "./internal/report ^(TestAnswersByPayload|TestAnswersJoined)$",
	},
	{
		"report: what one answer looks at", "a question costs what its answer holds, not the fleet",
		"internal/report/answer.go", `if len(rows) == q.limit || room < 0 {`, `if len(rows) == q.limit {`, "./internal/report TestGatherStops",
	},
	{
		"report: the limit of an answer", "an answer has no more machines than asked for",
		"internal/report/answer.go", `if len(rows) == q.limit || room < 0 {`, `if room < 0 {`, "./internal/report TestAnswersByLimit",
	},
	{
		"report: size of a request", "a question costs little",
		"internal/report/request.go", `if len(data) > maxRequest {`, `if false {`, badRequests,
	},
	{
		"report: unknown keys of a request", "a misspelt key is told, not ignored",
		"internal/report/request.go", `json.Unmarshal(data, &wire, json.RejectUnknownMembers(true))`, `json.Unmarshal(data, &wire)`, badRequests,
	},
	{
		"report: null for a request", "it is told, and crashes nothing",
		"internal/report/request.go", `if wire == nil {`, `if false {`, badRequests,
	},
	{
		"report: limit 0", "no client asks for nothing for ever",
		"internal/report/request.go", `q.limit == 0 {`, `false {`, badRequests,
	},
	{
		"report: a client's words in an answer", "a description fits a header",
		"internal/report/request.go", `if len(s) > most {`, `if false {`, badRequests,
	},
	{
		"report: strange cursors", "a cursor that we never gave is told",
		"internal/report/cursor.go", `if err != nil || !utf8.Valid(b) {`, `if err != nil || false && !utf8.Valid(b) {`, badRequests,
	},
	{
		"report: cursors of what is no name", "a cursor that we never gave is told",
		"internal/report/cursor.go", "if machine == \"\" || len(machine) > maxName || len(user) > maxName ||\n\t\twithin && user == \"\" || strings.Contains(user, cursorSeparator) {", `if _ = within; false {`, badRequests,
	},
	{
		"report: a cursor that doesn't move", "a client of a broken service ends",
		"internal/report/fetch.go", `answer.Cursor == request.Cursor {`, `false {`, "./internal/report TestStrangeAnswers",
	},
	{
		"report: a busy service", "a client asks again, a few times",
		"internal/report/fetch.go", `if !ok || refusal.Code != CodeBusy || try == tries {`, `if true || refusal.Code != CodeBusy || try == tries {`, "./internal/report TestFloodIsRefused",
	},
	{
		"report: what every report has", "what is no report is not read as one of nobody",
		"internal/report/report.go", `if err := r.check(); err != nil {`, `if err := r.check(); false {`, "./internal/report TestDecodeRefuses",
	},
	{
		"report: incomplete for every loss", "what is lost is said, not guessed",
		"internal/report/report.go", `r.Complete = len(r.Reasons) == 0`, `r.Complete = true`, "./internal/report TestIncomplete",
	},
}
