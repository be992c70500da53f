package kit

import (
	"bytes"
	"strings"
	"sync"
)

// Output collects what is written to it, such as a log or a program's output. It is
// safe for concurrent use. The zero value is empty and ready for use.
//
// A test should read a log only through an Output: other goroutines may write to the
// log at any time. The throttle, for example, logs from a timer, a minute after the
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

// String returns all that was written since the last Drain.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// Drain returns what String returns and empties the output.
func (o *Output) Drain() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.text.Reset()
	return o.text.String()
}

// Has reports whether String contains a text.
func (o *Output) Has(text string) bool { return strings.Contains(o.String(), text) }

// Count returns how many times String contains a text.
func (o *Output) Count(text string) int { return strings.Count(o.String(), text) }
