package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestNoLastSnapshot: if the last snapshot cannot be written, the end is still clean, and
// the next start continues from an earlier snapshot; here from none.
func TestNoLastSnapshot(t *testing.T) {
	dir := t.TempDir()
	p := serve(t, dir, "ROLLCALL_SNAPSHOT_INTERVAL=1h")
	p.tool("", "publish", seedFile)
	p.reaches(6)
	snapshots := filepath.Join(dir, "snapshots")
	if err := errors.Join(os.RemoveAll(snapshots), os.WriteFile(snapshots, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
	if !p.log.Has("last snapshot not written") {
		t.Error("the log doesn't report the missing last snapshot")
	}
	if err := os.Remove(snapshots); err != nil {
		t.Fatal(err)
	}
	p = serve(t, dir)
	p.reaches(6)
	p.wantReport("webserver.local: lane\n")
}

// TestServeSays: a service that knows no machine says what to do next, and at its end it
// says that its last snapshot is written.
func TestServeSays(t *testing.T) {
	p := serve(t, t.TempDir())
	if got := p.says("no machine has been heard from yet", "try"); !strings.Contains(got, "rollcall publish --login") {
		t.Errorf("it says %s", got)
	}
	if got := p.tool("", "publish", seedFile); got.code != exitDone {
		t.Fatalf("%+v", got)
	}
	p.reaches(6)
	p.stop(syscall.SIGTERM)
	if !strings.Contains(p.log.String(), `"msg":"last snapshot written, ending","place":6}`) {
		t.Errorf("at its end it says %s", p.log.String())
	}
}
