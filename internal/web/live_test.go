package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/internal/api"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// crowd makes random events of some machines and users.
type crowd struct {
	w        *world
	rng      *rand.Rand
	machines []string
	users    []string
	clock    time.Time // of the last event
}

func newCrowd(w *world, seed uint64, machines, users int) *crowd {
	c := &crowd{w: w, rng: rand.New(rand.NewPCG(seed, 1)), clock: start.Add(-20 * time.Minute)}
	for i := range machines {
		c.machines = append(c.machines, fmt.Sprintf("m%02d.g%d.example", i, i%3))
	}
	for i := range users {
		c.users = append(c.users, fmt.Sprintf("u%02d", i))
	}
	return c
}

// events returns some events, each a little after the one before.
func (c *crowd) events(n int) (all []roster.Event) {
	for range n {
		c.clock = c.clock.Add(time.Second)
		e := roster.Event{Date: roster.TimeOf(c.clock), Machine: c.machines[c.rng.IntN(len(c.machines))]}
		e.Session = roster.Session{User: c.users[c.rng.IntN(len(c.users))]}
		switch c.rng.IntN(8) {
		case 0, 1, 2, 3:
			e.Type = roster.Login
			e.Session.Remote = fmt.Sprint("10.0.0.", c.rng.IntN(3))
		case 4, 5, 6:
			e.Type = roster.Logout
		case 7:
			e.Type, e.Session = roster.Boot, roster.Session{}
		}
		all = append(all, e)
	}
	return all
}

// synced waits until the page shows the roster as it is.
func (w *world) synced(s *site) {
	w.t.Helper()
	report := w.report()
	kit.Eventually(w.t, func() bool {
		for i := range report.Machines {
			m := s.page.Fleet().Machine(report.Machines[i].Name)
			if m == nil || !slices.Equal(m.Users, report.Machines[i].Users) || !m.Changed.Equal(report.Machines[i].Changed) {
				return false
			}
		}
		return s.page.Fleet().Totals().Machines == len(report.Machines)
	}, "the page has the roster as it is")
}

// watched are pages of all kinds, with how many rows are in view.
var watched = []struct {
	url  string
	rows int
}{
	{"/", 0},
	{"/machines", 60},
	{"/machines?from=30", 60},
	{"/machines?sort=-users&state=used", 60},
	{"/machines?sort=changed", 10},
	{"/machines?q=user%3Au01", 60},
	{"/machines?q=-u01+-u02", 20},
	{"/machines?group=g1.example", 60},
	{"/machines?state=nobody", 60},
	{"/users", 60},
	{"/users?sort=name", 20},
	{"/users?state=several", 60},
	{"/users?q=machine%3Am0", 60},
	{"/machines/m01.g1.example", 0},
	{"/users/u01", 0},
	{"/nope", 0},
}

func (s *site) browsers(base string) (all []*browser) {
	for _, v := range watched {
		b := &browser{t: s.t, base: base, url: v.url, rows: v.rows}
		b.load()
		all = append(all, b)
	}
	return all
}

// TestLive: after each change, what a stream has sent makes a page of what was loaded
// before, as it is when it is loaded now.
func TestLive(t *testing.T) {
	for name, machines := range map[string]int{"few machines": 40, "many machines": 90} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, kit.StartServer(t))
			c := newCrowd(w, uint64(machines), machines, 20)
			w.fold(c.events(3 * machines)...)
			s := w.open()
			w.synced(s)
			base := s.host()
			all := s.browsers(base)
			// What changes between loading and opening is in the first patch.
			w.fold(c.events(10)...)
			w.synced(s)
			for _, b := range all {
				b.open(false)
			}
			steps := kit.Length(3, 5)
			for step := range steps {
				w.fold(c.events(1 + c.rng.IntN(12))...)
				if step%3 == 1 {
					c.machines = append(c.machines, fmt.Sprintf("new%02d.g1.example", step))
					c.users = append(c.users, fmt.Sprintf("v%02d", step))
				}
				w.synced(s)
				for _, b := range all {
					// Those of one machine or user ask at most once a second.
					if b.rows > 0 || b.url == "/" || step == steps-1 {
						b.wantFresh(s)
					}
				}
			}
			for _, b := range all {
				b.close()
			}
		})
	}
}

