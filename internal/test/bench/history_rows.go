package main

import (
	"fmt"
	"slices"
)

// historyRows are the targets of the history, with 10 M stays of a year, of 100,000
// machines.
func historyRows() []row { return slices.Concat(historyCosts(), historyQuestions()) }

// historyCosts are what writing the history costs.
func historyCosts() []row {
	return []row{
		{
			"history-write", "history, written in a replay, with 10 M stays in the file", "≥ 25,000 events/s",
			[]run{{"history", "Write/replay", once}},
			func(r results) (string, string, bool) {
				rate := r.median("Write/replay", "events/s")
				return fmt.Sprintf("%.0f events/s", rate), two(rate / 25_000), rate >= 25_000
			},
		},
		{
			"history-steady", "history at 1,000 events/s, written every minute, with 10 M stays in the file", "≤ 10 KB written an event",
			[]run{{"history", "Write/steady", once}},
			func(r results) (string, string, bool) {
				written, cpu := r.median("Write/steady", "B-written/event"), r.median("Write/steady", "cpu-µs/event")
				return fmt.Sprintf("%.1f KB, %.0f µs of a core", written/1000, cpu), two(written / 10_000), written <= 10_000
			},
		},
		serviceRow("cpu", "`rollcall serve` at 1,000 events/s, with a history against without", "≤ 5 % of a core more", "cpu-%", "%",
			func(with, without float64) (string, bool) {
				return fmt.Sprintf("%+.1f %%", with-without), with-without <= 5
			}),
		serviceRow("ready", "ready after a replay of 2 M events, with a history against without", "≤ 1.3 times", "s-to-ready", "s",
			func(with, without float64) (string, bool) { return two(with / without), with/without <= 1.3 }),
		serviceRow("snapshots", "snapshots written in that replay, one a second", "≥ 0.9 times as many", "snapshots", "",
			func(with, without float64) (string, bool) { return two(with / without), with/without >= 0.9 }),
		{
			"history-fold", "a batch of 500 events, 20 a second, while the history writes them, against alone", "p99.9 ≤ 5 ms above",
			[]run{{"history", "FoldWhileWriting/alone", once}, {"history", "FoldWhileWriting/writing", once}},
			func(r results) (string, string, bool) {
				alone, writing := r.median("FoldWhileWriting/alone", "p99.9-µs/batch")/1000, r.median("FoldWhileWriting/writing", "p99.9-µs/batch")/1000
				return fmt.Sprintf("p99.9 %.2f ms, alone %.2f ms", writing, alone), fmt.Sprintf("%+.1f ms", writing-alone), writing-alone <= 5
			},
		},
		{
			"history-disk", "history on disk", "≤ 150 B a stay",
			[]run{{"history", "Disk", once}},
			func(r results) (string, string, bool) {
				size := r.median("Disk", "B/stay")
				return fmt.Sprintf("%.0f B", size), two(size / 150), size <= 150
			},
		},
	}
}

