package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rollcall/internal/test/kit"
)

// TestFolderRemoved: whatever is removed of the data folder of a running service, a new
// snapshot is written before anything else is read, no second service can start there, and
// the loss is reported.
func TestFolderRemoved(t *testing.T) {
	for name, c := range map[string]struct {
		take func(dir string) error
		lost string // how often the lock was
	}{
		"the folder":       {removeAll, "1"},
		"renamed":          {func(dir string) error { return os.Rename(dir, dir+"-away") }, "1"},
		"the lock":         {func(dir string) error { return os.Remove(filepath.Join(dir, "lock")) }, "1"},
		"the snapshots":    {func(dir string) error { return removeAll(filepath.Join(dir, "snapshots")) }, "0"},
		"another's folder": {replaceFolder, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			server, js := newEventsStream(t)
			dir := filepath.Join(t.TempDir(), "data")
			p := serve(t, dir, "NATS_URL="+server.URL)
			kit.PublishLogins(t, js, 3)
			p.digest(3)
			id, err := os.ReadFile(filepath.Join(dir, "consumer-id"))
			if err := errors.Join(err, c.take(dir)); err != nil {
				t.Fatal(err)
			}
			kit.Eventually(t, func() bool {
				_, err := os.Stat(filepath.Join(dir, "lock"))
				snapshots, _ := filepath.Glob(filepath.Join(dir, "snapshots", "snapshot-*3.rollcall"))
				return err == nil && len(snapshots) > 0
			}, "the folder has its lock and a snapshot")
			kit.Eventually(t, func() bool { return p.metric("rollcall_data_folder_lost_total") == c.lost }, "the loss is counted")
			p.wantFolder(c.lost != "0")
			if now, err := os.ReadFile(filepath.Join(dir, "consumer-id")); err != nil || !bytes.Equal(now, id) {
				t.Errorf("the consumer's name is %s, want %s (%v)", now, id, err)
			}
			second := begin(t, dir, "NATS_URL="+server.URL)
			<-second.ended
			if code := second.cmd.ProcessState.ExitCode(); code != exitFailed || !second.log.Has("another rollcall uses it") {
				t.Errorf("a second service ends with %d: %s", code, second.log.String())
			}
			p.stop(syscall.SIGTERM)
			serve(t, dir, "NATS_URL="+server.URL).reaches(3)
		})
	}
}

// TestFolderRemovedAtTheStart: the folder is held while the service waits for NATS.
func TestFolderRemovedAtTheStart(t *testing.T) {
	server, _ := newEventsStream(t)
	server.Stop()
	dir := filepath.Join(t.TempDir(), "data")
	p := begin(t, dir, "NATS_URL="+server.URL)
	kit.Eventually(t, func() bool { return p.log.Has("retrying") }, "it waits for NATS")
	if err := removeAll(dir); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(dir, "lock"))
		return err == nil
	}, "the folder has its lock")
	second := begin(t, dir, "NATS_URL="+server.URL)
	<-second.ended
	if code := second.cmd.ProcessState.ExitCode(); code != exitFailed || !second.log.Has("another rollcall uses it") {
		t.Errorf("a second service ends with %d: %s", code, second.log.String())
	}
	server.Start()
	p.says("ready", "place")
}

// replaceFolder replaces a folder by another, with a lock file that nobody has locked.
func replaceFolder(dir string) error {
	other := dir + "-other"
	return errors.Join(os.Mkdir(other, 0o700), os.WriteFile(filepath.Join(other, "lock"), nil, 0o600),
		os.Rename(dir, dir+"-away"), os.Rename(other, dir)) // nearly at once: only one loss is seen
}

// wantFolder verifies the check of the data folder, and the log.
func (p *process) wantFolder(lost bool) {
	p.t.Helper()
	want := "[+] data folder: locked\n"
	if lost {
		want = "[-] data folder: it was removed or replaced, and recreated at "
	}
	if got := p.get(strings.TrimSuffix(p.metrics, "metrics") + "readyz?verbose"); !strings.Contains(got, want) {
		p.t.Errorf("/readyz?verbose says %s, want %s", got, want)
	}
	if logged := p.log.Has("data folder, or the lock in it, was removed or replaced"); logged != lost {
		p.t.Errorf("the loss is logged: %v, want %v", logged, lost)
	}
}

// lockedFolder creates a folder that another service has locked.
func lockedFolder(dir string) (*os.File, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.Create(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	return lock, syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// TestFolderTaken: if another process has locked the new folder before the loss is
// noticed, the service ends, and has written nothing there.
func TestFolderTaken(t *testing.T) {
	server, js := newEventsStream(t)
	dir := t.TempDir()
	theirs, link, next := filepath.Join(dir, "theirs"), filepath.Join(dir, "link"), filepath.Join(dir, "next")
	lock, err := lockedFolder(theirs)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	err = errors.Join(os.Mkdir(filepath.Join(dir, "ours"), 0o700), os.Symlink("ours", link), os.Symlink("theirs", next))
	if err != nil {
		t.Fatal(err)
	}
	p := serve(t, link, "NATS_URL="+server.URL)
	kit.PublishLogins(t, js, 1)
	p.digest(1)
	if err := os.Rename(next, link); err != nil { // at once
		t.Fatal(err)
	}
	kit.PublishLogins(t, js, 1)
	<-p.ended
	if code := p.cmd.ProcessState.ExitCode(); code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
	if said := p.log.String(); !strings.Contains(said, "rollcall: the data folder was removed or replaced: locking the data folder "+link+": another rollcall uses it") {
		t.Errorf("it says %s", said)
	}
	if files, _ := os.ReadDir(theirs); len(files) != 1 {
		t.Errorf("it has written to another service's folder: %v", files)
	}
}

// TestStoreRemoved: the embedded server would keep acknowledging messages that are on no
// disk. The service restarts from its roster, with a new store, and a watch with the old
// key continues with the new one.
func TestStoreRemoved(t *testing.T) {
	kit.Long(t)
	for _, part := range []string{".", "nats", "nats/jetstream"} {
		t.Run(part, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			address, web := kit.FreeAddress(t), kit.FreeAddress(t)
			p := serve(t, dir, "ROLLCALL_EMBEDDED_ADDR="+address, "ROLLCALL_HTTP_ADDR="+web)
			p.tool("", "publish", seedFile)
			p.reaches(6)
			w := watchOwn(t, p)
			if err := removeAll(filepath.Join(dir, part)); err != nil {
				t.Fatal(err)
			}
			p.says("restarting from the last snapshot", "err")
			kit.Eventually(t, func() bool {
				return p.tool("", "publish", seedFile).out == "6 stored\n"
			}, "events are stored again")
			p.reaches(12)
			if got := p.tool("", "report"); got.out != "webserver.local: lane\n" || !strings.Contains(got.err, "not complete (recreated)") {
				t.Errorf("report is %+v", got)
			}
			p.tool("", "publish", "--login", "ada", "--machine", "web9")
			w.shows("web9: +ada (ada)\n")
			if code := w.end(); code != exitDone {
				t.Errorf("exit code %d of watch", code)
			}
			if code := p.stop(syscall.SIGTERM); code != exitDone {
				t.Errorf("exit code %d", code)
			}
			serve(t, dir).reaches(13)
		})
	}
}

// removeAll removes a folder at once: the service creates it again.
func removeAll(dir string) error {
	if err := os.Rename(dir, dir+"-removed"); err != nil {
		return err
	}
	return os.RemoveAll(dir + "-removed")
}
