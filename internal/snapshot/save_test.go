package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"rollcall/internal/roster"
)

func TestSaveWaitsForDeadLetters(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	r := roster.New(goldenSettings)
	saved(t, s, r, 1)
	refused := errors.New("no room for dead letters")
	s.AwaitStored = func(_ context.Context, place uint64) error {
		if place != 2 {
			t.Errorf("asked for place %d", place)
		}
		if got := names(t, dir); !strings.HasPrefix(got, "1.rollcall snapshot-") || !strings.HasSuffix(got, ".tmp") {
			t.Errorf("while waiting: %s", got)
		}
		return refused
	}
	advance(r)
	if _, err := s.Save(t.Context(), r); !errors.Is(err, refused) {
		t.Errorf("saved: %v", err)
	}
	if got := names(t, dir); got != "1.rollcall" {
		t.Errorf("folder %s", got)
	}
	if last, _ := s.Last(); last.Status.Position != position(1) || testutil.ToFloat64(s.metrics.errors) != 1 {
		t.Errorf("last %+v", last)
	}
	refused = nil
	if info, err := s.Save(t.Context(), r); err != nil || info.Status.Position != position(2) {
		t.Errorf("saved %+v, %v", info, err)
	}
}

// TestSaveVerifies damages the file between writing and committing.
func TestSaveVerifies(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	r := roster.New(goldenSettings)
	saved(t, s, r, 3)
	for what, change := range map[string]func(path string){
		"damaged": func(path string) { damage(t, path) },
		"another": func(path string) {
			if err := os.WriteFile(path, file(t, golden()), 0o600); err != nil {
				t.Error(err)
			}
		},
	} {
		s.AwaitStored = func(context.Context, uint64) error {
			temps, err := filepath.Glob(filepath.Join(dir, tempPattern))
			if err != nil || len(temps) != 1 {
				t.Fatal(temps, err)
			}
			change(temps[0])
			return nil
		}
		advance(r)
		if _, err := s.Save(t.Context(), r); err == nil || !strings.Contains(err.Error(), "saving snapshot: verifying "+dir) {
			t.Errorf("%s: %v", what, err)
		}
		if got := names(t, dir); got != "1.rollcall 2.rollcall 3.rollcall" {
			t.Errorf("%s: folder %s", what, got)
		}
	}
}

// fullDisk is set in the process for which the system refuses larger files.
const fullDisk = "SNAPSHOT_FULL_DISK"

// TestSaveOnAFullDisk makes the system refuse larger files, in a process of its own: else
// what go test logs of this one may be refused, too.
func TestSaveOnAFullDisk(t *testing.T) {
	if os.Getenv(fullDisk) == "" {
		cmd := exec.Command(os.Args[0], "-test.v", "-test.run=^TestSaveOnAFullDisk$")
		cmd.Env = append(os.Environ(), fullDisk+"=1")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	dir := t.TempDir()
	s := openStore(t, dir)
	r := roster.New(goldenSettings)
	saved(t, s, r, 1)
	advance(r)

	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	small := syscall.Rlimit{Cur: 200, Max: limit.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &small); err != nil {
		t.Fatal(err)
	}
	_, err := s.Save(t.Context(), r)
	if restored := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); restored != nil {
		t.Fatal(restored)
	}
	if !errors.Is(err, syscall.EFBIG) {
		t.Errorf("saved: %v", err)
	}
	if got := names(t, dir); got != "1.rollcall" {
		t.Errorf("folder %s", got)
	}
	if info, err := s.Save(t.Context(), r); err != nil || info.Status.Position != position(2) {
		t.Errorf("with room again: %+v, %v", info, err)
	}
}

