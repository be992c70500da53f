package web

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/api"
	"rollcall/internal/web/access"
	"rollcall/internal/web/fleet"
)

// A patch brings a page that was rendered at an earlier revision up to date.
type patch struct {
	Rev  uint64 `json:"rev"`
	Pill string `json:"pill"`
	// Reload says that the page has to be loaded again.
	Reload bool `json:"reload,omitempty"`
	// Blocks are the new contents of elements, by their ids.
	Blocks map[string]string `json:"blocks,omitempty"`
	Rows   *rowsPatch        `json:"rows,omitempty"`
	Tiles  []tilePatch       `json:"tiles,omitempty"`
}

// rowsPatch are the rows of a list in view.
type rowsPatch struct {
	Total int `json:"total"`
	From  int `json:"from"`
	// Keys are the names of all rows in view, in order; HTML has those that are new or
	// changed.
	Keys []string          `json:"keys"`
	HTML map[string]string `json:"html,omitempty"`
}

// tilePatch is one tile of the map.
type tilePatch struct {
	Group int    `json:"g"`
	Tile  int    `json:"t"`
	State string `json:"s"`
}

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
	head    *api.Head // what its answer says is missing
	lacks   *api.Past
	failed  bool      // the page says why it could not be shown
	err     error     // why its content is not known; nil: it is
	slow    time.Time // when all rows were sent
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
	// slowPause is how often what changes with time alone is sent.
	slowPause = 30 * time.Second
	// maxInView bounds the rows in view.
	maxInView = 120
)

var seed = maphash.MakeSeed()

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

// encode returns a patch as JSON, in one line. It is read as JSON only, so that the HTML in
// it needs no escapes, of six bytes each.
func (p *patch) encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(p)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
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
			_, err = out.Write([]byte(":\n\n"))
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

// patch returns what is newer than what a view has. Its Rev is 0 if there is nothing.
func (p *Page) patch(ctx context.Context, v *view) (*patch, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	r := &request{location: v.location, ctx: ctx, now: p.now(), fleet: p.fleet, head: p.head()}
	r.rev, _ = p.fleet.Rev()
	newest := r.rev
	v.again = time.Time{}
	next := &patch{Pill: p.pill(r), Blocks: map[string]string{}}
	due := time.Since(v.slow) >= slowPause
	var err error
	switch {
	case v.failed:
		next.Reload = p.shows(r)
	case v.page == "/":
		err = p.patchFleet(r, v, next)
	case v.name != "":
		err = p.patchOne(r, v, next)
	case v.page == "/machines" || v.page == "/users":
		v.all = v.all || due
		err = p.patchList(r, v, next)
	case v.page == "/service":
		err = p.patchService(r, v, next)
	}
	v.err = err
	//guard:false "a page whose content cannot be had says that it is not live" TestNotLive
	if err != nil {
		// What could not be asked is asked again later. That the page is not live must be said.
		p.Log.Debug("the content of a page is not known", "page", v.page, "err", err)
		next.Blocks, next.Rows, next.Tiles = map[string]string{}, nil, nil
		v.blocks, r.rev = map[string]uint64{}, v.since
		newest = r.rev
	}
	if due {
		v.slow = time.Now()
		if err := v.block(next, "strip", "curve", p.strip(ctx, &r.location, r.now)); err != nil {
			return nil, err
		}
	}
	if err := v.block(next, "banner", "banner", p.banner(r)); err != nil {
		return nil, err
	}
	if err := v.block(next, "state", "state", next.Pill); err != nil {
		return nil, err
	}
	// What was shown may be older than the fleet: lists and the map are made again after a
	// pause.
	if v.since = r.rev; r.rev < newest && v.again.IsZero() {
		v.again = time.Now().Add(2 * patchPause)
	}
	if len(next.Blocks) > 0 || next.Rows != nil || len(next.Tiles) > 0 || next.Reload {
		//guard:set v.since newest "a browser that connects again misses nothing" TestReconnect
		next.Rev = max(1, v.since)
	}
	return next, nil
}

