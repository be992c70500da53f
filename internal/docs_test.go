package internal

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// root is the module's folder.
const root = ".."

// document is a Markdown file.
type document struct {
	path string // from root
	text string
}

// documents returns all that people read.
func documents(t *testing.T) []document {
	t.Helper()
	paths := []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"}
	docs, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(docs) == 0 {
		t.Fatalf("no documents in docs (%v)", err)
	}
	for _, path := range docs {
		paths = append(paths, "docs/"+filepath.Base(path))
	}
	err = fs.WalkDir(os.DirFS(root), "deploy", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "README.md" {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var all []document
	for _, path := range paths {
		all = append(all, read(t, path))
	}
	return all
}

func read(t *testing.T, path string) document {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return document{path, string(text)}
}

var (
	fenced = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	inline = regexp.MustCompile("`[^`\n]+`")
)

// prose is the text without code.
func (d document) prose() string {
	return inline.ReplaceAllString(fenced.ReplaceAllString(d.text, ""), "")
}

var links = regexp.MustCompile(`\]\(([^)\s]+)\)|(?:src|srcset|href)="([^"]+)"`)

// TestLinks: whatever a document links to in this repository is there, and so is
// the heading.
func TestLinks(t *testing.T) {
	for _, d := range documents(t) {
		for _, found := range links.FindAllStringSubmatch(d.prose(), -1) {
			target := found[1] + found[2]
			if strings.Contains(target, "://") {
				continue
			}
			if err := d.resolve(t, target); err != nil {
				t.Errorf("%s: link to %s: %v", d.path, target, err)
			}
		}
	}
}

// resolve says what is wrong with a link.
func (d document) resolve(t *testing.T, target string) error {
	t.Helper()
	path, anchor, hasAnchor := strings.Cut(target, "#")
	to := d
	if path != "" {
		at := filepath.Join(filepath.Dir(d.path), filepath.FromSlash(path))
		if _, err := os.Stat(filepath.Join(root, at)); err != nil {
			return err
		}
		if !hasAnchor {
			return nil
		}
		to = read(t, at)
	}
	if !slices.Contains(to.anchors(), anchor) {
		return fmt.Errorf("%s has no such heading", to.path)
	}
	return nil
}

var headings = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *$`)

// anchors returns what GitHub makes of the headings.
func (d document) anchors() []string {
	var all []string
	for _, heading := range headings.FindAllStringSubmatch(fenced.ReplaceAllString(d.text, ""), -1) {
		anchor := strings.Map(func(r rune) rune {
			switch {
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			case r == ' ':
				return '-'
			}
			return -1
		}, heading[1])
		unique := anchor
		for n := 1; slices.Contains(all, unique); n++ {
			unique = fmt.Sprintf("%s-%d", anchor, n)
		}
		all = append(all, unique)
	}
	return all
}

// TestREADME: it stays short, and has the two commands where .ci/run looks for
// them.
func TestREADME(t *testing.T) {
	readme := read(t, "README.md").text
	if lines := strings.Count(readme, "\n"); lines > 250 {
		t.Errorf("%d lines, want at most 250: docs has room", lines)
	}
	for label, command := range map[string]string{"first": "go run ./cmd/rollcall serve", "test": "go test ./..."} {
		if !strings.Contains(readme, fmt.Sprintf("<!-- %s -->\n```\n%s\n```\n", label, command)) {
			t.Errorf("no block labelled %q with %q", label, command)
		}
	}
}

var packagePaths = regexp.MustCompile(`(?:^|[^.\w])(\./(?:cmd|internal|proto)(?:/[\w-]+)*)`)

// TestCommandPaths: the packages that commands name, such as ./internal/wire, are
// there.
func TestCommandPaths(t *testing.T) {
	for _, d := range documents(t) {
		for _, found := range packagePaths.FindAllStringSubmatch(d.text, -1) {
			if _, err := os.Stat(filepath.Join(root, found[1])); err != nil {
				t.Errorf("%s names %s: %v", d.path, found[1], err)
			}
		}
	}
}

var namedPaths = regexp.MustCompile("`((?:cmd|internal|proto|deploy|docs)/[\\w./-]+)`")

// TestNamedPaths: the packages and files that documents name are there.
func TestNamedPaths(t *testing.T) {
	for _, d := range documents(t) {
		for _, found := range namedPaths.FindAllStringSubmatch(d.text, -1) {
			if _, err := os.Stat(filepath.Join(root, found[1])); err != nil {
				t.Errorf("%s names %s: %v", d.path, found[1], err)
			}
		}
	}
}

var chosenTests = regexp.MustCompile(`go test [^` + "`\n" + `]*-(run|bench|fuzz) '?([\w$^.]+)`)

// TestNamedCommands: what the "go test" commands in documents choose exists.
func TestNamedCommands(t *testing.T) {
	all := declared(t)
	for _, d := range documents(t) {
		for _, found := range chosenTests.FindAllStringSubmatch(d.text, -1) {
			kind := map[string]string{"run": "Test", "bench": "Benchmark", "fuzz": "Fuzz"}[found[1]]
			chosen, err := regexp.Compile(found[2])
			if err != nil {
				t.Fatal(err)
			}
			exists := false
			for name := range all {
				rest, ours := strings.CutPrefix(name, kind)
				exists = exists || ours && (chosen.MatchString(name) || chosen.MatchString(rest))
			}
			if !exists {
				t.Errorf("%s: %s chooses nothing", d.path, found[0])
			}
		}
	}
}

var (
	testNames = regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w*)")
	functions = regexp.MustCompile(`(?m)^func (?:\(\w+ \*?(\w+)(?:\[\w+\])?\) )?(\w+)`)
	methods   = regexp.MustCompile("`([A-Za-z]+\\.[A-Za-z]+)`")
)

// declared returns the functions of the module: "TestOracle", "Roster.Fold".
func declared(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != ".":
			return fs.SkipDir
		case !strings.HasSuffix(path, ".go"):
			return nil
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		for _, f := range functions.FindAllStringSubmatch(string(text), -1) {
			all[strings.TrimPrefix(f[1]+"."+f[2], ".")] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestNamedFunctions: the tests that documents name are there ("TestGap…" is any
// that begins so), and so are the functions of the walks through the code.
func TestNamedFunctions(t *testing.T) {
	all := declared(t)
	for _, d := range documents(t) {
		for _, found := range testNames.FindAllStringSubmatch(d.text, -1) {
			begins := false
			for name := range all {
				begins = begins || strings.HasPrefix(name, found[1])
			}
			if !begins {
				t.Errorf("%s names %s, which is not there", d.path, found[1])
			}
		}
	}
	for _, found := range methods.FindAllStringSubmatch(read(t, "docs/architecture.md").text, -1) {
		if strings.HasSuffix(found[1], ".go") {
			continue
		}
		if !all[found[1]] {
			t.Errorf("docs/architecture.md names %s, which is not there", found[1])
		}
	}
}

var colours = regexp.MustCompile(`#[0-9a-f]{6}`)

// TestPicture: the light and the dark picture differ in their colours alone.
func TestPicture(t *testing.T) {
	light, dark := read(t, "docs/event-path-light.svg").text, read(t, "docs/event-path-dark.svg").text
	if light == dark || colours.ReplaceAllString(light, "") != colours.ReplaceAllString(dark, "") {
		t.Error("docs/event-path-light.svg and docs/event-path-dark.svg are not the same picture in other colours")
	}
}
