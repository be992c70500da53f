package main

import (
	"net/http"
	"os/exec"
	"testing"
	"time"

	"rollcall/internal/test/kit"
)

// BenchmarkStart starts "rollcall serve" with the embedded server and an empty data
// folder, and waits until /readyz returns 200.
func BenchmarkStart(b *testing.B) {
	path := program(b, "rollcall", "rollcall/cmd/rollcall")
	for b.Loop() {
		web := kit.FreeAddress(b)
		cmd := exec.Command(path, "serve")
		cmd.Env = []string{
			"ROLLCALL_DATA_DIR=" + b.TempDir(), "ROLLCALL_HTTP_ADDR=" + web, "ROLLCALL_PAGE_ADDR=127.0.0.1:0", "ROLLCALL_EMBEDDED_ADDR=" + kit.FreeAddress(b),
		}
		stop := startProcess(b, cmd)
		awaitReady(b, "http://"+web+"/readyz")
		b.StopTimer()
		stop()
		b.StartTimer()
	}
}

func awaitReady(b *testing.B, url string) {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); <-tick.C {
		answer, err := client.Get(url)
		if err != nil {
			continue
		}
		answer.Body.Close()
		if answer.StatusCode == http.StatusOK {
			return
		}
	}
	b.Fatal("not ready after five minutes")
}