// historyQuestions are what questions to the history take.
func historyQuestions() []row {
	return []row{
		questionRow("machine-at", "machine-now", "`rollcall.query.machine` at a moment"),
		questionRow("user-at", "user-now", "`rollcall.query.user` at a moment"),
		questionRow("machine-history", "machine-now", "`rollcall.query.history`, a machine's newest five sessions"),
		questionRow("user-history", "user-now", "`rollcall.query.history`, a user's newest five sessions"),
		flatRow("machine-at", sameFleet, "`rollcall.query.machine` at a moment"),
		flatRow("user-at", sameFleet, "`rollcall.query.user` at a moment"),
		flatRow("machine-newest", smallFleet, "`rollcall.query.history`, a machine's newest 50 sessions"),
		flatRow("user-newest", smallFleet, "`rollcall.query.history`, a user's newest 50 sessions"),
		{
			"history-counts", "how many were on in 24 hours, in steps of 5 minutes, 100,000 machines, 400,000 stays; again after a minute at 1,000 events/s", "≤ 1 s; again ≤ 50 ms",
			[]run{{"history", "Counts", once}},
			func(r results) (string, string, bool) {
				first, again := r.median("Counts", "first-ms"), r.median("Counts", "again-ms")
				return fmt.Sprintf("%.0f ms; %.0f ms", first, again), two(first/1000) + "; " + two(again/50), first <= 1000 && again <= 50
			},
		},
		fleetPagesRow("20000", "20,000"),
		fleetPagesRow("200000", "200,000"),
		{
			"history-fleet", "who was on anywhere at a moment, 100,000 machines, against the report about now", "≤ 10 times",
			[]run{{"report", "Report/roster", "5x"}, {"history", "Fleet", "5x"}},
			func(r results) (string, string, bool) {
				past, now := r.median("Fleet", "ns/op")/1e9, r.median("Report/roster", "ns/op")/1e9
				return fmt.Sprintf("%.2f s for %.0f users, %.2f s for 500000", past, r.median("Fleet", "users/op"), now), two(past / now), past/now <= 10
			},
		},
		{
			"history-readers", "memory of `rollcall serve` while a hundred connections ask about the past, among 10⁷ stays, without the file's own pages", "≤ 64 MB more than at rest",
			[]run{{"history", "Readers", once}},
			func(r results) (string, string, bool) {
				rest, more := r.median("Readers", "MB-rest"), r.median("Readers", "MB-more")
				return fmt.Sprintf("%.0f MB more than %.0f", more, rest), two(more / 64), more <= 64
			},
		},
	}
}

// serviceRow compares the service with a history and without.
func serviceRow(name, what, target, metric, unit string, judge func(with, without float64) (string, bool)) row {
	return row{
		"history-" + name, what, target,
		[]run{{"test/bench", "Service/none", once}, {"test/bench", "Service/history", once}},
		func(r results) (string, string, bool) {
			with, without := r.median("Service/history", metric), r.median("Service/none", metric)
			ratio, met := judge(with, without)
			return fmt.Sprintf("%.1f against %.1f %s", with, without, unit), ratio, met
		},
	}
}

// The benchmark's years.
const (
	yearOfMany = "Question/10000000/100000/"
	sameFleet  = "Question/100000/100000/"
	smallFleet = "Question/100000/1000/" // as many sessions of each machine as yearOfMany has
)

// questionRow compares a question about the past, among 10⁷ stays, with one about now.
func questionRow(name, now, what string) row {
	past, now := yearOfMany+name, yearOfMany+now
	return row{
		"history-question-" + name, what + " of a year with 10⁷ sessions, against one about now", "≤ 3 times",
		[]run{{"history", now, "10000x"}, {"history", past, "10000x"}},
		atMost(past, now, "p50-µs", 1, "µs", 3),
	}
}

// flatRow compares a question among 10⁷ stays with the same among 10⁵.
func flatRow(name, year, what string) row {
	many, few := yearOfMany+name, year+name
	if year == smallFleet {
		what += ", on a hundred times as many machines"
	}
	return row{
		"history-question-flat-" + name, what + ", among 10⁷ sessions against 10⁵", "≤ 1.5 times",
		[]run{{"history", few, "10000x"}, {"history", many, "10000x"}},
		atMost(many, few, "p50-µs", 1, "µs", 1.5),
	}
}

// fleetPagesRow compares all pages about a moment with a hundredth of what reading a stream of
// 1 M events took.
func fleetPagesRow(name, pairs string) row {
	key, name := "history-fleet-pages-"+name, "FleetPages/"+name
	return row{
		key, "who was on anywhere at a moment, all pages, of a stream of 1 M events of " + pairs + " pairs; again", "≤ 89 ms: a hundredth of what reading the stream took",
		[]run{{"history", name, "8x"}},
		func(r results) (string, string, bool) {
			first, again := r.median(name, "first-ms"), r.median(name, "again-ms")
			return fmt.Sprintf("%.0f ms for %.0f users; %.0f ms", first, r.median(name, "users"), again), two(first/89) + "; " + two(again/89), first <= 89
		},
	}
}
