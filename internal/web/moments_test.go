package web_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/internal/test/kit"
)

// TestManyMoments: whoever drags the strip of time, or asks for many moments at once, does
// not make the page read all of them at once, each with all machines; also not by going away
// before the answer.
func TestManyMoments(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	w.fill()
	s := w.open()
	w.stop()
	var reading, most, all atomic.Int32
	conn := kit.Conn(t, w.server.URL)
	_, err := conn.Subscribe(w.subjects.Query("report"), func(m *nats.Msg) {
		go func() {
			n := reading.Add(1)
			all.Add(1)
			for before := most.Load(); n > before && !most.CompareAndSwap(before, n); before = most.Load() {
			}
			time.Sleep(100 * time.Millisecond)
			reading.Add(-1)
			_ = m.Respond([]byte(`{"report":"1","stream":"S","sequence":1,"place":1,"when":"2026-11-22T21:14:07Z","complete":true,"reasons":[],"past":{},"machines":[]}`)) // the page may have gone
		}()
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	ask := func(ctx context.Context, i int) *httptest.ResponseRecorder {
		req := httptest.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("/machines?at=2026-11-22T10:%02d:00Z", i), nil)
		answer := httptest.NewRecorder()
		s.http.ServeHTTP(answer, req)
		return answer
	}
	gone, leave := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() { ask(gone, i) })
	}
	for i := range 10 {
		wait.Go(func() {
			if answer := ask(t.Context(), 20+i); answer.Code != http.StatusOK {
				t.Errorf("status %d, %s", answer.Code, text(answer.Body.String()))
			}
		})
	}
	kit.Eventually(t, func() bool { return reading.Load() > 0 }, "a moment is read")
	leave()
	wait.Wait()
	if most.Load() > 2 {
		t.Errorf("%d moments were read at once", most.Load())
	}
	if all.Load() > 25 {
		t.Errorf("%d moments were read, of 30 requests of which 20 were given up", all.Load())
	}
}
