package history

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// Readers read the file through a memory map, which spares a system call for each page. If
// the disk fails, or the file was cut short, that is no error of a system call then, but a
// fault of the processor, which would end the process.

// mostMapped is how many bytes of the file a reader maps, the most that SQLite allows. The
// rest of a larger file is read by system calls.
const mostMapped = "0x7fff0000"

// errFault says that the file could not be read where it was mapped.
var errFault = errors.New("the history cannot be read: its disk fails, or its file was cut short")

// survive calls read, and returns errFault if memory could not be read.
func survive(read func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch p := recover().(type) {
		case nil:
		case interface{ Addr() uintptr }: // a panic for a nil pointer has no address
			err = fmt.Errorf("%w: %v", errFault, p)
		default:
			panic(p)
		}
	}()
	return read()
}

// abandon ends a connection after a fault, in the middle of whatever it did. Its locks must
// go; if it cannot be closed, they stay until the process ends.
func (r *reader) abandon() {
	c := r.c
	r.c = nil
	_ = survive(c.Close)
}

// connect opens another connection if the one before was abandoned.
func (r *reader) connect() error {
	if r.c != nil {
		return nil
	}
	c, err := openReader(r.path)
	if err != nil {
		return fmt.Errorf("opening the history again: %w", err)
	}
	*r = *r.over(c)
	return nil
}
