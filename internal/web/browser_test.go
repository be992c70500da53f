package web_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// dom is a page as a browser has it.
type dom struct {
	root *html.Node
	err  error // the first patch that did not fit
}

func parse(t testing.TB, page string) *dom {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	return &dom{root: root}
}

func attr(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

func setAttr(n *html.Node, name, value string) {
	for i := range n.Attr {
		if n.Attr[i].Key == name {
			n.Attr[i].Val = value
			return
		}
	}
	n.Attr = append(n.Attr, html.Attribute{Key: name, Val: value})
}

// all returns the elements for which a condition holds.
func all(root *html.Node, is func(*html.Node) bool) (found []*html.Node) {
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && is(n) {
			found = append(found, n)
		}
	}
	return found
}

// by returns the first element with an attribute; nil: none.
func (d *dom) by(name, value string) *html.Node {
	found := all(d.root, func(n *html.Node) bool {
		got, ok := attr(n, name)
		return ok && got == value
	})
	if len(found) == 0 {
		return nil
	}
	return found[0]
}

func (d *dom) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
}

// fill replaces what is in an element, as innerHTML does.
func (d *dom) fill(n *html.Node, with string) {
	nodes, err := html.ParseFragment(strings.NewReader(with), n)
	if err != nil {
		d.fail("%v: %s", err, with)
	}
	for n.FirstChild != nil {
		n.RemoveChild(n.FirstChild)
	}
	for _, one := range nodes {
		n.AppendChild(one)
	}
}

// patch is what a stream sends; see patch in patches.go.
type patch struct {
	Rev    uint64
	Pill   string
	Reload bool
	Blocks map[string]string
	Rows   *struct {
		Total, From int
		Keys        []string
		HTML        map[string]string
	}
	Tiles []struct {
		G, T int
		S    string
	}
}

// apply does what the script of the page does with a patch.
func (d *dom) apply(p *patch) {
	for id, block := range p.Blocks {
		if id == "strip" {
			id = "curve"
		}
		n := d.by("id", id)
		if n == nil {
			d.fail("the page has no element %q", id)
			continue
		}
		d.fill(n, block)
	}
	for _, t := range p.Tiles {
		canvas := d.by("data-group", strconv.Itoa(t.G))
		tiles, _ := attr(canvas, "data-tiles")
		if canvas == nil || t.T >= len(tiles) {
			d.fail("the map has no tile %d of group %d: %q", t.T, t.G, tiles)
			continue
		}
		setAttr(canvas, "data-tiles", tiles[:t.T]+t.S+tiles[t.T+1:])
	}
	if p.Rows == nil {
		return
	}
	body := d.tbody()
	there := map[string]*html.Node{}
	for body.FirstChild != nil {
		row := body.FirstChild
		body.RemoveChild(row)
		if key, ok := attr(row, "data-key"); ok {
			there[key] = row
		}
	}
	for _, key := range p.Rows.Keys {
		row := there[key]
		content, sent := p.Rows.HTML[key]
		if row == nil {
			row = &html.Node{Type: html.ElementNode, Data: "tr", DataAtom: atom.Tr, Attr: []html.Attribute{{Key: "data-key", Val: key}}}
			if !sent {
				d.fail("a row for %q without a content", key)
			}
		}
		body.AppendChild(row)
		if sent {
			d.fill(row, content)
		}
	}
	setAttr(d.by("id", "rows"), "data-total", strconv.Itoa(p.Rows.Total))
}

// tbody returns the rows' parent of the list; nil: the page has no list.
func (d *dom) tbody() *html.Node {
	list := d.by("id", "list")
	if list == nil {
		return nil
	}
	return all(list, func(n *html.Node) bool { return n.DataAtom == atom.Tbody })[0]
}

// looks returns what is to be seen: the banner, the pill and the content, with at most so
// many rows of a list, and without what a script counts by itself.
func (d *dom) looks(rows int) string {
	var out bytes.Buffer
	for _, id := range []string{"banner", "state", "main"} {
		var one bytes.Buffer
		_ = html.Render(&one, d.by("id", id))
		root, _ := html.Parse(&one)
		for _, n := range all(root, func(n *html.Node) bool {
			id, _ := attr(n, "id")
			class, _ := attr(n, "class")
			// When a machine was heard from is asked for now and then.
			// The line of a day is not asked for at each change.
			return id == "pager" || class == "nothing" || strings.HasPrefix(class, "ago") || class == "heard" || class == "day"
		}) {
			n.Parent.RemoveChild(n)
		}
		copied := &dom{root: root}
		if body := copied.tbody(); body != nil {
			for i, row := range slices.Collect(body.ChildNodes()) {
				if i >= rows {
					body.RemoveChild(row)
				}
			}
		}
		for _, name := range []string{"data-members", "aria-label", "data-total"} {
			for _, n := range all(root, func(n *html.Node) bool { _, ok := attr(n, name); return ok && n.Data != "a" }) {
				setAttr(n, name, "")
			}
		}
		_ = html.Render(&out, root)
	}
	return strings.ReplaceAll(out.String(), "><", ">\n<")
}

// host serves a page over HTTP until the test ends.
func (s *site) host() string {
	s.t.Helper()
	ctx, end := context.WithCancel(context.Background())
	server := httptest.NewUnstartedServer(s.http)
	server.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	server.Start()
	s.t.Cleanup(func() {
		end() // as the page's listener does: streams would never end
		server.Close()
	})
	return server.URL
}

