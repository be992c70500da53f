package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/api"
	"rollcall/internal/web/access"
)

// view is what one stream has sent.
type view struct {
	location
	since   uint64
	rows    int // in view
	have    int // that the page has, from the same one on
	keys    []string
	pending map[string]bool // rows whose details had not come
	all     bool            // all rows have to be sent
	blocks  map[string]uint64
	members uint64
	empty   bool
	asked   time.Time // when a page of one machine or user was made last
	shown   uint64    // the revision of that machine or user
	differs int       // how often it was made and differed from the fleet
	head    *api.Head // what its answer says is missing
	lacks   *api.Past
	failed  bool      // the page says why it could not be shown
	err     error     // why its content is not known; nil: it is
	slow    time.Time // when all rows were sent
	// pause is how often what changes with time alone is sent: not at the same moments as to
	// other views, since each needs memory meanwhile.
	pause time.Duration
	// again is when to look again although nothing has changed; zero: not before a sign of
	// life is due.
	again time.Time
}

const (
	// patchPause is the least time between two patches, pingPause the longest between
	// two signs of life: proxies close what is quiet.
	patchPause = 100 * time.Millisecond
	pingPause  = 5 * time.Second
	// onePause is the least time between two questions for the page of one machine or user.
	onePause = time.Second
	// slowPause is how often what changes with time alone is sent, on average.
	slowPause = 30 * time.Second
	// maxInView bounds the rows in view.
	maxInView = 120
)

// serveLive streams patches to a page, as server-sent events; with once, it answers with
// one patch. The id of an event is "boot.revision": with it, a browser that connects
// again goes on where it was.
func (p *Page) serveLive(w http.ResponseWriter, req *http.Request) {
	v, same, err := p.view(req)
	if err != nil {
		http.Error(w, asSentence(err), http.StatusBadRequest)
		return
	}
	if req.URL.Query().Has("once") {
		p.answerOnce(w, req, v, same)
		return
	}
	if req.Method == http.MethodHead {
		return
	}
	release, ok := p.Streams.Acquire(req)
	if !ok {
		w.Header().Set("Retry-After", "10")
		http.Error(w, "Too many open pages: close some.", http.StatusTooManyRequests)
		return
	}
	defer release()
	out, err := access.NewStream(w)
	if err != nil {
		p.Log.Debug("opening a stream", "err", err)
		return
	}
	if !same {
		_ = p.send(out, &patch{Reload: true}) // the client may have gone
		return
	}
	_ = p.stream(req.Context(), v, out) // the client has gone, or the page ends
}

// send sends a patch, with the id that a browser names when it connects again.
func (p *Page) send(out *access.Stream, one *patch) error {
	data, err := one.encode()
	if err == nil {
		_, err = fmt.Fprintf(out, "id: %s.%d\ndata: %s\n\n", p.boot, one.Rev, data)
	}
	return err
}

// wake says when to look again although nothing has changed, if not before.
func (v *view) wake(at time.Time) {
	if v.again.IsZero() || at.Before(v.again) {
		v.again = at
	}
}

// view reads the request of a stream. It reports whether the page was rendered by this
// process.
func (p *Page) view(req *http.Request) (v *view, same bool, err error) {
	q, err := readQuery(req.URL.RawQuery)
	if err != nil {
		return nil, false, err
	}
	of, err := url.Parse(q.Get("of"))
	if err != nil || !strings.HasPrefix(of.Path, "/") {
		return nil, false, mistake{"", fmt.Errorf("of=%q: give the path and query of a page", clip(q.Get("of")))}
	}
	v = &view{blocks: map[string]uint64{}, rows: pageRows, have: pageRows, all: q.Has("all"), empty: q.Has("empty"), pending: map[string]bool{}, slow: time.Now()}
	v.pause = slowPause*3/4 + rand.N(slowPause/2)
	if v.location, err = locate(of.EscapedPath(), of.RawQuery, p.now()); err != nil {
		return nil, false, err
	}
	if v.past() && !q.Has("once") {
		return nil, false, mistake{"at", errors.New("the past is not live")}
	}
	if n, err := strconv.Atoi(q.Get("rows")); err == nil {
		v.rows = max(1, min(n, maxInView))
	}
	if n, err := strconv.Atoi(q.Get("have")); err == nil {
		v.have = n
	}
	id := req.Header.Get("Last-Event-ID")
	if id == "" {
		id = q.Get("id")
	}
	boot, rev, _ := strings.Cut(id, ".")
	v.since, err = strconv.ParseUint(rev, 10, 64)
	v.failed = v.since == 0
	if members, err := strconv.ParseUint(q.Get("map"), 10, 64); err == nil {
		v.members = members
	}
	return v, boot == p.boot && err == nil, nil
}

func (p *Page) answerOnce(w http.ResponseWriter, req *http.Request, v *view, same bool) {
	one := &patch{Reload: true}
	if same {
		var err error
		if one, err = p.patch(req.Context(), v); cmp.Or(err, v.err) != nil {
			http.Error(w, asSentence(cmp.Or(err, v.err)), statusOf(cmp.Or(err, v.err)))
			return
		}
	}
	data, err := one.encode()
	if err != nil {
		http.Error(w, asSentence(err), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(data) // the client may have gone
}

// stream sends what is newer, until the context is done or a write fails.
func (p *Page) stream(ctx context.Context, v *view, out *access.Stream) error {
	for {
		_, changed := p.fleet.Rev()
		start := time.Now()
		next, err := p.patch(ctx, v)
		switch {
		case err == nil && next.Rev > 0:
			err = p.send(out, next)
		default: // what could not be asked is asked again at the next change
			_, err = out.Write([]byte("event: beat\ndata:\n\n"))
		}
		if err != nil {
			return err
		}
		if !rest(ctx, changed, start, v.again) {
			return ctx.Err()
		}
	}
}

// rest waits until something changes, it is time to look again, or a sign of life is due,
// but not shorter than patchPause since a start. It returns false if the context is done.
func rest(ctx context.Context, changed <-chan struct{}, start, again time.Time) bool {
	wait := pingPause
	if !again.IsZero() {
		wait = min(wait, time.Until(again))
	}
	due := time.NewTimer(wait)
	defer due.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-due.C:
	case <-changed:
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(time.Until(start.Add(patchPause))):
		return true
	}
}
