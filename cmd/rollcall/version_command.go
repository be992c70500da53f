package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/go-json-experiment/json"
)

// version and commit are set by the linker if Go cannot record them:
// -ldflags "-X main.version=v1.2.3 -X main.commit=0123abcd".
var version, commit string

type versionCmd struct {
	Output string `enum:"text,json" default:"text" placeholder:"FORMAT" help:"text, or json: one object with version, revision, go, os and arch."`
}

// Help is the text of "rollcall version --help" before the flags.
func (versionCmd) Help() string {
	return `"rollcall --version" prints it, too.

Examples:

    rollcall version
    rollcall version --output json`
}

// Run prints the version, the Go version and the platform, on one line.
func (c *versionCmd) Run(std streams) error {
	if c.Output == "json" {
		line, err := json.Marshal(struct {
			Version  string `json:"version"`
			Revision string `json:"revision"` // of the source; empty if it is not known
			Go       string `json:"go"`
			OS       string `json:"os"`
			Arch     string `json:"arch"`
		}{buildVersion(), revision(), runtime.Version(), runtime.GOOS, runtime.GOARCH})
		if err != nil {
			return fmt.Errorf("version: encoding: %w", err)
		}
		_, err = std.out.Write(append(line, '\n'))
		return err
	}
	_, err := fmt.Fprintf(std.out, "rollcall %s (%s, %s/%s)\n",
		buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// buildVersion returns the linker's version, else the module's as Go recorded
// it, which contains the commit when there is no tag, else "devel".
func buildVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	return recordedVersion(info)
}

// recordedVersion returns the version of the main module, and the commit where
// Go recorded only that.
func recordedVersion(info *debug.BuildInfo) string {
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	v := "devel"
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v += "-" + s.Value[:min(12, len(s.Value))]
		case "vcs.modified":
			if s.Value == "true" {
				v += "+dirty"
			}
		}
	}
	return v
}

// revision returns the commit that the program was built from: the linker's, else the one
// that Go recorded, if any.
func revision() string {
	if commit != "" {
		return commit
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				return setting.Value
			}
		}
	}
	return ""
}
