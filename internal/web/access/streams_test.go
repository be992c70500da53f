package access

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"rollcall/internal/httpd"
)

// TestStreams: a user or an address has so many streams, and all together not more than the
// server can keep; one that has ended makes room.
func TestStreams(t *testing.T) {
	of := func(user string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/live", nil)
		if user != "" {
			r = withAsker(r, asker{"user", user})
		}
		return r
	}
	var s Streams
	var ends []func()
	acquire := func(user string, want bool) {
		t.Helper()
		end, ok := s.Acquire(of(user))
		if ok != want {
			t.Errorf("%q: %v with %d open, want %v", user, ok, s.Open(), want)
		}
		if ok {
			ends = append(ends, end)
		}
	}
	for range maxStreamsPerKey {
		acquire("ada", true)
	}
	acquire("ada", false)
	acquire("bob", true)
	acquire("", true) // the peer's address
	ends[0]()
	ends[0]() // twice is once
	acquire("ada", true)
	acquire("ada", false)
	for n := s.Open(); n < maxStreams; n++ {
		acquire(fmt.Sprint(n), true)
	}
	acquire("eve", false)
	if s.Open() != maxStreams {
		t.Errorf("%d are open", s.Open())
	}
	for _, end := range ends {
		end()
	}
	if s.Open() != 0 || len(s.open) != 0 {
		t.Errorf("%d are open in the end, of %v", s.Open(), s.open)
	}
}

// TestStreamsAtOnce: the counts hold when streams come and go at the same time.
func TestStreamsAtOnce(t *testing.T) {
	var s Streams
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			r := withAsker(httptest.NewRequest(http.MethodGet, "/live", nil), asker{"user", fmt.Sprint(i % 3)})
			for range 200 {
				if end, ok := s.Acquire(r); ok {
					end()
				}
			}
		})
	}
	all.Wait()
	if s.Open() != 0 {
		t.Errorf("%d are open", s.Open())
	}
}

// TestLongStream: a stream outlives the time-outs of the server, over each protocol.
func TestLongStream(t *testing.T) {
	const events, every = 6, 300 * time.Millisecond
	c := Config{
		Timeouts: httpd.Timeouts{Read: 2 * every, Write: 2 * every},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s, err := NewStream(w)
			if err != nil {
				t.Error(err)
				return
			}
			for i := range events {
				if _, err := fmt.Fprintf(s, "data: %d\n\n", i); err != nil || r.Context().Err() != nil {
					t.Errorf("event %d: %v, %v", i, err, r.Context().Err())
					return
				}
				time.Sleep(every)
			}
		}),
	}
	everywhere(t, c, func(t *testing.T, client *http.Client, l *Listener) {
		answer, body := send(t, client, l, request{path: "/live"})
		want := ""
		for i := range events {
			want += fmt.Sprintf("data: %d\n\n", i)
		}
		if body != want || answer.Header.Get("Content-Type") != "text/event-stream" || answer.Header.Get("X-Accel-Buffering") != "no" || answer.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%q, %v", body, answer.Header)
		}
	})
}

// TestEachEventAtOnce: an event is sent when it is written, not with later ones.
func TestEachEventAtOnce(t *testing.T) {
	next := make(chan struct{})
	everywhere(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s, err := NewStream(w)
		for err == nil {
			if _, ok := <-next; !ok {
				return
			}
			_, err = io.WriteString(s, "data\n")
		}
		t.Error(err)
	})}, func(t *testing.T, client *http.Client, l *Listener) {
		next = make(chan struct{})
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, l.URL()+"/live", nil)
		if err != nil {
			t.Fatal(err)
		}
		// The answer begins before there is an event.
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(answer.Body)
		for range 3 {
			next <- struct{}{}
			if line, err := lines.ReadString('\n'); line != "data\n" || err != nil {
				t.Errorf("%q, %v", line, err)
			}
		}
		close(next)
		answer.Body.Close()
	})
}

// TestClientThatDoesNotRead: a write to a client that does not read ends with an error, over
// HTTP/1.1 and HTTP/2.
func TestClientThatDoesNotRead(t *testing.T) {
	failed := make(chan error, 1)
	everywhere(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := NewStream(w)
		if err == nil {
			s.timeout = 200 * time.Millisecond
			for much := make([]byte, 1<<20); err == nil; {
				_, err = s.Write(much)
			}
		}
		failed <- err
	})}, func(t *testing.T, client *http.Client, l *Listener) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, l.URL()+"/live", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		select {
		case err := <-failed:
			// HTTP/2 has an error of its own.
			if err == nil || answer.ProtoMajor == 1 && !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("it still writes")
		}
	})
}

// TestDisconnected: a client that goes away ends the context of its stream.
func TestDisconnected(t *testing.T) {
	entered, gone := make(chan struct{}), make(chan struct{})
	l := serve(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := NewStream(w); err != nil {
			t.Error(err)
		}
		close(entered)
		<-r.Context().Done()
		close(gone)
	})})
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-entered
	conn.Close()
	select {
	case <-gone:
	case <-time.After(20 * time.Second):
		t.Error("the stream goes on")
	}
}

// TestManyStreams: as many streams as there may be stay open side by side, and another client
// is answered beside them.
func TestManyStreams(t *testing.T) {
	entered := make(chan struct{}, maxStreams)
	l := serve(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/live" {
			return
		}
		if _, err := NewStream(w); err != nil {
			t.Error(err)
		}
		entered <- struct{}{}
		<-r.Context().Done()
	})})
	var open []net.Conn
	for range maxStreams {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-entered
		open = append(open, conn)
	}
	for range 20 {
		if answer, _ := send(t, plain, l, request{}); answer.StatusCode != 200 {
			t.Errorf("beside the streams: %s", answer.Status)
		}
	}
	for _, conn := range open {
		if err := conn.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, conn); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a stream ended: %v", err)
		}
	}
}
