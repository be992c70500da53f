package guards

const (
	badRequests = "./internal/query TestBadRequests"
	badFilters  = "./internal/query TestBadFilters"
)

var queryGuards = []guard{
	{
		"query: every process says that it is there", "two services on the same subjects find each other",
		"internal/query/instances.go", `micro.WithEndpointQueueGroupDisabled())`, `micro.WithEndpointQueueGroup("q"))`, "./internal/query TestOthers",
	},
	{
		"query: one that is not known is asked for at once", "the first of two services does not wait for a minute",
		"internal/query/instances.go", `s.others.askedBy(asked.Instance)`, `_ = asked.Instance`, "./internal/query TestAskedBy",
	},
	{
		"query: before it has caught up", "half a roster is never shown as the whole",
		"internal/query/responder.go", `case !e.early && !s.CaughtUp():`, `case false:`, "./internal/query TestNotCaughtUp",
	},
	{
		"query: status before it has caught up", "the service can be asked why it isn't ready",
		"internal/query/responder.go", `case !e.early && !s.CaughtUp():`, `case !s.CaughtUp():`, "./internal/query TestStatusBeforeCaughtUp",
	},
	{
		"query: questions that wait", "a flood of questions neither fills the memory nor goes unanswered",
		"internal/query/responder.go", "\t\tdefault:\n\t\t\ts.refuse", "\t\tcase <-make(chan bool):\n\t\t\ts.refuse", "./internal/query TestFloodIsRefused",
	},
	{
		"query: the position before the machines", "an answer has every event up to its place",
		"internal/query/report.go", "\tmachines, next := appendRows(make([]byte, 0, 1<<10), rows, more, room)\n", "\tmachines, next := appendRows(make([]byte, 0, 1<<10), rows, more, room)\n\tst = s.Roster.Status()\n\thead = s.Head(&st, s.now())\n",
		"./internal/query TestAnswersWhileFolding",
	},
	{
		"query: an answer fits a message", "a large answer comes in parts",
		"internal/query/report.go", `case i > 0 && (n < len(m.Users) || len(b) > room):`, `case i > 0 && n < len(m.Users):`, "./internal/query ^(TestAnswersByPayload|TestAnswersJoined)$",
	},
	{
		"query: a list fits a message", "a large answer comes in parts",
		"internal/query/answer.go", `if i > 0 && len(list)+len(item) > room {`, `if false && len(list)+len(item) > room {`, "./internal/query TestSessionsInPages",
	},
	{
		"query: what one answer looks at", "a question costs what its answer holds, not the fleet",
		"internal/query/report.go", `if len(rows) == q.limit() || room < 0 {`, `if len(rows) == q.limit() {`, "./internal/query TestGatherStops",
	},
	{
		"query: the limit of an answer", "an answer has no more machines than asked for",
		"internal/query/report.go", `if len(rows) == q.limit() || room < 0 {`, `if room < 0 {`, "./internal/query TestAnswersByLimit",
	},
	{
		"query: size of a request", "a question costs little",
		"internal/query/request.go", `if len(data) > maxRequest {`, `if false {`, badRequests,
	},
	{
		"query: unknown keys of a request", "a misspelt key is told, not ignored",
		"internal/query/request.go", `json.Unmarshal(data, request, json.RejectUnknownMembers(true))`, `json.Unmarshal(data, request)`, badRequests,
	},
	{
		"query: null for a request", "it is told, and not taken for an empty one",
		"internal/query/request.go", `case "null":`, `case "\x00null":`, badRequests,
	},
	{
		"query: limit 0", "no client asks for nothing for ever",
		"internal/query/report.go", `*q.Limit == 0 {`, `false {`, badRequests,
	},
	{
		"query: a client's words in an answer", "a description fits a header",
		"internal/query/request.go", `if len(s) > most {`, `if false {`, badRequests,
	},
	{
		"query: strange cursors", "a cursor that we never gave is told",
		"internal/query/cursor.go", `if err != nil || !utf8.Valid(b) {`, `if err != nil || false && !utf8.Valid(b) {`, badRequests,
	},
	{
		"query: cursors of what is no name", "a cursor that we never gave is told",
		"internal/query/cursor.go", "if first == \"\" || len(first) > maxName || len(second) > maxName ||\n\t\tboth && second == \"\" || strings.Contains(second, cursorSeparator) {", `if _ = both; false {`, badRequests,
	},
	{
		"query: an unknown machine", "nobody is told from never heard of",
		"internal/query/machine.go", `if !known {`, `if !known && false {`, "./internal/query TestRefusedQuestions",
	},
	{
		"query: length of a name", "a question costs little",
		"internal/query/answer.go", `case len(name) > maxName:`, `case false:`, "./internal/query ^(TestRefusedQuestions|TestBadFilters)$",
	},
	{
		"query: how many of the longest", "an answer costs little memory",
		"internal/query/report.go", `case *q.Longest < 1 || *q.Longest > maxLongest:`, `case *q.Longest < 1:`, badFilters,
	},
	{
		"query: the longest fit one answer", "what is left out is said",
		"internal/query/longest.go", `if err == nil && !fit {`, `if err == nil && false && !fit {`, "./internal/query TestLongestAnswer",
	},
	{
		"query: silence of no time", "a machine is not silent while it speaks",
		"internal/query/filter.go", `if err != nil || q.silentFor <= 0 {`, `if err != nil {`, badFilters,
	},
	{
		"ask: a cursor that doesn't move", "a client of a broken service ends",
		"internal/client/ask.go", `if err == nil && next != "" && next == cursor {`, `if false {`, "./internal/client TestStrangeAnswers",
	},
	{
		"ask: a busy service", "a client asks again, a few times",
		"internal/client/ask.go", `if !ok || refusal.Code != rollcallv1.CodeBusy || try == tries {`, `if true || !ok || refusal.Code != rollcallv1.CodeBusy || try == tries {`, "./internal/client TestRefusals",
	},
}
