package nats_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestAddMachine: adding a machine takes two calls of nats, however many there are.
func TestAddMachine(t *testing.T) {
	w := newFolder(t)
	var names []string
	for i := range 20 {
		names = append(names, fmt.Sprint("m", i))
	}
	w.addMachine(names...)

	w.write("real/.keep", "")
	if err := os.Rename(w.path("bin/nats"), w.path("real/nats")); err != nil {
		t.Fatal(err)
	}
	w.write("bin/nats", fmt.Sprintf("#!/bin/sh\necho \"$*\" >>%q\nexec %q \"$@\"\n", w.path("calls"), w.path("real/nats")))
	if err := os.Chmod(w.path("bin/nats"), 0o700); err != nil {
		t.Fatal(err)
	}
	before := read(t, w.path("machines.conf"))
	w.addMachine("more")
	if calls := read(t, w.path("calls")); strings.Count(calls, "\n") != 2 {
		t.Errorf("nats was called for\n%s", calls)
	}
	after := read(t, w.path("machines.conf"))
	key := strings.TrimSpace(read(t, w.path("keys/more.key")))
	line := fmt.Sprintf("  { nkey: %s, permissions: { publish: \"rollcall.events.more\", subscribe: \"_INBOX_%s.>\" } }\n", key, key)
	if strings.Replace(after, line, "", 1) != before || !strings.Contains(after, line) {
		t.Errorf("from\n%sto\n%s", before, after)
	}

	for _, file := range []string{"keys/m7.machine", "keys/m7.key"} {
		if err := os.Remove(w.path(file)); err != nil {
			t.Fatal(err)
		}
	}
	w.addMachine()
	if text := read(t, w.path("machines.conf")); strings.Contains(text, "events.m7\"") || strings.Count(text, "nkey:") != len(machines)+len(names) {
		t.Errorf("after m7 was removed:\n%s", text)
	}
}
