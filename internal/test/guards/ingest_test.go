package guards

var ingestGuards = []guard{
	{
		"ingest: markers", "what the server stores itself is nobody's event",
		"internal/ingest/ingest.go", `if to.Marker = m.Header.Get(headerMarker) != "" && len(m.Data) == 0; to.Marker {`, `if to.Marker = false; to.Marker {`, "./internal/ingest TestMarker",
	},
	{
		"ingest: a dead letter is stored once", "reading a message again adds no letter",
		"internal/ingest/deadletter.go", `h.Set(jetstream.ExpectedLastSubjSeqHeader, "0")`, ``, "./internal/ingest TestStoredOnce",
	},
	{
		"ingest: whose the stored letter is", "of two messages that were given one place both have their letters",
		"internal/ingest/deadletter.go", `if stored.Header.Get(header) != msg.Header.Get(header) {`, `if false && stored.Header.Get(header) != msg.Header.Get(header) {`, "./internal/ingest TestPlaceGivenTwice",
	},
	{
		"ingest: letters under way", "a flood of bad messages neither fills the memory nor holds up the fold",
		"internal/ingest/deadletter.go", `if len(d.letters) >= maxLetters || `, `if `, "./internal/ingest TestFlood$",
	},
	{
		"ingest: bytes of letters under way", "a flood of large bad messages does not fill the memory",
		"internal/ingest/deadletter.go", `|| d.bytes+l.msg.Size() > maxLetterBytes {`, `{`, "./internal/ingest TestFloodOfLargeOnes",
	},
	{
		"ingest: patience with letters", "what waits for letters that nobody takes goes on",
		"internal/ingest/deadletter.go", `ctx, cancel := context.WithDeadline(ctx, l.since.Add(d.patience))`, `ctx, cancel := context.WithCancel(ctx)`, "./internal/ingest TestForbidden",
	},
	{
		"ingest: a letter fits a message", "the letter of a large message is stored, cut",
		"internal/ingest/deadletter.go", `min(len(m.Data), room)`, `min(len(m.Data), room*2)`, "./internal/ingest TestLargeLetter",
	},
	{
		"ingest: a long header", "the letter of a message that is all header is stored",
		"internal/ingest/deadletter.go", ` && len(contentType) < 256 {`, ` {`, "./internal/ingest TestLetterOfLongHeader",
	},
	{
		"ingest: settled only when judged", "no snapshot is committed before the letters up to its cut are put",
		"internal/ingest/deadletter.go", `settled := d.judged >= place && `, `settled := `, "./internal/ingest TestSettledWaitsForAllThatIsJudged",
	},
	{
		"ingest: settled only when stored", "no snapshot is committed while a letter up to its cut is under way",
		"internal/ingest/deadletter.go", ` && (len(d.letters) == 0 || d.letters[0].place > place)`, ``, "./internal/ingest TestSettledWaitsForALetter",
	},
	{
		"ingest: the oldest letter decides", "a letter stored out of turn settles nothing before it",
		"internal/ingest/deadletter.go", `for len(d.letters) > 0 && d.letters[0].done {`, `for len(d.letters) > 0 {`, "./internal/ingest TestSettledWaitsForALetter",
	},
	{
		"ingest: later letters don't count", "a snapshot does not wait for what comes after its cut",
		"internal/ingest/deadletter.go", `(len(d.letters) == 0 || d.letters[0].place > place)`, `len(d.letters) == 0`, "./internal/ingest TestSettledWaitsForALetter",
	},
	{
		"ingest: judged by an earlier process", "a snapshot at the start does not wait for an event",
		"internal/ingest/ingest.go", `letters.Judged(r.Status().Position.Place)`, ``, "./internal/ingest TestSettledAfterAStart",
	},
	{
		"ingest: judged in an earlier incarnation", "nothing is dead-lettered twice",
		"internal/ingest/ingest.go", "if m.Refusal != nil {\n\t\t\tcontinue", "if false {\n\t\t\tcontinue", "./internal/ingest TestJudgedBefore",
	},
	{
		"ingest: delays of a replay", "the histograms tell of what is new only",
		"internal/ingest/ingest.go", "if caughtUp {", "if caughtUp || true {", "./internal/ingest TestDelays",
	},
	{
		"ingest: clocks that differ", "the sum of delays never goes down",
		"internal/ingest/ingest.go", `max(0, time.Duration(m.Receipt-m.Event.Date).Seconds())`, `time.Duration(m.Receipt-m.Event.Date).Seconds()`, "./internal/ingest TestDelays",
	},
}