// TestReconnect: a browser that has lost its stream opens it again with the id of the last
// event, and gets what it has missed, however much that is.
func TestReconnect(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	c := newCrowd(w, 3, 90, 20)
	w.fold(c.events(250)...)
	s := w.open()
	w.synced(s)
	all := s.browsers(s.host())
	for range kit.Length(2, 3) {
		for _, b := range all {
			b.open(b.patches > 0)
		}
		w.fold(c.events(10)...)
		time.Sleep(time.Duration(c.rng.IntN(200)) * time.Millisecond) // some have got some of it
		for _, b := range all {
			b.close()
		}
		w.fold(c.events(30)...)
		w.synced(s)
	}
	for _, b := range all {
		b.open(true)
	}
	for _, b := range all {
		b.wantFresh(s)
		b.close()
	}
}

// TestPoll: a page without a stream asks again and again, and has the same.
func TestPoll(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	c := newCrowd(w, 4, 90, 20)
	w.fold(c.events(250)...)
	s := w.open()
	w.synced(s)
	all := s.browsers(s.host())
	for range kit.Length(2, 3) {
		w.fold(c.events(20)...)
		w.synced(s)
		for _, b := range all {
			b.polls = true
			b.wantFresh(s)
		}
	}
}

// TestTooManyStays: the sessions of a row that has too many of them for a strip are not read
// again and again.
func TestTooManyStays(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	for i := range 30 {
		w.fold(login(fmt.Sprintf("10:%02d", i), "web1", "busy"), logout(fmt.Sprintf("10:%02d:30", i), "web1", "busy"))
	}
	w.fold(login("11:00", "web1", "busy"), login("11:00", "web2", "kim"))
	s := w.open()
	s.page.SetStays(20, time.Microsecond)
	asked := map[string]int{}
	conn := kit.Conn(t, w.server.URL)
	questions, err := conn.SubscribeSync(w.subjects.Query("history"))
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		s.get("/users")
		w.fold(login(fmt.Sprintf("12:%02d", i), "web1", "busy"), login(fmt.Sprintf("12:%02d", i), "web2", "kim"))
		w.synced(s)
	}
	for {
		m, err := questions.NextMsg(100 * time.Millisecond)
		if err != nil {
			break
		}
		var q api.HistoryRequest
		if err := json.Unmarshal(m.Data, &q); err != nil {
			t.Fatal(err)
		}
		asked[q.User]++
	}
	if asked["busy"] != 1 || asked["kim"] != 1 {
		t.Errorf("the history was asked for %v", asked)
	}
}

// TestOtherProcess: the page of a process that has ended is loaded again, and so is one
// whose shape is another: the first machine, the first event of a machine.
func TestOtherProcess(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	s := w.open()
	base := s.host()
	empty, unknown := &browser{t: t, base: base, url: "/"}, &browser{t: t, base: base, url: "/machines/web1"}
	for _, b := range []*browser{empty, unknown} {
		b.load()
		b.open(false)
	}
	old := &browser{t: t, base: base, url: "/machines", rows: 60}
	old.load()
	old.id = "OTHER.7"
	old.open(false)
	reloaded := func(b *browser) bool { _, n, _ := b.state(); return n > 0 }
	kit.Eventually(t, func() bool { return reloaded(old) }, "the page of another process is loaded again")
	for _, id := range []string{"", "x", "OTHER", "OTHER.x", strings.Split(empty.loaded, ".")[0] + ".x", "." + empty.loaded} {
		b := &browser{t: t, base: base, url: "/"}
		b.load()
		b.id = id
		if b.poll(); !reloaded(b) {
			t.Errorf("a page with the id %q is not loaded again", id)
		}
	}
	if reloaded(empty) || reloaded(unknown) {
		t.Fatal("loaded again without a reason")
	}
	w.fold(login("21:10", "web1", "kim"))
	kit.Eventually(t, func() bool { return reloaded(empty) && reloaded(unknown) }, "the pages come alive")
	for _, b := range []*browser{empty, unknown, old} {
		b.close()
	}
}

// TestLiveRefused: what cannot be live is refused, with the reason.
func TestLiveRefused(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	s := w.open()
	for query, want := range map[string]string{
		"":                              "give the path and query of a page",
		"of=machines":                   "give the path and query of a page",
		"of=%2F%3Fat%3Dlater":           "not a moment",
		"of=%2Fmachines%3Fq%3D%2522":    "without a closing one",
		"of=%2F%3Fat%3D2026-11-20&id=x": "The past is not live",
	} {
		r := s.do(http.MethodGet, "/live?"+query)
		if r.Code != http.StatusBadRequest || !strings.Contains(r.Body.String(), want) {
			t.Errorf("%q: status %d, %s; want %q", query, r.Code, r.Body, want)
		}
	}
}

