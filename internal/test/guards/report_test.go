package guards

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
		"internal/report/publish.go", `if m = Look(v, m); m.Shown {`, `if m = Look(v, m); true {`, "./internal/report TestHiddenMachinesAreLeftOut",
	},
	{
		"report: a page fits a message", "a large report is published, in pages",
		"internal/report/pages.go", ` && (n < len(rest.Users) || len(body)-begin > p.room) {`, ` && n < len(rest.Users) {`, "./internal/report ^(TestPublishInPages|TestPagesJoined)$",
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
		"report: what every report has", "what is no report is not read as one of nobody",
		"internal/api/report.go", `if err := r.check(); err != nil {`, `if err := r.check(); false {`, "./internal/api TestDecodeRefuses",
	},
	{
		"report: incomplete for every loss", "what is lost is said, not guessed",
		"internal/report/source.go", `Complete: len(reasons) == 0,`, `Complete: true,`, "./internal/report TestIncomplete",
	},
	{
		"report: silence in the content", "that a machine has fallen silent is published",
		"internal/report/pages.go", `strconv.AppendBool(b, m.Silent)`, `strconv.AppendBool(b, false)`, "./internal/report ^(TestPublishSilence|TestContent)$",
	},
	{
		"report: silence is off by default", "no machine is silent that nobody waits for",
		"internal/report/source.go", "if s.SilentAfter <= 0 {", "if false {", "./internal/query TestFilteredAnswers|TestMachine$",
	},
	{
		"report: silence while the stream is out of sight", "nobody falls silent because it is we who hear nobody",
		"internal/report/source.go", `if until := s.Until(); until.Before(at) {`, `if until := s.Until(); false {`, "./internal/report TestSilentUntil",
	},
	{
		"report: stale", "what need not be of now is not complete",
		"internal/report/source.go", `if s.Stale != nil && s.Stale() {`, `if false {`, "./internal/report TestStale",
	},
	{
		"report: names of several", "a line of the text form says one thing",
		"internal/api/text.go", `t.out.WriteString(Name(user))`, `t.out.WriteString(user)`, "./internal/api TestTextSaysOneThing",
	},
}
