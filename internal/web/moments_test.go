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
	q := w.answers("report", `{"report":"1","stream":"S","sequence":1,"place":1,"when":"2026-11-22T21:14:07Z","complete":true,"reasons":[],"past":{},"machines":[]}`)
	ask := func(ctx context.Context, i int) *httptest.ResponseRecorder {
		return s.ask(ctx, fmt.Sprintf("/machines?at=2026-11-22T10:%02d:00Z", i))
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
	kit.Eventually(t, func() bool { return q.reading.Load() > 0 }, "a moment is read")
	leave()
	wait.Wait()
	if q.most.Load() > 2 {
		t.Errorf("%d moments were read at once", q.most.Load())
	}
	if q.all.Load() > 25 {
		t.Errorf("%d moments were read, of 30 requests of which 20 were given up", q.all.Load())
	}
}

// TestManyHistories: many who look at machines at once do not make the page keep all their
// histories at once; and nobody is refused for that.
func TestManyHistories(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	w.fill()
	s := w.open()
	w.stop()
	q := w.answers("history", `{"history":"1","stream":"S","sequence":1,"place":1,"when":"2026-11-22T21:14:07Z","complete":true,"reasons":[],"past":{},"sessions":[]}`)
	w.answers("machine", `{"machine":"web1","stream":"S","sequence":1,"place":1,"when":"2026-11-22T21:14:07Z","complete":true,"reasons":[],"heard":"2026-11-22T21:14:07Z","sessions":[]}`)
	var wait sync.WaitGroup
	for range 40 {
		wait.Go(func() {
			if answer := s.ask(t.Context(), "/machines/web1"); answer.Code != http.StatusOK {
				t.Errorf("status %d, %s", answer.Code, text(answer.Body.String()))
			}
		})
	}
	wait.Wait()
	if n := q.most.Load(); n > 8 {
		t.Errorf("%d histories were read at once", n)
	}
}

// questions counts those to an endpoint.
type questions struct {
	reading, most, all atomic.Int32
	answer             atomic.Pointer[string]
}

// answers answers an endpoint, slowly, and always the same until the answer is changed.
func (w *world) answers(endpoint, answer string) *questions {
	q := &questions{}
	q.answer.Store(&answer)
	conn := kit.Conn(w.t, w.server.URL)
	_, err := conn.Subscribe(w.subjects.Query(endpoint), func(m *nats.Msg) {
		go func() {
			n := q.reading.Add(1)
			q.all.Add(1)
			for before := q.most.Load(); n > before && !q.most.CompareAndSwap(before, n); before = q.most.Load() {
			}
			time.Sleep(100 * time.Millisecond)
			q.reading.Add(-1)
			_ = m.Respond([]byte(*q.answer.Load())) // who asked may have gone
		}()
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		w.t.Fatal(err)
	}
	return q
}

// ask requests a page.
func (s *site) ask(ctx context.Context, url string) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	s.http.ServeHTTP(answer, httptest.NewRequestWithContext(ctx, http.MethodGet, url, nil))
	return answer
}
