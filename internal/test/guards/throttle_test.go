package guards

var throttleGuards = []guard{
	{
		"throttle: few of a kind", "a trouble that comes a thousand times a second is a few lines a minute",
		"internal/throttle/tally.go", `if of.said >= burst {`, `if false {`, "./internal/throttle TestFew",
	},
	{
		"throttle: kinds are bounded", "what is remembered of complaints is bounded",
		"internal/throttle/tally.go", `if len(t.kinds) >= maxKinds {`, `if false {`, "./internal/throttle TestBounded",
	},
	{
		"throttle: the last one", "the place that accepts all losses is said, however many there are",
		"internal/throttle/tally.go", `_ = of.sayLast()`, ``, "./internal/throttle TestLastIsSaid",
	},
	{
		"throttle: late, as of now", "the log does not go backwards in time",
		"internal/throttle/tally.go", `record.Time = time.Now()`, ``, "./internal/throttle TestNeverBackwards",
	},
	{
		"throttle: kinds tell apart", "one trouble does not hide another",
		"internal/throttle/throttle.go", `if slices.Contains(giving, a.Key) {`, `if slices.Contains(giving[:0], a.Key) {`, "./internal/throttle TestKinds",
	},
}