// TestSaveWithoutItsFolder replaces the folder with a file.
func TestSaveWithoutItsFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "snapshots")
	s := openStore(t, dir)
	r := roster.New(goldenSettings)
	saved(t, s, r, 1)
	advance(r)
	away := func() {
		if err := errors.Join(os.Rename(dir, dir+"-away"), os.WriteFile(dir, nil, 0o600)); err != nil {
			t.Error(err)
		}
	}
	back := func() {
		if err := errors.Join(os.Remove(dir), os.Rename(dir+"-away", dir)); err != nil {
			t.Error(err)
		}
	}
	away()
	if _, err := s.Save(t.Context(), r); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("saved: %v", err)
	}
	back()
	s.AwaitStored = func(context.Context, uint64) error { away(); return nil }
	if _, err := s.Save(t.Context(), r); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("committed: %v", err)
	}
	back()
	if _, info := load(t, s); info.Status.Position != position(1) {
		t.Errorf("loaded %+v", info.Status.Position)
	}
	if got := testutil.ToFloat64(s.metrics.errors); got != 2 {
		t.Errorf("%v errors, want 2", got)
	}
	s.AwaitStored = nil
	if info, err := s.Save(t.Context(), r); err != nil || info.Status.Position != position(2) {
		t.Errorf("with the folder back: %+v, %v", info, err)
	}
}

// TestSaveWhileFolding saves while another goroutine folds: each snapshot equals the
// roster of the same messages folded exactly up to its place.
func TestSaveWhileFolding(t *testing.T) {
	const batches, size = 400, 50
	dir := t.TempDir()
	s := openStore(t, dir)
	r := roster.New(goldenSettings)
	folded := make(chan struct{})
	go func() {
		defer close(folded)
		for i := range batches {
			r.Fold(busy(i, size))
		}
	}()
	digests := make(map[uint64]roster.Hash)
	for done := false; !done; {
		select {
		case <-folded:
			done = true
		default:
		}
		info, err := s.Save(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		digests[info.Status.Position.Place] = info.StateDigest
	}
	if len(digests) < 3 || digests[batches*size] == (roster.Hash{}) {
		t.Fatalf("only %d snapshots", len(digests))
	}
	replayed := roster.New(goldenSettings)
	for i := range batches {
		replayed.Fold(busy(i, size))
		place := replayed.Status().Position.Place
		if got, ok := digests[place]; ok && got != digest(replayed) {
			t.Errorf("snapshot of place %d is not the roster of it", place)
		}
	}
	got, _ := load(t, s)
	if !bytes.Equal(encoding(got), encoding(replayed)) {
		t.Error("loaded another roster")
	}
}

// busy returns a batch of logins and logouts on a few hundred machines.
func busy(n, size int) *roster.Batch {
	b := roster.Batch{Messages: make([]roster.Message, size)}
	for i := range b.Messages {
		place := n*size + i + 1
		draw := sha256.Sum256(fmt.Append(nil, place))
		date := after(time.Duration(place) * time.Second)
		b.Messages[i] = roster.Message{Place: uint64(place), Receipt: date, Event: roster.Event{
			Date: date, Type: roster.Login + roster.Type(draw[0]%3/2), Machine: fmt.Sprintf("m%03d", draw[1]),
			Session: roster.Session{User: fmt.Sprintf("u%02d", draw[2]%50)},
		}}
	}
	b.End = position(uint64((n + 1) * size))
	return &b
}

// settledBy returns an AwaitStored that only calls a function.
func settledBy(do func()) func(context.Context, uint64) error {
	return func(context.Context, uint64) error { do(); return nil }
}

// TestSaveAfterLossesWereAccepted: an operator accepts losses, which doesn't move
// the position. The roster is saved nevertheless, as a second snapshot of the same
// place, so that the losses are still accepted after a restart.
func TestSaveAfterLossesWereAccepted(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	r := roster.New(goldenSettings)
	saved(t, s, r, 1)
	r.Fold(&roster.Batch{End: position(3), Missing: roster.Gap})
	if _, err := s.Save(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir)
	r, _ = load(t, s)
	if st := r.Status(); st.Losses[roster.Gap] != 3 || st.Unsettled != 1 {
		t.Fatalf("loaded %+v", st)
	}
	r.Accept(3)
	for range 2 { // once only
		if info, err := s.Save(t.Context(), r); err != nil || info.StateDigest != digest(r) {
			t.Errorf("saved %+v, %v", info, err)
		}
	}
	if got := names(t, dir); got != "1.rollcall 3-2.rollcall 3.rollcall" {
		t.Errorf("folder %s", got)
	}
	r, _ = load(t, openStore(t, dir))
	if st := r.Status(); st.Losses != (roster.Losses{}) || st.Unsettled != 0 {
		t.Errorf("loaded %+v", st)
	}
}