// browser has one page open.
type browser struct {
	t    testing.TB
	base string
	url  string // of the page
	rows int    // in view
	// polls says that it asks again and again, and has no stream.
	polls bool

	mu       sync.Mutex
	dom      *dom
	id       string // of the last event
	loaded   string // the id with which the page was loaded
	reloads  int
	patches  int
	end      context.CancelFunc
	ended    chan struct{}
	response int // the status of the stream
}

// load loads the page.
func (b *browser) load() {
	b.t.Helper()
	response, err := http.Get(b.base + b.url)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dom = parse(b.t, string(page))
	b.id, _ = attr(b.dom.root.LastChild, "data-id")
	b.loaded = b.id
}

// params are those of the page's script for its stream.
func (b *browser) params() url.Values {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := url.Values{"of": {b.url}, "id": {b.id}}
	if b.dom.by("id", "list") != nil {
		q.Set("rows", strconv.Itoa(b.rows))
		q.Set("have", strconv.Itoa(len(slices.Collect(b.dom.tbody().ChildNodes()))))
	}
	if b.dom.by("data-empty", "") != nil {
		q.Set("empty", "")
	}
	if b.dom.by("class", "pending") != nil {
		q.Set("all", "")
	}
	if m := b.dom.by("id", "map"); m != nil {
		members, _ := attr(m, "data-members")
		q.Set("map", members)
	}
	return q
}

// open opens the stream; as a browser does by itself if it has lost it, with the last id
// in a header.
func (b *browser) open(again bool) {
	b.t.Helper()
	q := b.params()
	if again {
		q.Set("id", b.loaded) // the address stays
	}
	ctx, end := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.base+"/live?"+q.Encode(), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	if again {
		req.Header.Set("Last-Event-ID", b.id)
	}
	b.end, b.ended = end, make(chan struct{})
	go func() {
		defer close(b.ended)
		response, err := http.DefaultClient.Do(req)
		if err != nil {
			return
		}
		defer response.Body.Close()
		b.mu.Lock()
		b.response = response.StatusCode
		b.mu.Unlock()
		if response.StatusCode == http.StatusOK {
			b.listen(response.Body)
		}
	}()
}

// listen applies what arrives.
func (b *browser) listen(stream io.Reader) {
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, 16<<20)
	id, data := "", ""
	for lines.Scan() {
		switch name, value, _ := strings.Cut(lines.Text(), ": "); {
		case name == "id":
			id = value
		case name == "data":
			data = value
		case name == "" && data != "": // an event that breaks off does not count
			b.receive([]byte(data), id)
			data = ""
		}
	}
}

func (b *browser) receive(data []byte, id string) {
	var p patch
	err := json.Unmarshal(data, &p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.patches++
	if err != nil {
		b.dom.fail("%v: %s", err, data)
		return
	}
	if id != "" {
		b.id = id
	}
	if p.Reload {
		b.reloads++
		return
	}
	b.dom.apply(&p)
}

// poll asks for one patch.
func (b *browser) poll() {
	q := b.params()
	q.Set("once", "")
	response, err := http.Get(b.base + "/live?" + q.Encode())
	if err != nil {
		return
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		b.t.Logf("%s: status %d, %s", b.url, response.StatusCode, data)
		return
	}
	var p patch
	id := ""
	if json.Unmarshal(data, &p) == nil && p.Rev > 0 {
		boot, _, _ := strings.Cut(b.id, ".")
		id = fmt.Sprintf("%s.%d", boot, p.Rev)
	}
	b.receive(data, id)
}

// close closes the stream.
func (b *browser) close() {
	if b.end != nil {
		b.end()
		<-b.ended
		b.end = nil
	}
}

// state returns what is to be seen, and the first patch that did not fit.
func (b *browser) state() (looks string, reloads int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dom.looks(b.rows), b.reloads, b.dom.err
}

// status is the status of the answer of the stream; 0: there is none yet.
func (b *browser) status() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.response
}

// received counts the events.
func (b *browser) received() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.patches
}

// fresh returns a page that is loaded now, with as many rows as are in view.
func (b *browser) fresh(s *site) *dom {
	page := parse(b.t, s.do(http.MethodGet, b.url).Body.String())
	body := page.tbody()
	if body == nil {
		return page
	}
	total, _ := attr(page.by("id", "rows"), "data-total")
	n, _ := strconv.Atoi(total)
	u, _ := url.Parse(b.url)
	q := u.Query()
	from, _ := strconv.Atoi(q.Get("from"))
	const onPage = 50
	if b.rows > onPage && n > from+onPage {
		q.Set("from", strconv.Itoa(from+onPage))
		u.RawQuery = q.Encode()
		next := parse(b.t, s.do(http.MethodGet, u.String()).Body.String()).tbody()
		for _, row := range slices.Collect(next.ChildNodes()) {
			next.RemoveChild(row)
			body.AppendChild(row)
		}
	}
	return page
}

// wantFresh waits until the page looks as one that is loaded now.
func (b *browser) wantFresh(s *site) {
	b.t.Helper()
	var got, want string
	var err error
	looksSo := func() bool {
		if b.polls {
			b.poll()
		}
		got, _, err = b.state()
		want = b.fresh(s).looks(b.rows)
		return err != nil || got == want
	}
	for end := time.Now().Add(time.Minute); !looksSo() && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		b.t.Fatalf("%s: %v", b.url, err)
	}
	if got != want {
		b.t.Fatalf("%s does not look as when it is loaded now: it %s", b.url, difference(got, want))
	}
}

// difference returns the first lines that differ.
func difference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			return "is\n" + strings.Join(a[min(i, len(a)):min(i+4, len(a))], "\n") + "\nwant\n" + strings.Join(b[min(i, len(b)):min(i+4, len(b))], "\n")
		}
	}
	return "nothing"
}
