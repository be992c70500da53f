package main

import (
	"fmt"
	"slices"
)

// run is one benchmark: one side of a ratio, or the only one of a row.
type run struct {
	pkg   string // below rollcall/internal
	bench string // "Ingest/json/rollcall"
	time  string // -benchtime
}

// row is a row of the table.
type row struct {
	key, what, target string
	runs              []run // run alternately
	// judge returns what was measured, the ratio that the target is about, and
	// whether the target is met.
	judge func(r results) (measured, ratio string, met bool)
}

const once = "1x"

// rows are the targets, in the order of the table.
var rows = slices.Concat([]row{
	ingestRow("protobuf", "protobuf, 100,000 pairs", 1),
	ingestRow("json", "JSON, 100,000 pairs", 0.85),
	ingestRow("pairs", "protobuf, 1 M pairs", 0.90),
	{
		"seed", "the fold alone, 1 M events, against the seed's Python function", "≥ 10 times as fast",
		[]run{{"test/bench", "Seed/python", once}, {"test/bench", "Seed/rollcall", once}, {"test/bench", "Seed/python-random", once}, {"test/bench", "Seed/rollcall-random", once}},
		func(r results) (string, string, bool) {
			ours, random := r.median("Seed/rollcall", "ns/event"), r.median("Seed/rollcall-random", "ns/event")
			if _, ok := r["Seed/python"]; !ok {
				return fmt.Sprintf("%.0f ns an event, in random order %.0f ns; no python3 here", ours, random), "", false
			}
			times := r.ratio("Seed/python", "Seed/rollcall", "ns/event")
			return fmt.Sprintf("%.0f against %.0f ns an event, in random order %.0f against %.0f ns",
					ours, r.median("Seed/python", "ns/event"), random, r.median("Seed/python-random", "ns/event")),
				fmt.Sprintf("%.1f; %.1f", times, r.ratio("Seed/python-random", "Seed/rollcall-random", "ns/event")), times >= 10
		},
	},
	{
		"decode", "decode an event with all details", "0 allocations; JSON ≤ 1.2 of go-json-experiment into a struct",
		[]run{{"wire", "Decode/json", "300000x"}, {"wire", "Decode/library", "300000x"}, {"wire", "Decode/protobuf", "300000x"}},
		func(r results) (string, string, bool) {
			ratio := r.ratio("Decode/json", "Decode/library", "ns/op")
			allocs := r.median("Decode/json", "allocs/op") + r.median("Decode/protobuf", "allocs/op")
			return fmt.Sprintf("JSON %.0f ns, protobuf %.0f ns, struct %.0f ns; %.0f allocations", r.median("Decode/json", "ns/op"),
				r.median("Decode/protobuf", "ns/op"), r.median("Decode/library", "ns/op"), allocs), two(ratio), ratio <= 1.2 && allocs == 0
		},
	},
	memoryRow("1M", "1 M"),
	memoryRow("10M", "10 M"),
	{
		"beside", "a batch of 500 events while snapshots of 1 M sessions are written (every 3 s)", "p99.9 ≤ 5 ms above the batch's own",
		[]run{{"snapshot", "FoldWhileSaving/alone", once}, {"snapshot", "FoldWhileSaving/saving", once}},
		func(r results) (string, string, bool) {
			alone, saving := r.median("FoldWhileSaving/alone", "p99.9-µs/batch")/1000, r.median("FoldWhileSaving/saving", "p99.9-µs/batch")/1000
			return fmt.Sprintf("p99.9 %.2f ms, alone %.2f ms", saving, alone), fmt.Sprintf("%+.1f ms", saving-alone), saving-alone <= 5
		},
	},
	loadRow("snapshots", "ingest while snapshots of 1 M sessions are written (every 6 s)", 0.85),
	{
		"restore", "restoring that snapshot, against reading, decompressing and checksumming it", "≤ 3 times",
		[]run{{"snapshot", "Read/restore", "3x"}, {"snapshot", "Read/inspect", "3x"}},
		atMost("Read/restore", "Read/inspect", "ns/op", 1e-6, "ms", 3),
	},
	{
		"disk", "snapshot on disk", "≤ 25 B a session",
		[]run{{"snapshot", "Write", once}},
		func(r results) (string, string, bool) {
			size := r.median("Write", "B/session")
			return fmt.Sprintf("%.1f B", size), two(size / 25), size <= 25
		},
	},
	{
		"scrape", "scrape of 100,000 machines, against a GaugeVec", "≤ 0.4 of its time",
		[]run{{"metrics", "Scrape/roster", "5x"}, {"metrics", "Scrape/gaugevec", "5x"}},
		atMost("Scrape/roster", "Scrape/gaugevec", "ns/op", 1e-6, "ms", 0.4),
	},
	loadRow("scrapes", "ingest while scraped every second", 0.9),
	{
		"report", "report of 100,000 machines with 5 users each, against encoding a ready struct", "≤ 1.5 times",
		[]run{{"report", "Report/roster", "5x"}, {"report", "Report/ready", "5x"}},
		atMost("Report/roster", "Report/ready", "ns/op", 1e-6, "ms", 1.5),
	},
	loadRow("reports", "ingest while such reports, of 10 users each, are published (every 6 s)", 0.9),
	{
		"query", "`rollcall.query.report` for one machine, against an echo, at 100,000 events/s", "median ≤ 1.3, p99 ≤ 2 times",
		[]run{{"test/bench", "Query/report", once}, {"test/bench", "Query/echo", once}},
		func(r results) (string, string, bool) {
			p50, p99 := r.ratio("Query/report", "Query/echo", "p50-µs"), r.ratio("Query/report", "Query/echo", "p99-µs")
			return fmt.Sprintf("median %.0f against %.0f µs, p99 %.0f against %.0f µs", r.median("Query/report", "p50-µs"), r.median("Query/echo", "p50-µs"),
				r.median("Query/report", "p99-µs"), r.median("Query/echo", "p99-µs")), two(p50) + "; " + two(p99), p50 <= 1.3 && p99 <= 2
		},
	},
	growthRow("1k", "10³"), growthRow("10k", "10⁴"), growthRow("100k", "10⁵"), growthRow("1M", "10⁶"), growthRow("10M", "10⁷"),
	{
		"start", "`rollcall serve` until ready, empty", "≤ 1 s",
		[]run{{"test/bench", "Start", "3x"}},
		func(r results) (string, string, bool) {
			s := r.median("Start", "ns/op") / 1e9
			return fmt.Sprintf("%.2f s", s), two(s), s <= 1
		},
	},
}, historyRows())