// TestNotLive: each page says so when the service does not answer any more, and when it does
// again; one that could not be shown comes alive.
func TestNotLive(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	w.fold(login("21:10", "web1", "kim"))
	s := w.open()
	base := s.host()
	var all []*browser
	for _, url := range []string{"/", "/machines", "/users?q=remote%3A10.", "/machines/web1", "/users/kim", "/service"} {
		b := &browser{t: t, base: base, url: url, rows: 60}
		b.load()
		b.open(false)
		all = append(all, b)
	}
	shows := func(b *browser, text string) bool {
		looks, _, _ := b.state()
		return strings.Contains(looks, text)
	}
	everywhere := func(text string) {
		t.Helper()
		for _, b := range all {
			kit.Eventually(t, func() bool { return shows(b, text) }, b.url+" shows "+text)
		}
	}
	everywhere(`class="pill live"`)
	w.stop()
	everywhere(`class="pill dead"`)
	everywhere("<strong>Not live:</strong>")
	failed := &browser{t: t, base: base, url: "/machines/web1"}
	failed.load()
	if looks, _, _ := failed.state(); !strings.Contains(looks, "Not shown") {
		t.Errorf("without a service: %s", looks)
	}
	failed.open(false)
	w.serve()
	everywhere(`class="pill live"`)
	kit.Eventually(t, func() bool { _, n, _ := failed.state(); return n > 0 }, "the page that could not be shown is loaded again")
	failed.load()
	if looks, _, _ := failed.state(); !strings.Contains(looks, "In use by") {
		t.Errorf("with a service: %s", looks)
	}
	failed.close()
	for _, b := range all {
		b.close()
	}
}

// TestOlderList: a list is not made again at once if that takes long. A page that shows an
// older one gets what it lacks from its stream, soon and without another change.
func TestOlderList(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	w.fold(login("21:10", "web1", "kim"))
	s := w.open()
	var machines []api.Machine
	for i := range 40_000 {
		machines = append(machines, api.Machine{Name: fmt.Sprintf("h%05d.g%d", i, i%3), Heard: start, Users: []string{fmt.Sprint("u", i/3)}})
	}
	s.page.Fleet().Fill(machines)
	base := s.host()
	for _, url := range []string{"/machines?q=h000+-x", "/users?state=several&q=u1", "/"} {
		b := &browser{t: t, base: base, url: url, rows: 50}
		b.load()
		for i := range 3 {
			s.page.Fleet().Set(api.Machine{Name: fmt.Sprintf("h0000%d.g%d", i, i), Heard: start, Users: []string{"u1", "u12"}})
			b.load()
		}
		begin := time.Now()
		b.open(false)
		b.wantFresh(s)
		if took := time.Since(begin); took > 30*time.Second {
			t.Errorf("%s is up to date after %v", url, took)
		}
		b.close()
	}
}

// TestOlderListLost: the id of an event is no newer than the list in it.
func TestOlderListLost(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	w.fold(login("21:10", "web1", "kim"))
	s := w.open()
	var machines []api.Machine
	for i := range 30_000 {
		machines = append(machines, api.Machine{Name: fmt.Sprintf("h%05d.g%d", i, i%3), Heard: start.Add(-time.Duration(i*7919%30_000) * time.Second)})
	}
	s.page.Fleet().Fill(machines)
	b := &browser{t: t, base: s.host(), url: "/machines?sort=heard", rows: 50}
	b.load()
	b.open(false)
	for i := range 2 {
		// Each changes the number of machines in use, which is sent at once, and the list,
		// which takes so long that it is not made again at once.
		for n := range 2 {
			before := b.received()
			heard := start.Add(time.Duration(2*i+n) * time.Second)
			s.page.Fleet().Set(api.Machine{Name: fmt.Sprintf("h%d000%d.g0", n+1, i), Heard: heard, Users: []string{"kim"}})
			kit.Eventually(t, func() bool { return b.received() > before }, "the number of machines in use has changed")
		}
		b.close()
		s.until(b.url, fmt.Sprintf("h2000%d", i)) // it is made again
		b.open(true)
		b.wantFresh(s)
	}
	b.close()
}

