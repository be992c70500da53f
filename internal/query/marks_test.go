package query

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"rollcall/internal/api"
	"rollcall/internal/client"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// reboots are shutdowns and boots of some machines, in turns, an hour apart, and each is
// told twice.
func reboots(n int, machines ...string) (events []roster.Event, marks []api.Mark) {
	for i := range n {
		e := dated(0, roster.Event{Type: roster.Boot, Machine: machines[i%len(machines)]})
		e.Date = roster.TimeOf(hour(i))
		if i%3 == 1 {
			e.Type = roster.Shutdown
		}
		events = append(events, e, e)
		marks = append(marks, api.Mark{Machine: e.Machine, Time: hour(i), Kind: e.Type.String()})
	}
	return events, marks
}

// TestMarks: a history has the boots and shutdowns of the machines asked about, within its
// time and in its order, on its first page, if they are asked for.
func TestMarks(t *testing.T) {
	events, all := reboots(40, "web1", "web2", "db1")
	for i := range 10 {
		events = append(events, dated(50, kit.Login("web1", fmt.Sprint("user", i))))
	}
	m := remember(t, events)
	for _, request := range []api.HistoryRequest{
		{Machine: "web1"},
		{Machine: "web1", Order: api.Oldest},
		{Machine: "web1", User: "user1", Open: true},
		{Names: []string{"db1", "web1", "db1", "none"}},
		{Names: []string{"db1", "web1"}, Machines: "web*"},
		{Names: []string{"db1", "web1"}, Machines: "B1", Parts: true},
		{Machine: "web1", Names: []string{"web2"}},
		{Names: []string{"web1", "web2", "db1"}, From: momentAt(7).At, To: momentAt(19).At},
		{Names: []string{"web1", "web2", "db1"}, From: momentAt(7).At, To: momentAt(7).At, Order: api.Oldest},
		{Machine: "db1", From: momentAt(41).At},
		{Machine: "web1", Limit: new(uint32(3))},
	} {
		wanted := func(k api.Mark) bool {
			return (request.Machine == "" || request.Machine == k.Machine) && (request.Names == nil || slices.Contains(request.Names, k.Machine)) &&
				(request.Machines == "" || api.Matches(request.Machines, k.Machine) || request.Parts && strings.Contains(k.Machine, "b1")) &&
				(request.From == "" || k.Time.Format(time.RFC3339) >= request.From) && (request.To == "" || k.Time.Format(time.RFC3339) <= request.To)
		}
		var want []api.Mark
		for _, k := range all {
			if wanted(k) {
				want = append(want, k)
			}
		}
		if request.Order != api.Oldest {
			slices.Reverse(want)
		}
		for _, asked := range []bool{true, false} {
			request.Marks = asked
			for i, page := range pagesOf[api.HistoryAnswer](t, m.nc, "history", request) {
				if !asked || i > 0 {
					want = nil
				}
				if !slices.Equal(page.Marks, want) || page.MoreMarks {
					t.Errorf("%+v, page %d: more %t, got\n%+v\nwant\n%+v", request, i, page.MoreMarks, page.Marks, want)
				}
			}
		}
	}
	for _, request := range []api.HistoryRequest{{Marks: true}, {Marks: true, Machines: "web1"}, {Marks: true, User: "user1"}, {Marks: true, Names: []string{}}} {
		m.wantCode(t, "history", request, rollcallv1.CodeBadRequest, "marks: set machine or names")
	}
}

// TestMarksCursor: a cursor goes on with the question that it is of, with or without marks.
func TestMarksCursor(t *testing.T) {
	m := remember(t, []roster.Event{dated(1, kit.Login("web1", "lane")), dated(2, kit.Login("web1", "chris"))})
	for _, marks := range []bool{true, false} {
		request := api.HistoryRequest{Machine: "web1", Marks: marks, Limit: new(uint32(1))}
		data, err := client.One(t.Context(), m.nc, subjects.Query("history"), request)
		if err != nil {
			t.Fatal(err)
		}
		page, err := api.Decode[api.HistoryAnswer](data)
		if err != nil || page.Cursor == "" {
			t.Fatalf("%+v, %v", page, err)
		}
		request.Cursor, request.Marks = page.Cursor, !marks
		m.wantCode(t, "history", request, rollcallv1.CodeBadRequest, "cursor: belongs to another question")
	}
}

// TestManyMarks: an answer has the newest 1000 boots, in either order, and says that there
// are more.
func TestManyMarks(t *testing.T) {
	events, all := reboots(mostMarks+200, "web1", "web2")
	m := remember(t, events)
	for names, want := range map[string][]api.Mark{
		"web1 web2": all[200:],
		"web1":      slices.DeleteFunc(slices.Clone(all), func(k api.Mark) bool { return k.Machine != "web1" }),
	} {
		for _, order := range []string{api.Oldest, api.Newest} {
			if order == api.Newest {
				slices.Reverse(want)
			}
			a := one[api.HistoryAnswer](t, m, "history", api.HistoryRequest{Names: strings.Fields(names), Order: order, Marks: true})
			if !slices.Equal(a.Marks, want) || a.MoreMarks != (len(want) == mostMarks) {
				t.Errorf("%s, %s first: %d marks, more %t", names, order, len(a.Marks), a.MoreMarks)
			}
		}
	}
}

// TestMarksInAMessage: boots take a part of a message, the newest of them, and leave room
// for sessions.
func TestMarksInAMessage(t *testing.T) {
	machine := "m" + strings.Repeat("x", 50)
	events, all := reboots(200, machine)
	for i := range 100 {
		events = append(events, dated(300, detailed(machine, fmt.Sprint("user", i), fmt.Sprint(i))))
	}
	m := remember(t, events, func(o *server.Options) { o.MaxPayload = 4 << 10 })
	sessions := 0
	for i, page := range pagesOf[api.HistoryAnswer](t, m.nc, "history", api.HistoryRequest{Machine: machine, Marks: true, Order: api.Oldest}) {
		sessions += len(page.Sessions)
		n := len(page.Marks)
		if (i == 0) != (n > 0) || n > 9 || page.MoreMarks != (n > 0) || !slices.Equal(page.Marks, all[len(all)-n:]) || len(page.Sessions) == 0 {
			t.Errorf("page %d: %d marks, more %t, %d sessions", i, n, page.MoreMarks, len(page.Sessions))
		}
	}
	if sessions != 100 {
		t.Errorf("%d sessions", sessions)
	}
}
