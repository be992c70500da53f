package main

import (
	"bufio"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// results holds the values that benchmarks reported, by name as in [run] and by unit;
// those of all runs, in order.
type results map[string]map[string][]float64

// result matches the line that a benchmark prints; GOMAXPROCS follows the name.
var result = regexp.MustCompile(`^Benchmark(\S+?)(?:-\d+)?\s+\d+\s+(.*)`)

// add reads the output of benchmarks, as benchstat does.
func (r results) add(out io.Reader) error {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		m := result.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		if r[m[1]] == nil {
			r[m[1]] = map[string][]float64{}
		}
		fields := strings.Fields(m[2])
		for i := 0; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				continue
			}
			r[m[1]][fields[i+1]] = append(r[m[1]][fields[i+1]], value)
		}
	}
	return lines.Err()
}

// has reports whether each of the runs has a result. Those of the Python function may
// lack one, as python3 may not be installed.
func (r results) has(runs []run) bool {
	for _, run := range runs {
		if _, ok := r[run.bench]; !ok && !strings.HasPrefix(run.bench, "Seed/python") {
			return false
		}
	}
	return true
}

func (r results) median(name, unit string) float64 { return median(r[name][unit]) }

// ratio returns the median of the ratios of a to b, run by run.
func (r results) ratio(a, b, unit string) float64 {
	as, bs := r[a][unit], r[b][unit]
	var ratios []float64
	for i := range min(len(as), len(bs)) {
		ratios = append(ratios, as[i]/bs[i])
	}
	return median(ratios)
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
