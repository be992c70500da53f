package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"testing"
)

func TestRecordedVersion(t *testing.T) {
	commit := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"}
	dirty := debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	for _, test := range []struct {
		name     string
		module   string
		settings []debug.BuildSetting
		want     string
	}{
		{"tag", "v1.2.3", []debug.BuildSetting{commit}, "v1.2.3"},
		{"commit", "(devel)", []debug.BuildSetting{commit}, "devel-0123456789ab"},
		{"changed", "(devel)", []debug.BuildSetting{commit, dirty}, "devel-0123456789ab+dirty"},
		{"nothing", "", nil, "devel"},
	} {
		t.Run(test.name, func(t *testing.T) {
			info := &debug.BuildInfo{Main: debug.Module{Version: test.module}, Settings: test.settings}
			if got := recordedVersion(info); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

func TestLinkedVersion(t *testing.T) {
	version = "v9.8.7"
	t.Cleanup(func() { version = "" })
	if got := buildVersion(); got != version {
		t.Errorf("%s, want %s", got, version)
	}
}

func TestVersionAsJSON(t *testing.T) {
	version, commit = "v9.8.7", "0123abcd"
	t.Cleanup(func() { version, commit = "", "" })
	want := fmt.Sprintf(`{"version":"v9.8.7","revision":"0123abcd","go":%q,"os":%q,"arch":%q}`+"\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	rollcall(t.Context(), nil, "version", "--output", "json").check(t, exitDone, want, "")
}
