// Command bench measures the speed that docs/performance.md promises:
//
//	go run ./internal/test/bench
//
// It runs the benchmarks of all packages at full size, several times, alternating
// the sides of a ratio, and prints a Markdown table of targets and medians.
// Progress is shown on stderr. -o appends the output of the benchmarks to a file, for
// benchstat; "bench -from FILE" prints the table of such a file. The exit code does not
// depend on the targets: a missed one is only shown as missed.
package main

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/term"
)

var (
	only  = flag.String("rows", "", "comma-separated prefixes of the keys of the rows to run; see -list")
	list  = flag.Bool("list", false, "list the keys of the rows")
	count = flag.Int("count", 5, "how many times each side is run")
	quick = flag.Bool("quick", false, "run everything at a hundredth of the size: the numbers mean nothing")
	with  = flag.String("exec", "", "program, with arguments, that runs each benchmark: \"taskset -c 0,1\"")
	raw   = flag.String("o", "", "file to append the output of the benchmarks to")
	from  = flag.String("from", "", "run nothing: print the table of this file, written with -o")
)

func main() {
	flag.Parse()
	if err := bench(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(out io.Writer) error {
	chosen := choose(*only)
	if *list {
		for _, r := range chosen {
			fmt.Fprintln(out, r.key)
		}
		return nil
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := cmp.Or(*from, *raw, filepath.Join(dir, "results"))
	if *from == "" {
		if err := measure(chosen, dir, path); err != nil {
			return err
		}
	}
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("reading results: %w", err)
	}
	defer file.Close()
	results := results{}
	if err := results.add(file); err != nil {
		return fmt.Errorf("reading results: %w", err)
	}
	table(out, chosen, results)
	return nil
}

// choose returns the rows whose keys have one of these prefixes.
func choose(keys string) []row {
	var chosen []row
	for _, r := range rows {
		for key := range strings.SplitSeq(keys, ",") {
			if strings.HasPrefix(r.key, key) {
				chosen = append(chosen, r)
				break
			}
		}
	}
	return chosen
}

// measure runs the benchmarks of the rows, alternating the sides, and appends their
// output to the file at path. dir is for what takes long to create. A benchmark that
// several rows share is run only for the first of them.
func measure(chosen []row, dir, path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("opening file for results: %w", err)
	}
	defer file.Close()
	done := map[string]int{}
	for i, row := range chosen {
		for n := range *count {
			for _, run := range row.runs {
				if done[run.bench]++; done[run.bench] > n+1 {
					continue
				}
				progress("\r\033[K%d of %d: %s, run %d of %d: %s", i+1, len(chosen), row.key, n+1, *count, run.bench)
				out, err := run.execute(dir)
				if err != nil {
					return err
				}
				if _, err := file.Write(out); err != nil {
					return fmt.Errorf("writing results: %w", err)
				}
			}
		}
	}
	progress("\r\033[K")
	return file.Close()
}

// execute builds the tests of the package, unless they are built already, and runs one
// benchmark in a separate process.
func (r run) execute(dir string) ([]byte, error) {
	binary := filepath.Join(dir, filepath.Base(r.pkg)+".test")
	if err := r.build(binary); err != nil {
		return nil, err
	}
	command := append(strings.Fields(*with), binary, "-test.run=^$", "-test.benchtime="+r.time, "-test.bench="+r.pattern())
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = filepath.Join("internal", r.pkg)
	cmd.Env = os.Environ()
	if !*quick {
		cmd.Env = append(cmd.Env, "BENCH_DIR="+dir)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("running %s of %s: %w\n%s%s", r.bench, r.pkg, err, out, stderr.Bytes())
	}
	if !bytes.Contains(out, []byte("\nBenchmark"+r.bench)) {
		return nil, fmt.Errorf("package %s has no benchmark %s", r.pkg, r.bench)
	}
	return out, nil
}

// build builds the tests of the package, if not done yet.
func (r run) build(binary string) error {
	if _, err := os.Stat(binary); err == nil {
		return nil
	}
	out, err := exec.Command("go", "test", "-c", "-o", binary, "rollcall/internal/"+r.pkg).CombinedOutput()
	if err != nil {
		return fmt.Errorf("building the tests of %s: %w\n%s", r.pkg, err, out)
	}
	return nil
}

// pattern returns the value of -bench that selects only this benchmark.
func (r run) pattern() string {
	parts := strings.Split("Benchmark"+r.bench, "/")
	return "^" + strings.Join(parts, "$/^") + "$"
}

// progress prints to stderr if that is a terminal.
func progress(format string, args ...any) {
	if term.IsTerminal(int(os.Stderr.Fd())) {
		fmt.Fprintf(os.Stderr, format, args...)
	}
}

// table prints the table. A row that was not measured is left out.
func table(out io.Writer, chosen []row, r results) {
	fmt.Fprintln(out, "| what | target | measured | ratio | verdict |")
	fmt.Fprintln(out, "|---|---|---|---|---|")
	for _, row := range chosen {
		if !r.has(row.runs) {
			continue
		}
		measured, ratio, met := row.judge(r)
		verdict := "met"
		switch {
		case ratio == "":
			verdict = ""
		case !met:
			verdict = "missed"
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s |\n", row.what, row.target, measured, ratio, verdict)
	}
}
