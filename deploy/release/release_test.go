package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// tried are this machine's platform and one of each other kind.
var tried = []platform{{runtime.GOOS, runtime.GOARCH}, {"darwin", "arm64"}, {"windows", "amd64"}}

// rpmArch are RPM's names of architectures.
var rpmArch = map[string]string{"amd64": "x86_64", "arm64": "aarch64"}

func made(t *testing.T, platforms []platform) (folder string, files map[string][]byte) {
	t.Helper()
	s, err := currentSource("v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	folder = filepath.Join(t.TempDir(), "dist")
	if err := s.release(folder, platforms); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	files = map[string][]byte{}
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(folder, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return folder, files
}

func TestRelease(t *testing.T) {
	folder, files := made(t, tried)
	var sums strings.Builder
	for _, p := range tried {
		name, ending := "rollcall_1.2.3_"+p.os+"_"+p.arch, ".tar.gz"
		if p.os == "windows" {
			ending = ".zip"
		}
		for _, file := range []string{name + ending, name + ".cdx.json"} {
			if files[file] == nil {
				t.Fatalf("no %s", file)
			}
			fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(files[file]), file)
		}
		checkList(t, files[name+".cdx.json"])
	}
	for _, p := range []string{"rollcall", "rollcall-agent"} {
		for _, file := range []string{p + "_1.2.3-1_" + runtime.GOARCH + ".deb", p + "-1.2.3-1." + rpmArch[runtime.GOARCH] + ".rpm"} {
			if files[file] == nil {
				t.Fatalf("no %s", file)
			}
			if sum := fmt.Sprintf("%x  %s\n", sha256.Sum256(files[file]), file); !strings.Contains(string(files["SHA256SUMS"]), sum) {
				t.Errorf("the sums lack %s", sum)
			}
		}
	}
	for line := range strings.Lines(sums.String()) {
		if !strings.Contains(string(files["SHA256SUMS"]), line) {
			t.Errorf("the sums lack %s", line)
		}
	}
	if len(files) != 2*len(tried)+4+1 {
		t.Errorf("%d files, with the sums\n%s", len(files), files["SHA256SUMS"])
	}

	// The program in this machine's archive prints its version.
	name := "rollcall_1.2.3_" + tried[0].os + "_" + tried[0].arch
	if out, err := exec.Command("tar", "-C", folder, "-xzf", filepath.Join(folder, name+".tar.gz")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.Command(filepath.Join(folder, name, "rollcall"), "version").Output()
	if err != nil || !strings.HasPrefix(string(out), "rollcall v1.2.3 ") {
		t.Errorf("version: %s, %v", out, err)
	}
	for _, file := range []string{"LICENSE", "README.md", "CHANGELOG.md", "docs/operations.md", "docs/event-path-dark.svg", "docs/page/fleet.png"} {
		if _, err := os.Stat(filepath.Join(folder, name, file)); err != nil {
			t.Error(err)
		}
	}

	// One of each format.
	_, again := made(t, []platform{tried[0], tried[2]})
	if len(again) != 2*2+4+1 {
		t.Errorf("%d files in a second run", len(again))
	}
	for file, data := range again {
		if file != "SHA256SUMS" && !bytes.Equal(files[file], data) {
			t.Errorf("%s differs in a second run", file)
		}
	}
}

// checkList checks that an SBOM has some of the program's modules.
func checkList(t *testing.T, data []byte) {
	t.Helper()
	var list cdx.BOM
	if err := cdx.NewBOMDecoder(bytes.NewReader(data), cdx.BOMFileFormatJSON).Decode(&list); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{"pkg:golang/github.com/nats-io/nats.go@v", "pkg:golang/std@" + strings.TrimPrefix(runtime.Version(), "go")} {
		if !slices.ContainsFunc(*list.Components, func(c cdx.Component) bool { return strings.HasPrefix(c.PackageURL, url) }) {
			t.Errorf("the list lacks %s", url)
		}
	}
}

// TestNoRelease: an invalid version is refused, and an existing folder is not overwritten.
func TestNoRelease(t *testing.T) {
	for _, version := range []string{"", "1.2.3", "v1.2", "v1.2.3 -X main.x=y", "latest"} {
		if _, err := currentSource(version); err == nil {
			t.Errorf("version %q is accepted", version)
		}
	}
	s, err := currentSource("v1.2.3-rc.1")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.release(t.TempDir(), nil); err == nil {
		t.Error("an existing folder was written to")
	}
}

// TestPinned: workflows use actions pinned to a commit, and have read-only permissions
// unless a job declares more.
func TestPinned(t *testing.T) {
	workflows, err := filepath.Glob("../../.github/workflows/*.yml")
	if err != nil || len(workflows) == 0 {
		t.Fatalf("no workflows: %v", err)
	}
	pinned := regexp.MustCompile(`uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+\n`)
	checks := regexp.MustCompile(`- run: (sudo -E env "PATH=\$PATH" )?\.ci/run\n`)
	for _, path := range workflows {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if all, good := bytes.Count(text, []byte("uses:")), len(pinned.FindAll(text, -1)); all != good {
			t.Errorf("%s: %d of %d actions are pinned", path, good, all)
		}
		if !bytes.Contains(text, []byte("\npermissions:\n  contents: read\n\n")) {
			t.Errorf("%s has more than read permissions", path)
		}
		// The nightly workflow runs only what takes longer.
		if filepath.Base(path) != "nightly.yml" && !checks.Match(text) {
			t.Errorf("%s does not run the checks", path)
		}
	}
}
