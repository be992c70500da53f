package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rollcall/internal/test/kit"
)

// binary is the folder of the tool, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	local = time.FixedZone("there", 5*60*60+30*60)
	dir, err := os.MkdirTemp("", "rollcall")
	if err == nil {
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = dir
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

func build(dir string, variables ...string) error {
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "rollcall"), ".")
	cmd.Env = append(os.Environ(), variables...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building rollcall: %w\n%s", err, out)
	}
	return nil
}

// result is what a command left behind.
type result struct {
	code     int
	out, err string
}

// rollcall runs the tool in this process.
func rollcall(ctx context.Context, stdin io.Reader, args ...string) result {
	var out, err kit.Output
	code := run(ctx, args, streams{stdin, &out, &err})
	return result{code, out.String(), err.String()}
}