// TestOverAtOnce: if a login and its logout come within one interval of changes, neither is
// published. A page that was made between the two shows the session, but not for long.
func TestOverAtOnce(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	w.fold(boots("21:00", "web1"), login("21:10", "db1", "kim"))
	s := w.open()
	w.synced(s)
	w.stop()
	const head = `"stream":"S","sequence":1,"place":1,"when":"2026-11-22T21:14:07Z","complete":true,"reasons":[],`
	w.answers("history", `{`+head+`"past":{},"sessions":[]}`)
	for url, q := range map[string]struct{ endpoint, answer, on string }{
		"/machines/web1": {"machine", `{` + head + `"machine":"web1","heard":"2026-11-22T21:14:07Z","sessions":[%s]}`, `{"user":"mira","since":"2026-11-22T21:14:06Z"}`},
		"/users/kim":     {"user", `{` + head + `"user":"kim","sessions":[%s]}`, `{"machine":"web9","user":"kim","since":"2026-11-22T21:14:06Z"}`},
	} {
		on, off := fmt.Sprintf(q.answer, q.on), fmt.Sprintf(q.answer, "")
		if q.endpoint == "user" {
			off = fmt.Sprintf(q.answer, `{"machine":"db1","user":"kim","since":"2026-11-22T21:10:00Z"}`)
		}
		asked := w.answers(q.endpoint, on)
		b := &browser{t: t, base: s.host(), url: url, rows: 50}
		b.load()
		b.open(false)
		kit.Eventually(t, func() bool { return b.received() > 0 }, "the page is made for its stream")
		shows := func() bool {
			looks, _, _ := b.state()
			return strings.Contains(looks, "mira") || strings.Contains(looks, "web9")
		}
		if !shows() {
			t.Fatalf("%s does not show what is on", url)
		}
		asked.answer.Store(&off)
		begin := time.Now()
		kit.Eventually(t, func() bool { return !shows() }, url+" does not show it any more")
		if took := time.Since(begin); took > 20*time.Second {
			t.Errorf("%s shows it for %v", url, took)
		}
		// What agrees with the fleet is not asked for again and again.
		before := asked.all.Load()
		time.Sleep(3 * time.Second)
		if n := asked.all.Load() - before; n > 1 {
			t.Errorf("%s asks %d times in 3 s although nothing happens", url, n)
		}
		b.close()
	}
}

// TestTooManyStreams: beyond its streams a client is told so, and how long to wait; it gets
// one when another ends.
func TestTooManyStreams(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	s := w.open()
	base := s.host()
	var all []*browser
	for range 16 {
		b := &browser{t: t, base: base, url: "/machines", rows: 60}
		b.load()
		b.open(false)
		all = append(all, b)
	}
	for _, b := range all {
		kit.Eventually(t, func() bool { return b.status() == http.StatusOK }, "the stream is open")
	}
	r := s.do(http.MethodGet, "/live?of=/machines&once")
	if r.Code != http.StatusOK {
		t.Errorf("asking once takes a stream: status %d", r.Code)
	}
	response, err := http.Get(base + "/live?of=/machines")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusTooManyRequests || response.Header.Get("Retry-After") == "" {
		t.Errorf("one more: status %d, %v", response.StatusCode, response.Header)
	}
	all[0].close()
	kit.Eventually(t, func() bool {
		b := &browser{t: t, base: base, url: "/machines", rows: 60}
		b.load()
		b.open(false)
		defer b.close()
		kit.Eventually(t, func() bool { return b.status() != 0 }, "an answer")
		return b.status() == http.StatusOK
	}, "a stream that ended is free")
	for _, b := range all[1:] {
		b.close()
	}
}

// TestDeafClient: a client that does not read holds up nobody else.
func TestDeafClient(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	c := newCrowd(w, 5, 90, 20)
	w.fold(c.events(250)...)
	s := w.open()
	w.synced(s)
	b := &browser{t: t, base: s.host(), url: "/machines", rows: 60}
	b.load()
	for range 8 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(b.base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.(*net.TCPConn).SetReadBuffer(1 << 10); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET /live?of=/machines&rows=120&all&id=%s HTTP/1.1\r\nHost: localhost\r\n\r\n", b.loaded)
	}
	b.open(false)
	defer b.close()
	for range kit.Length(5, 10) {
		w.fold(c.events(40)...)
		begin := time.Now()
		w.synced(s)
		b.wantFresh(s)
		if took := time.Since(begin); took > time.Minute {
			t.Fatalf("held up for %v", took)
		}
	}
}

// TestStreamsEnd: streams end with the server.
func TestStreamsEnd(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	s := w.open()
	ctx, end := context.WithCancel(t.Context())
	server := httptest.NewUnstartedServer(s.http)
	server.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	server.Start()
	var all []*browser
	for _, url := range []string{"/", "/machines", "/users", "/service", "/machines/web1"} {
		b := &browser{t: t, base: server.URL, url: url, rows: 60}
		b.load()
		b.open(false)
		kit.Eventually(t, func() bool { return b.status() == http.StatusOK }, "the stream is open")
		all = append(all, b)
	}
	end()
	for _, b := range all {
		<-b.ended
	}
	server.Close() // waits for all that is served
}