func two(ratio float64) string { return fmt.Sprintf("%.2f", ratio) }

func ingestRow(name, what string, least float64) row {
	ours, theirs := "Ingest/"+name+"/rollcall", "Ingest/"+name+"/ordered"
	return row{
		"ingest-" + name, "ingest, " + what + ", against the library's bare ordered consumer", fmt.Sprintf("≥ %.2f of its rate", least),
		[]run{{"test/bench", theirs, once}, {"test/bench", ours, once}},
		atLeast(ours, theirs, least),
	}
}

// loads are compared with each other, so they run alternately.
var loads = []run{
	{"test/bench", "Load/alone", once}, {"test/bench", "Load/snapshots", once}, {"test/bench", "Load/scrapes", once}, {"test/bench", "Load/reports", once},
}

func loadRow(name, what string, least float64) row {
	return row{
		"load-" + name, what, fmt.Sprintf("≥ %.2f of its rate", least),
		loads,
		atLeast("Load/"+name, "Load/alone", least),
	}
}

// atLeast compares a rate with another.
func atLeast(ours, theirs string, least float64) func(results) (string, string, bool) {
	return func(r results) (string, string, bool) {
		ratio := r.ratio(ours, theirs, "events/s")
		return fmt.Sprintf("%.0f k against %.0f k events/s", r.median(ours, "events/s")/1000, r.median(theirs, "events/s")/1000),
			two(ratio), ratio >= least
	}
}

// atMost compares a time with another. scale converts the benchmark's unit to the
// given unit, which is printed.
func atMost(ours, theirs, metric string, scale float64, unit string, most float64) func(results) (string, string, bool) {
	return func(r results) (string, string, bool) {
		ratio := r.ratio(ours, theirs, metric)
		return fmt.Sprintf("%.0f against %.0f %s", r.median(ours, metric)*scale, r.median(theirs, metric)*scale, unit), two(ratio), ratio <= most
	}
}

func memoryRow(size, what string) row {
	implicit, named := "OpenSession/implicit/"+size, "OpenSession/named/"+size
	return row{
		"memory-" + size, "memory of an open session without details, of " + what, "≤ 100 B",
		[]run{{"roster", implicit, once}, {"roster", named, once}, {"roster", "OpenSession/maps/1M", once}},
		func(r results) (string, string, bool) {
			b := r.median(implicit, "B/session")
			return fmt.Sprintf("%.0f B; with a name %.0f B; two maps of maps %.0f B", b, r.median(named, "B/session"),
				r.median("OpenSession/maps/1M", "B/session")), two(b / 100), b <= 100
		},
	}
}

// growthRow has no target of its own: what counts is how the rows differ.
func growthRow(size, what string) row {
	name := "Growth/" + size
	return row{
		"growth-" + size, "cost of an event, " + what + " sessions", "no step worse than the caches explain",
		[]run{{"roster", name, once}},
		func(r results) (string, string, bool) {
			return fmt.Sprintf("%.0f ns an event, %.0f B a session", r.median(name, "ns/event"), r.median(name, "B/session")), "", true
		},
	}
}
