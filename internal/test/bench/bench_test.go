package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTable generates the table from the output of benchmarks.
func TestTable(t *testing.T) {
	r := results{}
	if err := r.add(strings.NewReader(`goos: linux
cpu: AMD EPYC
BenchmarkScrape/roster-2    	       5	  30000000 ns/op	 1 B/op
BenchmarkScrape/gaugevec-2  	       5	 100000000 ns/op
BenchmarkScrape/roster-2    	       5	  50000000 ns/op
BenchmarkScrape/gaugevec-2  	       5	 100000000 ns/op
BenchmarkScrape/roster-2    	       5	  90000000 ns/op
BenchmarkScrape/gaugevec-2  	       5	 100000000 ns/op
BenchmarkStart              	       3	2000000000 ns/op
`)); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	table(&out, rows, r)
	const want = "| what | target | measured | ratio | verdict |\n" +
		"|---|---|---|---|---|\n" +
		"| scrape of 100,000 machines, against a GaugeVec | ≤ 0.4 of its time | 50 against 100 ms | 0.50 | missed |\n" +
		"| `rollcall serve` until ready, empty | ≤ 1 s | 2.00 s | 2.00 | missed |\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// TestRows: the benchmark of each run exists.
func TestRows(t *testing.T) {
	for _, row := range rows {
		for _, run := range row.runs {
			name, _, _ := strings.Cut(run.bench, "/")
			files, err := filepath.Glob(filepath.Join("../..", run.pkg, "*_test.go"))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(files, func(file string) bool {
				text, err := os.ReadFile(file)
				return err == nil && bytes.Contains(text, []byte("\nfunc Benchmark"+name+"("))
			}) {
				t.Errorf("row %s: package %s has no Benchmark%s", row.key, run.pkg, name)
			}
		}
	}
}

// TestChoose: rows are selected by the prefix of their keys.
func TestChoose(t *testing.T) {
	var keys []string
	for _, r := range choose("ingest,load-r") {
		keys = append(keys, r.key)
	}
	if got := strings.Join(keys, " "); got != "ingest-protobuf ingest-json ingest-pairs load-reports" {
		t.Errorf("chosen: %s", got)
	}
}
