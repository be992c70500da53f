package access

import (
	"net/http"
	"sync"
	"time"
)

// The most streams in all, and of one user or address.
const (
	maxStreams       = 512
	maxStreamsPerKey = 16
)

// Streams bounds the streams of events that are open at a time. The zero value has none
// open. The methods are safe for use by several goroutines.
type Streams struct {
	mu   sync.Mutex
	open map[string]int // by key
	all  int
}

// Acquire opens a stream for a request. If it may not, ok is false: answer with 429. Call
// release once when the stream ends.
func (s *Streams) Acquire(r *http.Request) (release func(), ok bool) {
	key := Key(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	//guard:drop s.all "streams don't use up the connections" TestStreams
	//guard:drop maxStreamsPerKey "nobody takes the streams of all others" TestStreams
	if s.all >= maxStreams || s.open[key] >= maxStreamsPerKey {
		return nil, false
	}
	if s.open == nil {
		s.open = make(map[string]int)
	}
	s.open[key]++
	s.all++
	return sync.OnceFunc(func() { s.release(key) }), true
}

func (s *Streams) release(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.open[key]--; s.open[key] == 0 {
		delete(s.open, key)
	}
}

// Open returns how many streams are open.
func (s *Streams) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all
}

// streamTimeout is how long a write to a stream may take. It is also the longest time
// between two writes: HTTP/2 ends a stream whose deadline passes.
const streamTimeout = 30 * time.Second

// Stream is an answer of server-sent events that goes on until the client disconnects, which
// ends the context of the request, or does not read.
type Stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
}

// NewStream begins the answer. Write something at least every few seconds.
func NewStream(w http.ResponseWriter) (*Stream, error) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx would keep events back
	w.WriteHeader(http.StatusOK)
	s := &Stream{w, http.NewResponseController(w), streamTimeout}
	_, err := s.Write(nil)
	return s, err
}

// Write sends events at once.
func (s *Stream) Write(events []byte) (int, error) {
	//guard:set s.control.SetWriteDeadline(...) error(nil) "a stream outlives the server's time-out for writing" TestLongStream
	if err := s.control.SetWriteDeadline(time.Now().Add(s.timeout)); err != nil {
		return 0, err
	}
	n, err := s.w.Write(events)
	if err != nil {
		return n, err
	}
	return n, s.control.Flush()
}
