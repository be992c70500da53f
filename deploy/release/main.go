// Release creates the files of a release in dist: for each platform an archive and an SBOM
// in CycloneDX (the modules of its program), for Linux also packages (deb and rpm) of
// rollcall and of its agent, and the checksums of all files. With "packages" it creates the
// packages for this machine's architecture only.
//
//	cd deploy && go run ./release v1.2.3
//	cd deploy && go run ./release packages v1.2.3
//
// The same commit, version and Go give the same bytes.
package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

func main() {
	args, do := os.Args[1:], (*source).releaseAll
	if len(args) > 0 && args[0] == "packages" {
		args, do = args[1:], (*source).packagesOnly
	}
	if len(args) != 1 {
		fmt.Fprintln(os.Stderr, "usage: go run ./release [packages] v1.2.3")
		os.Exit(2)
	}
	s, err := currentSource(args[0])
	if err == nil {
		err = do(s)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func (s *source) releaseAll() error { return s.release(filepath.Join(s.root, "dist"), platforms) }

// packagesOnly writes packages for this machine's architecture, over earlier ones.
func (s *source) packagesOnly() error {
	folder := filepath.Join(s.root, "dist")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	names, err := s.packageAll(folder, runtime.GOARCH, nil)
	for _, name := range names {
		fmt.Println("dist/" + name)
	}
	return err
}

// platform is what a program is built for.
type platform struct{ os, arch string }

// platforms are the platforms of a release. On Windows only the client commands run.
var platforms = []platform{
	{"darwin", "amd64"},
	{"darwin", "arm64"},
	{"linux", "amd64"},
	{"linux", "arm64"},
	{"windows", "amd64"},
	{"windows", "arm64"},
}

// program returns the file name of the program.
func (p platform) program() string {
	if p.os == "windows" {
		return "rollcall.exe"
	}
	return "rollcall"
}

// source is what is released.
type source struct {
	root    string
	version string    // v1.2.3
	commit  string    // in full
	date    time.Time // of the commit, for all files
}

var versions = regexp.MustCompile(`^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)

// currentSource returns the source that the current folder belongs to.
func currentSource(version string) (*source, error) {
	if !versions.MatchString(version) {
		return nil, fmt.Errorf("version %q is not of the form v1.2.3", version)
	}
	out, err := output(".", nil, "git", "log", "-1", "--format=%H %ct")
	if err != nil {
		return nil, err
	}
	commit, seconds, _ := strings.Cut(out, " ")
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("reading the date of %s: %w", commit, err)
	}
	root, err := output(".", nil, "git", "rev-parse", "--show-toplevel")
	return &source{root, version, commit, time.Unix(unix, 0).UTC()}, err
}

// release creates a folder and writes the files to it. The folder must not exist.
func (s *source) release(folder string, platforms []platform) error {
	if err := os.Mkdir(folder, 0o755); err != nil {
		return fmt.Errorf("creating the folder of the release: %w", err)
	}
	var sums strings.Builder
	for _, p := range platforms {
		name := fmt.Sprintf("rollcall_%s_%s_%s", strings.TrimPrefix(s.version, "v"), p.os, p.arch)
		files, err := s.make(folder, name, p)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(filepath.Join(folder, file))
			if err != nil {
				return err
			}
			fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(data), file)
		}
	}
	return os.WriteFile(filepath.Join(folder, "SHA256SUMS"), []byte(sums.String()), 0o644)
}

// make writes the files of one platform and returns their names.
func (s *source) make(folder, name string, p platform) (names []string, err error) {
	work, err := os.MkdirTemp("", "rollcall-release")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	program := filepath.Join(work, p.program())
	if err := s.build(program, "rollcall", p); err != nil {
		return nil, err
	}
	var packages []string
	if p.os == "linux" {
		if packages, err = s.packageAll(folder, p.arch, map[string]string{"rollcall": program}); err != nil {
			return nil, err
		}
	}
	list := name + ".cdx.json"
	if err := s.writeList(filepath.Join(folder, list), program, p); err != nil {
		return nil, fmt.Errorf("listing the modules: %w", err)
	}
	archive, err := s.pack(folder, name, program, p)
	return append([]string{archive, list}, packages...), err
}

// build builds a program without a trace of this machine. The VCS stamp is left out, as
// it depends on uncommitted files.
func (s *source) build(program, name string, p platform) error {
	_, err := output(s.root, []string{"CGO_ENABLED=0", "GOFLAGS=", "GOOS=" + p.os, "GOARCH=" + p.arch},
		"go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags=-s -w -X main.version="+s.version+" -X main.commit="+s.commit,
		"-o", program, "./cmd/"+name)
	return err
}

// output runs a program with additional variables, and returns its trimmed output.
func output(folder string, variables []string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), variables...)
	out, err := cmd.Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%w: %s", err, failed.Stderr)
	}
	if err != nil {
		return "", fmt.Errorf("running %s: %w", name, err)
	}
	return strings.TrimSpace(string(out)), nil
}
