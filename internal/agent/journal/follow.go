package journal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
)

// program reads the journal.
const program = "journalctl"

// maxLine is how long a record may be, in bytes. Longer ones are left out: those of logind
// are short, but any user may write records with fields of up to 768 MiB.
const maxLine = 1 << 20

// outputFields are the fields that are asked for.
const outputFields = "_BOOT_ID,_SOURCE_REALTIME_TIMESTAMP,MESSAGE_ID,MESSAGE,SESSION_ID,USER_ID,LEADER,_SYSTEMD_UNIT,_PID,_UID,_COMM,SESSION_CLASS"

// Query selects records.
type Query struct {
	// After is the cursor of the record after which reading begins; empty: with the
	// first one. A journal that has that record no more may leave out one more.
	After string
	// From is the cursor of the record with which reading begins; with the next one, if
	// the journal has that record no more.
	From string
	// Boot selects records of one boot: its id, or "0" for the present one; empty: of
	// all that the journal has.
	Boot string
	// Matches select records by their fields; "+" between two is or.
	Matches []string
	// Last is how many of the last records are read; 0: all.
	Last int
	// Follow goes on with new records, until the context is done.
	Follow bool
}

func (q *Query) args() []string {
	args := []string{"--output=json", "--all", "--quiet", "--no-pager", "--output-fields=" + outputFields}
	if q.Follow {
		args = append(args, "--follow", "--lines=all")
	}
	if q.Last > 0 {
		args = append(args, "--lines="+strconv.Itoa(q.Last))
	}
	if q.Boot != "" {
		args = append(args, "--boot="+q.Boot)
	}
	if q.After != "" {
		args = append(args, "--after-cursor="+q.After)
	}
	if q.From != "" {
		args = append(args, "--cursor="+q.From)
	}
	return append(args, q.Matches...)
}

// Read calls show with each record, until it returns an error, there are no more, or the
// context is done.
func Read(ctx context.Context, q Query, show func(Record) error) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, q.args()...)
	var stderr bytes.Buffer
	cmd.Stderr = &limited{&stderr}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("reading the journal: %w", err)
	}
	err = readLines(out, show)
	if err != nil {
		cancel()
	}
	ended := cmd.Wait()
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case ended != nil:
		return fmt.Errorf("reading the journal: %w: %s", ended, strings.TrimSpace(stderr.String()))
	case q.Follow:
		return errEnded
	}
	return nil
}

// Boot returns the id of the present boot, given that of the kernel. In a container, and in
// a unit whose /proc is its own, the kernel's may be another one than that of the journal's
// records; then it is that of the newest of them.
func Boot(ctx context.Context, kernel string) (string, error) {
	boot := ""
	show := func(r Record) error {
		boot = r.Boot
		return nil
	}
	if err := Read(ctx, Query{Boot: kernel, Last: 1}, show); err == nil && boot != "" {
		return boot, nil
	}
	err := Read(ctx, Query{Last: 1}, show)
	if err == nil && boot == "" {
		err = errors.New("reading the journal: it is empty, or may not be read: is this user in the group systemd-journal?")
	}
	return boot, err
}

// IsSame reports whether two cursors are of the same record. It has another one in another
// file: journald copies what it had in memory to disk once that can be written.
func IsSame(a, b string) bool {
	_, recordA, _ := strings.Cut(a, ";b=")
	_, recordB, _ := strings.Cut(b, ";b=")
	return a == b || recordA != "" && recordA == recordB
}

// errEnded says that journalctl has ended, although it was to follow.
var errEnded = errors.New("reading the journal: journalctl has ended")

func readLines(in io.Reader, show func(Record) error) error {
	for lines := bufio.NewReaderSize(in, 64<<10); ; {
		line, err := readLine(lines)
		switch {
		//guard:drop "a long record of anybody stops nothing" TestRead
		case errors.Is(err, errLong):
			continue
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		r, err := parse(line)
		if err != nil {
			return err
		}
		if err := show(r); err != nil {
			return err
		}
	}
}

// errLong says that a record is longer than maxLine.
var errLong = errors.New("reading the journal: a record is too long")

// readLine returns the next line. The error is io.EOF after half a line, too: then the
// program was killed while it wrote.
func readLine(in *bufio.Reader) (line []byte, err error) {
	for long := false; ; {
		part, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
		if long = long || len(line)+len(part) > maxLine; !long {
			line = append(line, part...)
		}
		switch {
		case err == nil && long:
			return nil, errLong
		case err == nil:
			return line, nil
		}
	}
}

// limited keeps the beginning of what is written.
type limited struct{ *bytes.Buffer }

func (l *limited) Write(b []byte) (int, error) {
	l.Buffer.Write(b[:min(len(b), max(0, 4096-l.Len()))])
	return len(b), nil
}
