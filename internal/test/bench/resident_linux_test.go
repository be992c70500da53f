package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"rollcall/internal/test/kit"
)

// BenchmarkResident runs "rollcall serve" on the stream of BenchmarkLoad, with the
// default intervals of reports and snapshots, and reports its resident memory
// afterwards and the size of a snapshot.
func BenchmarkResident(b *testing.B) {
	path := program(b, "rollcall", "rollcall/cmd/rollcall")
	url := startServer(b, many.name)
	many.store(b, url)
	for b.Loop() {
		data, web := b.TempDir(), kit.FreeAddress(b)
		cmd := exec.Command(path, "serve")
		cmd.Env = []string{"NATS_URL=" + url, "ROLLCALL_DATA_DIR=" + data, "ROLLCALL_HTTP_ADDR=" + web}
		stop := startProcess(b, cmd)
		awaitReady(b, "http://"+web+"/readyz")
		resident := residentMB(b, cmd.Process.Pid)
		stop() // it writes a last snapshot
		b.ReportMetric(resident, "MB-resident")
		b.ReportMetric(newestMB(b, filepath.Join(data, "snapshots")), "MB/snapshot")
	}
}

var resident = regexp.MustCompile(`VmRSS:\s+(\d+) kB`)

func residentMB(b *testing.B, pid int) float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	found := resident.FindSubmatch(status)
	if found == nil {
		b.Fatalf("no VmRSS in %s", status)
	}
	kib, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		b.Fatal(err)
	}
	return kib * 1024 / 1e6
}

// newestMB is the size of the last snapshot in a folder.
func newestMB(b *testing.B, dir string) float64 {
	files, err := filepath.Glob(filepath.Join(dir, "*.rollcall"))
	if err != nil || len(files) == 0 {
		b.Fatalf("no snapshots in %s: %v", dir, err)
	}
	info, err := os.Stat(files[len(files)-1])
	if err != nil {
		b.Fatal(err)
	}
	return float64(info.Size()) / 1e6
}
