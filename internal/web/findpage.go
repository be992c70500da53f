package web

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"rollcall/internal/api"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// unknown is the page of a machine or user that the service does not know: names that
// are near, and, for a machine that there should be, what to do.
func (p *Page) unknown(r *request, err error) (*content, error) {
	if !isRefusal(err, rollcallv1.CodeNotFound) {
		return nil, err
	}
	c, findErr := p.find(r, r.name)
	if findErr != nil {
		return nil, err
	}
	found := c.Data.(*findPage)
	found.Unknown, found.Kind = r.name, strings.TrimPrefix(strings.TrimSuffix(r.page, "s"), "/")
	c.Title = "No " + found.Kind + " " + r.name
	if r.page == "/users" {
		c.Command = command("rollcall where -m", "", r.name)
	}
	found.Expected = r.page == "/machines" && p.Expected != nil && slices.Contains(p.Expected(), r.name)
	c.Status = 404
	return c, nil
}

// findPage is the data of the page of a search.
type findPage struct {
	*request
	Text            string
	Machines, Users []chip
	MoreMachines    bool
	MoreUsers       bool
	// Unknown is the name that was not found, Kind "machine" or "user"; empty: the page
	// is a search.
	Unknown, Kind string
	Expected      bool
}

// Enroll is the command that enrols the machine that was not found.
func (f *findPage) Enroll() string { return command("rollcall enroll", "", f.Unknown) }

// buildFind makes the page of a search. A name that only one machine or user has leads
// there.
func buildFind(p *Page, r *request) (*content, error) {
	c, err := p.find(r, strings.TrimSpace(r.filter))
	if err == nil {
		c.Redirect = c.Data.(*findPage).found()
	}
	return c, err
}

const shownFound = 50

// find searches names.
func (p *Page) find(r *request, text string) (*content, error) {
	page := &findPage{request: r, Text: text}
	c := &content{Title: "Search", Template: "find", Data: page, Command: "rollcall who"}
	if text == "" {
		return c, nil
	}
	c.Command = command("rollcall who -m", "", text)
	n := uint32(shownFound)
	a, err := one[api.FindAnswer](r.ctx, p, "find", api.FindRequest{Text: text, Limit: &n})
	if err != nil {
		return nil, err
	}
	page.MoreMachines, page.MoreUsers = a.MoreMachines, a.MoreUsers
	for _, name := range a.Machines {
		page.Machines = append(page.Machines, chip{Name: name, URL: r.to("/machines", name).URL()})
	}
	for _, name := range a.Users {
		page.Users = append(page.Users, chip{Name: name, URL: r.to("/users", name).URL()})
	}
	return c, nil
}

// found returns the URL of the one result that has the name that was searched for, if
// it has.
func (f *findPage) found() string {
	var exact []string
	for _, c := range slices.Concat(f.Machines, f.Users) {
		if strings.EqualFold(c.Name, f.Text) {
			exact = append(exact, c.URL)
		}
	}
	if len(exact) == 1 {
		return exact[0]
	}
	return ""
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
