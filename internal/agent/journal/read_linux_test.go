package journal

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"rollcall/internal/test/kit"
	"rollcall/internal/test/machine"
)

// TestRead: whatever programs write to a journal, its records are read as they were
// written, and one that is too long stops nothing. It runs itself on a machine.
func TestRead(t *testing.T) {
	const onMachine = "JOURNAL_TEST_ON_MACHINE"
	if os.Getenv(onMachine) == "" {
		m := machine.Boot(t, "journal")
		m.Copy(os.Args[0], "/opt/journal.test")
		m.Run("env", onMachine+"=yes", "/opt/journal.test", "-test.run=^TestRead$", "-test.timeout=2m")
		return
	}
	texts := []string{"plain", "\xff\x01\xfe bytes", strings.Repeat("long", 2000), strings.Repeat("too long ", 200_000), "last"}
	for i, text := range texts {
		logRecord(t, "RUN=1", "MESSAGE="+text, "SESSION_ID=c"+strconv.Itoa(i), "SESSION_ID=other", "USER_ID=ada", "LEADER=217", "_UID=1000")
	}
	read := func(q Query) (records []Record) {
		q.Matches = []string{"RUN=1"}
		if err := Read(t.Context(), q, func(r Record) error { records = append(records, r); return nil }); err != nil {
			t.Fatal(err)
		}
		return records
	}
	kit.Eventually(t, func() bool { all := read(Query{}); return len(all) > 0 && all[len(all)-1].Message == "last" }, "all are in the journal")
	all := read(Query{})
	want := append(texts[:3:3], "last")
	if len(all) != len(want) {
		t.Fatalf("%d records, want %d", len(all), len(want))
	}
	for i, r := range all {
		if r.Message != want[i] || r.User != "ada" || r.Leader != 217 || r.UID != 0 {
			t.Errorf("record %d is %+v", i, r)
		}
	}
	if first := all[0].Session; first != "c0" && first != "other" {
		t.Errorf("of two values one is %q", first)
	}
	if rest := read(Query{After: all[1].Cursor, Boot: all[1].Boot}); len(rest) != 2 || rest[0] != all[2] {
		t.Errorf("after the second: %+v", rest)
	}
	for _, kernel := range []string{all[0].Boot, strings.Repeat("0", 32)} {
		if boot, err := Boot(t.Context(), kernel); err != nil || boot != all[0].Boot {
			t.Errorf("the boot is %s, %v; want %s", boot, err, all[0].Boot)
		}
	}
	wantKilled(t)
}

// logRecord writes a record to the journal.
func logRecord(t *testing.T, fields ...string) {
	t.Helper()
	cmd := exec.Command("logger", "--journald")
	cmd.Stdin = strings.NewReader(strings.Join(fields, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// wantKilled checks that reading ends with an error when journalctl was killed.
func wantKilled(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := Read(ctx, Query{Matches: []string{"RUN=1"}, Follow: true}, func(r Record) error {
		if r.Message != "last" {
			return nil
		}
		return exec.Command("pkill", "-KILL", "-P", strconv.Itoa(os.Getpid()), "journalctl").Run()
	})
	if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("journalctl was killed: %v", err)
	}
}

// TestHalfLine: of a program that was killed while it wrote, half a record is no record.
func TestHalfLine(t *testing.T) {
	var read []Record
	whole := `{"__CURSOR":"s=1","__REALTIME_TIMESTAMP":"1764432000000000","MESSAGE":"whole"}` + "\n"
	err := readLines(strings.NewReader(whole+whole[:40]), func(r Record) error { read = append(read, r); return nil })
	if err != nil || len(read) != 1 || read[0].Message != "whole" {
		t.Errorf("%+v, %v", read, err)
	}
}

// FuzzRecord: a line is a record with a cursor and a time, or an error.
func FuzzRecord(f *testing.F) {
	for _, line := range []string{
		`{"LEADER":"182","__CURSOR":"s=0c;i=4f2;b=7d;m=1;t=64;x=9","_UID":"0","_PID":"114","_COMM":"systemd-logind","SESSION_ID":"c1","USER_ID":"ada","_BOOT_ID":"7d3f","MESSAGE_ID":"8d45620c1a4348dbb17410da57c60c66","_SYSTEMD_UNIT":"systemd-logind.service","_SOURCE_REALTIME_TIMESTAMP":"1764437633987654","__REALTIME_TIMESTAMP":"1764437633987700","MESSAGE":"New session c1 of user ada."}`,
		`{"__CURSOR":"s=0c","__REALTIME_TIMESTAMP":"1764437633987700","MESSAGE":[255,0,254,32,98],"SESSION_ID":["c1","other"],"USER_ID":null,"LEADER":[[49],"2"]}`,
		`{"__CURSOR":"s=0c"}`, `{}`, `[]`, `{"__CURSOR":[256],"MESSAGE":[[[]]]}`,
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		given := bytes.Clone(line)
		r, err := parse(line)
		if err == nil && (r.Cursor == "" || r.Time.IsZero()) {
			t.Errorf("%q: %+v", line, r)
		}
		if !bytes.Equal(line, given) {
			t.Errorf("%q was changed to %q", given, line)
		}
	})
}