// TestNATSLost: without NATS a page says so at once: it does not wait for an answer that
// cannot come. If the service is too slow to answer, the page says that.
func TestNATSLost(t *testing.T) {
	server := kit.StartServer(t)
	w := newWorld(t, server)
	w.fold(login("21:10", "web1", "kim"))
	s := w.open()
	want := func(url, text string, patience, within time.Duration) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		begin, answer := time.Now(), httptest.NewRecorder()
		s.http.ServeHTTP(answer, httptest.NewRequestWithContext(ctx, http.MethodGet, url, nil))
		if took := time.Since(begin); answer.Code != http.StatusBadGateway || !strings.Contains(answer.Body.String(), text) || took > within {
			t.Errorf("%s: status %d after %v, %s", url, answer.Code, took, answer.Body)
		}
	}
	w.stop()
	conn := kit.Conn(t, server.URL)
	if _, err := conn.Subscribe(w.subjects.Query(">"), func(*nats.Msg) {}); err != nil { // one that does not answer
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{"/machines/web1/sessions.csv", "/users/kim", "/service", "/find?q=a"} {
		want(url, "o answer on "+w.subjects.Query(""), 300*time.Millisecond, time.Minute)
	}
	server.Stop()
	s.until("/", "the connection to NATS is lost")
	for _, url := range []string{"/machines/web1", "/users/kim/sessions.csv", "/service", "/?" + then, "/names?q=a"} {
		want(url, "he connection to NATS is lost", time.Minute, 2*time.Second)
	}
}

// TestLongestOver: the page asks for the longest sessions every half minute. One that has ended
// since is not shown, and the next longest takes its place before that.
func TestLongestOver(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	for i := range 8 {
		w.fold(login(fmt.Sprintf("20:%02d", 10+i), "web1", fmt.Sprintf("user%d", i)))
	}
	s := w.open()
	longest := func() string { return part(t, s.get("/"), `id="longest"`, "</section>") }
	if got := longest(); !strings.Contains(got, ">user0<") || strings.Contains(got, ">user6<") {
		t.Fatalf("at first: %s", got)
	}
	ended := time.Now()
	w.fold(logout("21:00", "web1", "user0"))
	s.until("/", `data-total="users">7<`)
	if got := longest(); strings.Contains(got, ">user0<") {
		t.Errorf("it is over: %s", got)
	}
	kit.Eventually(t, func() bool { return strings.Contains(longest(), ">user6<") }, "the next one takes its place")
	if took := time.Since(ended); took > 25*time.Second {
		t.Errorf("the next one took its place after %v", took)
	}
}

// TestBeat: a stream on which nothing happens sends a sign of life every 5 s. It is not compressed,
// and a header tells proxies not to buffer it.
func TestBeat(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	w.fill()
	s := w.open()
	address := s.host()
	id := part(t, s.get("/machines"), `data-id="`, `"`)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/live?of=/machines&id="+id, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept-Encoding", "gzip")
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	h := answer.Header
	if h.Get("Content-Type") != "text/event-stream" || h.Get("X-Accel-Buffering") != "no" || h.Get("Content-Encoding") != "" {
		t.Errorf("status %d, %v", answer.StatusCode, h)
	}
	beats, last := 0, time.Now()
	for lines := bufio.NewScanner(answer.Body); beats < 2 && lines.Scan(); {
		if lines.Text() == "event: beat" {
			if beats++; time.Since(last) > 9*time.Second {
				t.Errorf("a sign of life after %v", time.Since(last))
			}
			last = time.Now()
		}
	}
	if beats < 2 {
		t.Error("the stream has ended")
	}
}

// TestBanners: each page says that the roster is not caught up, or perhaps not up to date, and
// no longer says so when it is.
func TestBanners(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	w.fill()
	s := w.open()
	for _, c := range []struct {
		says  string
		state *atomic.Bool
	}{{"Not caught up:", &w.replaying}, {"Perhaps not up to date:", &w.stale}} {
		for _, on := range []bool{true, false} {
			c.state.Store(on)
			for _, url := range []string{"/", "/machines", "/users", "/machines/" + web1} {
				kit.Eventually(t, func() bool { return strings.Contains(s.do(http.MethodGet, url).Body.String(), c.says) == on }, fmt.Sprintf("%s says %q: %v", url, c.says, on))
			}
		}
	}
}
