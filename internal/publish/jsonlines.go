package publish

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	rollcallv1 "rollcall/proto/rollcall/v1"
)

// Input is a source of lines, such as a file.
type Input struct {
	Name string
	Open func() (io.ReadCloser, error)
}

// line is a line of an input that is not blank, without its line feed.
type line struct {
	origin string // "FILE:LINE"
	// text is the line, or nil if it is longer than an event may be.
	text []byte
	size int // of the whole line, in bytes
	read int // bytes of the input since the last line
	// err is why the rest of the input could not be read.
	err error
}

// lines reads the inputs one after the other and sends their lines until ctx is
// done. It reads in a goroutine of its own, since a read from a terminal or a pipe
// cannot be cancelled: the goroutine ends when its read returns.
func lines(ctx context.Context, inputs []Input) <-chan line {
	out := make(chan line, 64)
	yield := func(l line) bool {
		select {
		case out <- l:
			return true
		case <-ctx.Done():
			return false
		}
	}
	go func() {
		defer close(out)
		for _, in := range inputs {
			if err := readLines(in, yield); err != nil && !yield(line{origin: in.Name, err: err}) {
				return
			}
		}
	}()
	return out
}

// readLines yields the lines of one input until there are no more or yield
// returns false.
func readLines(in Input, yield func(line) bool) error {
	f, err := in.Open()
	if err != nil {
		return err
	}
	defer f.Close()
	// The buffer fits the longest event and its line feed; a longer line is too
	// long.
	r := bufio.NewReaderSize(f, rollcallv1.MaxPayload+1)
	skipped := 0
	for number := 1; ; number++ {
		l, err := readLine(r)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		l.origin = fmt.Sprintf("%s:%d", in.Name, number)
		l.read += skipped
		skipped = 0
		switch {
		case l.size == 0 || l.text != nil && len(bytes.TrimSpace(l.text)) == 0:
			skipped = l.read
		case !yield(l):
			return nil
		}
		if err != nil {
			return nil
		}
	}
}

// readLine reads one line. The last line need not end with a line feed: then the
// error is io.EOF.
func readLine(r *bufio.Reader) (line, error) {
	text, err := r.ReadSlice('\n')
	l := line{read: len(text)}
	if !errors.Is(err, bufio.ErrBufferFull) {
		text = bytes.TrimSuffix(text, []byte("\n"))
		if len(text) <= rollcallv1.MaxPayload {
			//guard:set bytes.Clone(text) text "an event in flight does not change" TestLinesAreCopies
			l.text = bytes.Clone(text)
		}
		l.size = len(text)
		return l, err
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		text, err = r.ReadSlice('\n')
		l.read += len(text)
	}
	l.size = l.read
	if err == nil {
		l.size-- // the line feed
	}
	return l, err
}