// shows reports whether the page of a request, which could not be shown, can be now.
func (p *Page) shows(r *request) bool {
	build := builder(buildService)
	switch {
	case r.page == "/":
		build = buildFleet
	case r.page == "/machines" && r.name != "":
		build = buildMachine
	case r.page == "/users" && r.name != "":
		build = buildUser
	case r.page == "/machines":
		build = buildMachines
	case r.page == "/users":
		build = buildUsers
	}
	_, err := build(p, r)
	return err == nil
}

// block adds a block to a patch, if it is not what was sent last.
func (v *view) block(next *patch, id, template string, data any) error {
	html, err := render(template, data)
	if err != nil {
		return err
	}
	hash := maphash.String(seed, html)
	if v.blocks[id] == hash {
		return nil
	}
	v.blocks[id], next.Blocks[id] = hash, html
	return nil
}

// patchFleet brings the page of the fleet up to date.
func (p *Page) patchFleet(r *request, v *view, next *patch) error {
	t := p.totals(r)
	if next.Reload = v.empty != (t.Machines == 0); next.Reload || v.empty {
		return nil
	}
	err := v.block(next, "totals", "totals", t)
	if err == nil {
		err = v.block(next, "feed", "feed", p.news(r))
	}
	if err == nil {
		err = v.block(next, "several", "several", p.several(r))
	}
	if err == nil {
		err = v.block(next, "longest", "longest", p.longest.read(r.ctx, p, &r.location))
	}
	if err != nil {
		return err
	}
	return p.patchMap(r, v, next)
}

// patchMap brings the map up to date: tile by tile, or as a whole if its shape changed.
func (p *Page) patchMap(r *request, v *view, next *patch) error {
	layout := r.fleet.Layout()
	// A layout may be older than the fleet: what it lacks comes next time.
	r.asOf(layout.Rev)
	if layout.Members != v.members || r.fleet.Totals().Machines <= maxNamed {
		all := p.fleetMap(r)
		v.members = all.Members
		// The heads of the groups are in it.
		//guard:drop "the head of a group that is as before the map was sent is sent again" TestLive
		maps.DeleteFunc(v.blocks, func(id string, _ uint64) bool { return strings.HasPrefix(id, "g") })
		return v.block(next, "map", "map", all)
	}
	for i := range layout.Groups {
		g := &layout.Groups[i]
		changed := false
		g.Changed(v.since, func(tile int) {
			changed = true
			next.Tiles = append(next.Tiles, tilePatch{i, tile, string(g.Tiles[tile])})
		})
		if !changed {
			continue
		}
		if err := v.block(next, "g"+strconv.Itoa(i), "group", r.mapGroup(i, g)); err != nil {
			return err
		}
	}
	return nil
}

// patchList brings the rows in view up to date.
func (p *Page) patchList(r *request, v *view, next *patch) error {
	rows := &rowsPatch{From: r.from, Keys: []string{}, HTML: map[string]string{}}
	var tabs []tab
	var err error
	if v.page == "/users" {
		err = p.patchUsers(r, v, rows)
		tabs = p.userTabs(r)
	} else {
		err = p.patchMachines(r, v, rows)
		tabs = p.machineTabs(r)
	}
	if err == nil {
		err = v.block(next, "tabs", "tabs", tabs)
	}
	if err != nil {
		return err
	}
	//guard:drop v.keys==nil "a list that has become empty is seen to be" TestLive
	if v.keys == nil && v.all || len(rows.HTML) > 0 || v.keys != nil && !slices.Equal(rows.Keys, v.keys) {
		next.Rows = rows
	}
	v.keys, v.all = rows.Keys, false
	return nil
}

func (p *Page) patchMachines(r *request, v *view, rows *rowsPatch) error {
	list, err := p.machines(r)
	if err != nil {
		return err
	}
	v.opened(list.Order)
	rows.Total = list.Len
	var wanted []*fleet.Machine
	for _, m := range list.Rows(r.from, v.rows) {
		rows.Keys = append(rows.Keys, m.Name)
		if v.wants(m.Name, m.Rev) {
			wanted = append(wanted, m)
		}
	}
	for _, row := range p.machineRows(r.ctx, &r.location, r.now, wanted) {
		if rows.HTML[row.Name], err = render("machine-row", row); err != nil {
			return err
		}
		v.sent(row.Name, row.Day.Known)
	}
	return nil
}

