package web

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"hash/maphash"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

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

var seed = maphash.MakeSeed()

// encode returns a patch as JSON, in one line. It is read as JSON only, so that the HTML in
// it needs no escapes, of six bytes each.
func (p *patch) encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(p)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
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
	due := time.Since(v.slow) >= v.pause
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
	// Lists and the map are not made again at each change, so what was sent may be older than
	// the fleet: look again after a pause.
	if v.since = r.rev; r.rev < newest && v.again.IsZero() {
		v.again = time.Now().Add(2 * patchPause)
	}
	v.wake(v.slow.Add(v.pause))
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
	wait := v.pause
	switch {
	case rev != v.shown:
		wait = onePause
	//guard:false "what was over before it was published is not shown on" TestOverAtOnce
	case v.differs > 0:
		wait = v.patience()
	}
	if rest := wait - time.Since(v.asked); rest > 0 {
		v.wake(time.Now().Add(rest))
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
	v.compare(c.Data.(*onePage), r.fleet, users)
	return v.block(next, "content", template, c.Data)
}

// compare notes whether a page differs from the fleet. It may be ahead of it; but it may
// also show a login whose logout came so soon that neither is published.
func (v *view) compare(page *onePage, f *fleet.Fleet, users bool) {
	var known []string
	if users {
		_, known = f.User(v.name, maxStays)
	} else if m := f.Machine(v.name); m != nil {
		known = m.Users
	}
	if slices.Equal(page.on, known) {
		v.differs = 0
		return
	}
	v.again = v.asked.Add(v.patience())
	v.differs++
}

// patience is how long a view that differs from the fleet is left alone: longer each time.
func (v *view) patience() time.Duration { return min(onePause<<min(v.differs, 8), slowPause) }

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
