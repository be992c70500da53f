// Package inventory reads which machines there should be.
package inventory

import (
	"bufio"
	"fmt"
	"os"
	"slices"

	"rollcall/internal/wire"
)

// Read reads a file with the names of machines, one a line, and returns them in byte order,
// each once. Blank lines are skipped. The error says in which line what is no name.
func Read(path string) (names []string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		name := lines.Text()
		if name == "" {
			continue
		}
		if problem := wire.NameProblem(name); problem != "" {
			return nil, fmt.Errorf("%s, line %d: %q is no name: %s", path, n, name, problem)
		}
		names = append(names, name)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}