func (p *Page) patchUsers(r *request, v *view, rows *rowsPatch) error {
	list, err := p.users(r)
	if err != nil {
		return err
	}
	v.opened(list.Order)
	rows.Total = list.Len
	var wanted []*fleet.User
	for _, u := range list.Rows(r.from, v.rows) {
		rows.Keys = append(rows.Keys, u.Name)
		if v.wants(u.Name, u.Rev) {
			wanted = append(wanted, u)
		}
	}
	for _, row := range p.userRows(r.ctx, &r.location, r.fleet, wanted) {
		if rows.HTML[row.Name], err = render("user-row", row); err != nil {
			return err
		}
		v.sent(row.Name, row.Day.Known)
	}
	return nil
}

// opened decides whether a view that has just been opened has the rows in view: it has not
// if there are others since, or more of them.
func (v *view) opened(order uint64) {
	//guard:drop order "a row that comes into view has its content" TestLive
	if v.keys == nil && (order > v.since || v.rows > v.have) {
		v.all = true
	}
}

// wants reports whether a view lacks a row as it is.
func (v *view) wants(name string, rev uint64) bool {
	return v.all || rev > v.since || v.pending[name] || v.keys != nil && !slices.Contains(v.keys, name)
}

// sent notes whether a row was sent with its details.
func (v *view) sent(name string, known bool) {
	if known {
		delete(v.pending, name)
	} else {
		v.pending[name] = true
	}
}

// patchOne brings the page of a machine or a user up to date. A view that has just been
// opened gets it as a whole: what the history says may be newer than the page.
func (p *Page) patchOne(r *request, v *view, next *patch) error {
	build, template, users := buildMachine, "machine-content", v.page == "/users"
	if users {
		build, template = buildUser, "user-content"
	}
	rev := r.fleet.RevOf(v.name, users)
	r.head, r.pastOf = cmp.Or(v.head, r.head), v.lacks
	switch rest := onePause - time.Since(v.asked); {
	case rev == v.shown && time.Since(v.asked) < slowPause:
		return nil
	case rest > 0:
		v.again = time.Now().Add(rest)
		return nil
	}
	c, err := build(p, r)
	if err != nil {
		return err
	}
	v.asked, v.shown, v.head, v.lacks = time.Now(), rev, r.head, r.pastOf
	if c.Template == "find" {
		return nil // still unknown
	}
	if v.empty {
		next.Reload = true
		return nil
	}
	return v.block(next, "content", template, c.Data)
}

// patchService brings the page of the service up to date.
func (p *Page) patchService(r *request, v *view, next *patch) error {
	if rest := p.statusPause - time.Since(v.asked); rest > 0 {
		v.again = time.Now().Add(rest)
		return nil
	}
	v.asked = time.Now()
	c, err := buildService(p, r)
	if err != nil {
		return err
	}
	return v.block(next, "content", "service-content", c.Data)
}

// serveNames answers a search while it is typed, in JSON.
func (p *Page) serveNames(w http.ResponseWriter, req *http.Request) {
	ctx, cancel := context.WithTimeout(req.Context(), answerTime)
	defer cancel()
	r, err := p.request(ctx, req)
	var c *content
	if err == nil {
		c, err = buildFind(p, r)
	}
	if err != nil {
		http.Error(w, asSentence(err), statusOf(err))
		return
	}
	type name struct {
		Name string `json:"name"`
		URL  string `json:"url"`
		Kind string `json:"kind"`
	}
	const most = 8 // of each kind
	f := c.Data.(*findPage)
	names := []name{}
	for _, m := range f.Machines[:min(most, len(f.Machines))] {
		names = append(names, name{m.Name, m.URL, "machine"})
	}
	for _, u := range f.Users[:min(most, len(f.Users))] {
		names = append(names, name{u.Name, u.URL, "user"})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(names) // the client may have gone
}
