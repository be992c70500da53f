package api

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

func TestDecodeRefuses(t *testing.T) {
	const good = `{"report":"r","when":"2026-11-22T21:00:00Z","stream":"S","sequence":6,"place":6,"complete":true,"reasons":[],"machines":[{"machine":"m","heard":"2026-11-22T21:00:00Z","users":[]}]}`
	if _, err := DecodeReport([]byte(good)); err != nil {
		t.Fatal(err)
	}
	newer := strings.Replace(good, `{"report"`, `{"new":[1],"report"`, 1)
	if _, err := DecodeReport([]byte(newer)); err != nil {
		t.Errorf("a key of a newer service: %v", err)
	}
	for name, bad := range map[string][2]string{
		"no report":       {`"report":"r",`, ``},
		"no when":         {`"when":"2026-11-22T21:00:00Z",`, ``},
		"no stream":       {`"stream":"S",`, ``},
		"no reasons":      {`"reasons":[],`, ``},
		"null machines":   {`"machines":[{"machine":"m","heard":"2026-11-22T21:00:00Z","users":[]}]`, `"machines":null`},
		"nameless":        {`"machine":"m",`, ``},
		"not heard":       {`"heard":"2026-11-22T21:00:00Z",`, ``},
		"no users":        {`"users":[]`, `"users":null`},
		"twice":           {`"place":6`, `"place":6,"place":6`},
		"number as text":  {`"place":6`, `"place":"6"`},
		"negative":        {`"place":6`, `"place":-6`},
		"bad date":        {`"when":"2026-11-22T21:00:00Z"`, `"when":"yesterday"`},
		"something after": {`]}]}`, `]}]}{}`},
		"cut off":         {`"users":[]}]}`, `"users":[`},
		"user not text":   {`"users":[]`, `"users":[1]`},
	} {
		data := strings.Replace(good, bad[0], bad[1], 1)
		if data == good {
			t.Fatalf("%s: nothing replaced", name)
		}
		if r, err := DecodeReport([]byte(data)); err == nil {
			t.Errorf("%s: read as %+v", name, r)
		}
	}
}

func TestJoin(t *testing.T) {
	a := Report{ID: "1", Place: 5, Complete: true, Reasons: []string{}, Cursor: "x", Machines: []Machine{
		{Name: "a", Users: []string{"k"}}, {Name: "b", Users: []string{"k", "l"}},
	}}
	b := Report{ID: "2", Place: 7, Reasons: []string{"gap"}, Machines: []Machine{
		{Name: "b", Heard: at, Users: []string{"m"}}, {Name: "c", Users: []string{}},
	}}
	got, err := Join(all(a, b))
	want := Report{ID: "1", Place: 5, Reasons: []string{"gap"}, Machines: []Machine{
		{Name: "a", Users: []string{"k"}}, {Name: "b", Heard: at, Users: []string{"k", "l", "m"}}, {Name: "c", Users: []string{}},
	}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if _, err := Join(all()); err == nil {
		t.Error("no pages are a report")
	}
	if _, err := Join(func(yield func(Report, error) bool) { yield(Report{}, os.ErrClosed) }); err != os.ErrClosed {
		t.Errorf("got %v, want the page's error", err)
	}
}
