// Package inventory reads which machines there should be.
package inventory

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"rollcall/internal/wire"
)

// Read reads a file with the names of machines, one a line, and returns them in byte order,
// each once. The error says in which line what is no name.
func Read(path string) (names []string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	err = Each(f, func(name string) error {
		if problem := wire.NameProblem(name); problem != "" {
			return fmt.Errorf("%q is no name: %s", name, problem)
		}
		names = append(names, name)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s, %w", path, err)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// bom is the byte order mark with which some editors on Windows begin a file.
const bom = "\ufeff"

// Each calls do for each name of a list, one a line. Blank lines and those that begin with #
// are skipped. An error begins with the number of its line.
func Each(list io.Reader, do func(name string) error) error {
	lines, n := bufio.NewScanner(list), 0
	for lines.Scan() {
		n++
		name := lines.Text()
		if n == 1 {
			name = strings.TrimPrefix(name, bom)
		}
		if name == "" || name[0] == '#' {
			continue
		}
		if err := do(name); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("line %d: %w", n+1, err)
	}
	return nil
}
