package kit

import (
	"bytes"
	"strings"
	"sync"
)

// Output keeps what is written to it: a log, or what a program prints. Several
// goroutines may write and read at once. Its zero value is empty and ready for
// use.
//
// Every log that a test reads should be one: other goroutines may write to it at
// any time. The throttle, for one, writes from a timer, a minute after the
// complaint.
type Output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements [io.Writer].
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

// String returns all that was written, or all since Drain.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// Drain returns what String returns, and empties the output.
func (o *Output) Drain() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.text.Reset()
	return o.text.String()
}

// Has reports whether String has a text.
func (o *Output) Has(text string) bool { return strings.Contains(o.String(), text) }

// Count returns how many times String has a text.
func (o *Output) Count(text string) int { return strings.Count(o.String(), text) }
