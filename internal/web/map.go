package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"rollcall/internal/web/fleet"
)

// fleetMap is the map of all machines.
type fleetMap struct {
	Groups []mapGroup
	// Members is the revision of the map's shape, Each how many machines a tile is.
	Members uint64
	Each    int
	Silent  bool
	// Few are the machines by name, if there are so few that each has room.
	Few []machineRow
}

// mapGroup is one group of the map.
type mapGroup struct {
	Index int
	Name  string
	URL   string // empty: of the group that has the rest
	Tiles string
	Label string // for whoever cannot see the tiles
	fleet.Group
	Past bool
}

// fleetMap returns the map of all machines.
func (p *Page) fleetMap(r *request) *fleetMap {
	layout := r.fleet.Layout()
	r.asOf(layout.Rev)
	m := &fleetMap{Members: layout.Members, Each: layout.Each, Silent: !r.past()}
	if n := r.fleet.Totals().Machines; n <= maxNamed {
		for _, one := range r.fleet.Machines(&fleet.Selection{}).Rows(0, maxNamed) {
			m.Few = append(m.Few, r.named(one))
		}
		return m
	}
	for i := range layout.Groups {
		m.Groups = append(m.Groups, r.mapGroup(i, &layout.Groups[i]))
	}
	return m
}

// maxNamed is how many machines have room for their names on the map.
const maxNamed = 60

// named is a machine of the map with its name.
func (r *request) named(m *fleet.Machine) machineRow {
	row := machineRow{Name: m.Name, URL: r.to("/machines", m.Name).URL(), Silent: m.Silent, Users: len(m.Users)}
	for _, user := range m.Users[:min(chips, len(m.Users))] {
		row.Who = append(row.Who, chip{Name: user, URL: r.to("/users", user).URL()})
	}
	row.More = len(m.Users) - len(row.Who)
	return row
}

func (r *request) mapGroup(i int, g *fleet.Group) mapGroup {
	one := mapGroup{Index: i, Name: g.Name, Tiles: string(g.Tiles), Group: *g, Past: r.past()}
	switch {
	case g.Rest:
		one.Name = "other machines"
	case g.Name == "":
		one.Name = "without a domain"
	default:
		l := r.to("/machines", "")
		l.group = g.Name
		one.URL = l.URL()
	}
	one.Label = fmt.Sprintf("%s: %s of %s machines in use", one.Name, strconv.Itoa(g.Used), strconv.Itoa(g.Machines))
	if g.Silent > 0 {
		one.Label += fmt.Sprintf(", %d silent", g.Silent)
	}
	return one
}

// serveTile answers which machines a tile of the map stands for, in JSON.
func (p *Page) serveTile(w http.ResponseWriter, req *http.Request) {
	r, err := p.request(req.Context(), req)
	if err == nil {
		r.page = "/"
		err = p.open(r)
	}
	if err != nil {
		http.Error(w, asSentence(err), statusOf(err))
		return
	}
	q := req.URL.Query()
	group, errGroup := strconv.Atoi(q.Get("group"))
	index, errTile := strconv.Atoi(q.Get("tile"))
	if errGroup != nil || errTile != nil {
		http.Error(w, "The map has no such tile: give group, tile, and at if it is about the past.", http.StatusBadRequest)
		return
	}
	type machine struct {
		Name   string   `json:"name"`
		URL    string   `json:"url"`
		List   string   `json:"list"` // a list that begins with it
		Silent bool     `json:"silent"`
		Users  []string `json:"users"`
		More   int      `json:"more"`
	}
	var found []machine
	layout := r.fleet.Layout()
	names := layout.Names(group, index)
	list := r.listFrom(layout, group, index)
	for _, name := range names {
		if m := r.fleet.Machine(name); m != nil {
			n := min(len(m.Users), chips)
			found = append(found, machine{name, r.to("/machines", name).URL(), list, m.Silent, m.Users[:n], len(m.Users) - n})
		}
		if len(found) == 60 {
			break
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(found) // the client may have gone
}

// listFrom returns the URL of the list of a group from a tile on.
func (r *request) listFrom(layout *fleet.Layout, group, tile int) string {
	l := r.to("/machines", "")
	if g := layout.Groups; group >= 0 && group < len(g) && !g[group].Rest && g[group].Name != "" {
		l.group, l.from = g[group].Name, max(0, tile*layout.Each)
	}
	return l.URL()
}

// host is a machine's name without its domain.
func host(name string) string {
	first, _, _ := strings.Cut(name, ".")
	if first == "" {
		return name
	}
	return first
}
