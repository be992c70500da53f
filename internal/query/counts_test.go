package query

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"rollcall/internal/api"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// countsOf returns the lines of an answer: the hour, users, machines and sessions.
func countsOf(a *api.CountsAnswer) (lines []string) {
	for _, c := range a.Counts {
		lines = append(lines, fmt.Sprint(c.Time.Sub(hour(0)).Hours(), " ", c.Users, c.Machines, c.Sessions))
	}
	return lines
}

func TestCounts(t *testing.T) {
	other := kit.Login("web1", "lane")
	other.Session.ID = "c7"
	m := remember(t, []roster.Event{
		dated(1, kit.Login("web1", "lane")), dated(2, kit.Login("db1", "lane")), dated(2, other),
		dated(3, kit.Login("web1", "chris")), dated(5, roster.Event{Type: roster.Boot, Machine: "web1"}),
	})
	at := func(n int) string { return momentAt(n).At }
	for _, test := range []struct {
		request api.CountsRequest
		want    []string
	}{
		{api.CountsRequest{From: at(0), To: at(6), Step: "1h"}, []string{"0 0 0 0", "1 1 1 1", "2 1 2 3", "3 2 2 4", "4 2 2 4", "5 1 1 1", "6 1 1 1"}},
		{api.CountsRequest{From: at(1), To: at(4), Step: "2h"}, []string{"2 1 2 3", "4 2 2 4"}},
		{api.CountsRequest{From: at(1), To: at(3), Step: "24h"}, nil},
		{api.CountsRequest{From: at(2), To: at(2), Step: "1s"}, []string{"2 1 2 3"}},
		{api.CountsRequest{To: at(24), Step: "12h"}, []string{"0 0 0 0", "12 1 1 1", "24 1 1 1"}},
	} {
		a := one[api.CountsAnswer](t, m, "counts", test.request)
		if got := countsOf(&a); !slices.Equal(got, test.want) || !a.Complete || a.Past.Future || a.Place != 5 {
			t.Errorf("%+v: %q, want %q: %+v, %+v", test.request, got, test.want, a.Head, a.Past)
		}
	}
	now := time.Now()
	for _, request := range []api.CountsRequest{{}, {To: now.Add(time.Hour).Format(time.RFC3339)}, {From: now.Add(time.Hour).Format(time.RFC3339)}} {
		a := one[api.CountsAnswer](t, m, "counts", request)
		n, future := len(a.Counts), request != api.CountsRequest{}
		if p := a.Past; p.Future != future || p.At.Before(now) || p.At.After(time.Now()) {
			t.Errorf("%+v: %+v", request, p)
		}
		if n != 288 && n != 289 && request.From == "" || n != 0 && request.From != "" {
			t.Errorf("%+v: %d counts", request, n)
		}
		if n > 0 && (a.Counts[n-1].Time.After(a.Past.At) || a.Counts[n-1].Sessions != 1) {
			t.Errorf("%+v: the last is %+v", request, a.Counts[n-1])
		}
	}
	for field, request := range map[string]api.CountsRequest{
		"from: want a time": {From: "yesterday"},
		"to: want a time":   {To: "2020-01-21"},
		"from: 2020-01-21T02:00:00Z is after to, 2020-01-21T01:00:00Z":                                                   {From: at(2), To: at(1)},
		"step: want a number with a unit":                                                                                {Step: "5"},
		"step: want a number with a unit, such as 30s or 1h30m":                                                          {Step: "999ms"},
		"step: want a number with a unit, such as":                                                                       {Step: "-1h"},
		"step: 1s from 2020-01-21T01:00:00Z to 2020-01-21T02:00:00Z makes 3601 moments, at most 2000 can be asked about": {From: at(1), To: at(2), Step: "1s"},
	} {
		m.wantCode(t, "counts", request, rollcallv1.CodeBadRequest, field)
	}
}

// TestCountsFit: an answer has no more counts than fit in a message.
func TestCountsFit(t *testing.T) {
	m := remember(t, []roster.Event{dated(1, kit.Login("web1", "lane"))}, func(o *server.Options) { o.MaxPayload = 8 << 10 })
	request := api.CountsRequest{From: hour(1).Format(time.RFC3339), To: hour(1).Add(39 * time.Second).Format(time.RFC3339), Step: "1s"}
	m.wantCode(t, "counts", request, rollcallv1.CodeBadRequest, "makes 40 moments, at most 39")
	request.To = hour(1).Add(38 * time.Second).Format(time.RFC3339)
	if a := one[api.CountsAnswer](t, m, "counts", request); len(a.Counts) != 39 {
		t.Errorf("%d counts", len(a.Counts))
	}
}

// TestCountsLack: an answer says what it lacks.
func TestCountsLack(t *testing.T) {
	m := remember(t, []roster.Event{dated(100, kit.Login("web1", "lane"))})
	m.foldAfter(3, roster.Deleted, dated(1000, kit.Login("web1", "chris")))
	request := api.CountsRequest{From: hour(990).Format(time.RFC3339), To: hour(1001).Format(time.RFC3339), Step: "10h"}
	a := one[api.CountsAnswer](t, m, "counts", request)
	if a.Complete || !slices.Equal(a.Reasons, []string{"deleted"}) || a.Past.MachinesIncomplete != 1 || len(a.Past.Gaps) != 1 {
		t.Errorf("%+v, %+v", a.Head, a.Past)
	}
}
