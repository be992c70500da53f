package guards

// patches are the guards that no operator of a directive can remove.
var patches = []patch{
	{
		"query: the position before the machines", "an answer contains every event up to its place",
		"internal/query/report.go", "\tmachines, next := appendRows(make([]byte, 0, 1<<10), rows, more, room)\n", "\tmachines, next := appendRows(make([]byte, 0, 1<<10), rows, more, room)\n\tst = s.Roster.Status()\n\thead = s.Head(&st, s.now())\n",
		"./internal/query TestAnswersWhileFolding",
	},
	{
		"report: page 1 last", "page 1 is published only when the other pages are",
		"internal/report/pages.go", `for head.Page = head.Pages; head.Page > 0; head.Page-- {`, `for head.Page = 1; head.Page <= head.Pages; head.Page++ {`,
		"./internal/report TestPublishInPages",
	},
	{
		"roster: what adds nothing", "an event that ends sessions is accepted when the roster is full",
		"internal/roster/limit.go", `limit > 0 && more > 0 && have+more > limit`, `limit > 0 && have+max(1, more) > limit`,
		"./internal/roster ^TestLimits$",
	},
	{
		"snapshot: one at a time", "a save does not remove the unfinished file of another",
		"internal/snapshot/save.go", "s.saving.Lock()\n\tdefer s.saving.Unlock()\n", "",
		"./internal/snapshot TestSavesTakeTurns",
	},
}
