package report

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"rollcall/internal/api"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// paged divides machines into pages and reads them back.
func paged(t interface {
	Helper()
	Fatalf(string, ...any)
}, head api.Report, machines []api.Machine, capacity int,
) []api.Report {
	t.Helper()
	p := newPages(&head, capacity, nil)
	for _, m := range machines {
		p.add(&Row{Name: m.Name, Heard: roster.TimeOf(m.Heard), Silent: m.Silent, Changed: m.Changed, Users: m.Users})
	}
	var read []api.Report
	for n, message := range p.messages(head) {
		if size := len(p.page(n)); size > capacity {
			t.Fatalf("page %d has %d bytes of machines, capacity is %d", n, size, capacity)
		}
		r, err := api.DecodeReport(message)
		if err != nil {
			t.Fatalf("page %d: %v", n, err)
		}
		if r.Page != n || r.Pages != p.count() {
			t.Fatalf("page %d of %d says it's %d of %d", n, p.count(), r.Page, r.Pages)
		}
		read = append(read, r)
	}
	slices.Reverse(read)
	return read
}

func TestPagesJoined(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyReport(t)
		want.Page, want.Pages, want.Cursor = 0, 0, ""
		// The capacity of one machine with one user, each of the longest names.
		capacity := rapid.IntRange(1200, 4000).Draw(t, "capacity")
		got, err := api.Join(all(paged(t, want, want.Machines, capacity)...))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, %v; want %+v", got, err, want)
		}
	})
}

func TestMachineLargerThanPages(t *testing.T) {
	var users []string
	for i := range 10_000 {
		users = append(users, fmt.Sprintf("%05d-%s", i, strings.Repeat("x", i%200)))
	}
	want := api.Report{ID: "id", When: kit.At, Stream: "S", Complete: true, Reasons: []string{}, Machines: []api.Machine{
		{Name: "before", Heard: kit.At, Users: []string{"a"}},
		{Name: "big", Heard: kit.At, Users: users},
		{Name: "late", Heard: kit.At, Users: []string{"z"}},
	}}
	reports := paged(t, want, want.Machines, 50_000)
	if len(reports) < 20 {
		t.Fatalf("%d pages", len(reports))
	}
	got, err := api.Join(all(reports...))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("joined pages differ (%v)", err)
	}
	last := reports[len(reports)-1]
	if n := len(last.Machines); n != 2 || last.Machines[n-1].Name != "late" {
		t.Errorf("the last page has %d machines, want more after the big machine", n)
	}
}

func TestNobody(t *testing.T) {
	head := api.Report{ID: "id", When: kit.At, Stream: "S", Complete: true, Reasons: []string{}}
	reports := paged(t, head, nil, 2000)
	if len(reports) != 1 || len(reports[0].Machines) != 0 {
		t.Errorf("got %+v, want one page without machines", reports)
	}
}

// content returns the hash of a report.
func content(r api.Report, capacity int) string {
	p := newPages(&r, capacity, nil)
	for _, m := range r.Machines {
		p.add(&Row{Name: m.Name, Heard: roster.TimeOf(m.Heard), Silent: m.Silent, Changed: m.Changed, Users: m.Users})
	}
	return string(p.content.Sum(nil))
}

func TestContent(t *testing.T) {
	one := func() api.Report {
		return api.Report{
			ID: "id", When: kit.At, Stream: "S", Sequence: 1, Place: 2, Reasons: []string{"gap"},
			Machines: []api.Machine{{Name: "a", Heard: kit.At, Users: []string{"x", "yz"}}, {Name: "b", Heard: kit.At}},
		}
	}
	same := map[string]func(*api.Report){
		"report":   func(r *api.Report) { r.ID = "other" },
		"when":     func(r *api.Report) { r.When = kit.At.Add(1) },
		"sequence": func(r *api.Report) { r.Sequence++ },
		"place":    func(r *api.Report) { r.Place++ },
		"heard":    func(r *api.Report) { r.Machines[1].Heard = kit.At.Add(1) },
	}
	other := map[string]func(*api.Report){
		"stream":        func(r *api.Report) { r.Stream = "T" },
		"reasons":       func(r *api.Report) { r.Reasons = nil },
		"reason":        func(r *api.Report) { r.Reasons = []string{"limit"} },
		"user":          func(r *api.Report) { r.Machines[0].Users[1] = "z" },
		"users":         func(r *api.Report) { r.Machines[0].Users = []string{"xyz"} },
		"other users":   func(r *api.Report) { r.Machines[0].Users = []string{"xy", "z"} },
		"nobody":        func(r *api.Report) { r.Machines[0].Users = nil },
		"machine":       func(r *api.Report) { r.Machines[1].Name = "c" },
		"silent":        func(r *api.Report) { r.Machines[0].Silent = true },
		"changed":       func(r *api.Report) { r.Machines[0].Changed = kit.At },
		"changed later": func(r *api.Report) { r.Machines[0].Changed = kit.At.Add(1) },
		"machine gone":  func(r *api.Report) { r.Machines = r.Machines[:1] },
	}
	want := content(one(), 2000)
	for name, change := range same {
		r := one()
		if change(&r); content(r, 2000) != want {
			t.Errorf("%s changes the content", name)
		}
	}
	for name, change := range other {
		r := one()
		if change(&r); content(r, 2000) == want {
			t.Errorf("%s doesn't change the content", name)
		}
	}
}

func TestContentDoesNotDependOnPages(t *testing.T) {
	var users []string
	for i := range 1000 {
		users = append(users, fmt.Sprint(i))
	}
	r := api.Report{Machines: []api.Machine{{Name: "a", Heard: kit.At, Users: users}, {Name: "b", Heard: kit.At}}}
	if content(r, 1200) != content(r, 1<<20) {
		t.Error("the content depends on the pages")
	}
}

func TestPageCapacity(t *testing.T) {
	for _, tt := range []struct {
		payload int64
		head    int
		ok      bool
	}{
		{1 << 20, 300, true},
		{minPayload, 300, true},
		{minPayload - 1, 300, false},
		{0, 300, false}, // never connected
		{minPayload, 3000, false},
	} {
		if capacity, err := PageCapacity(tt.payload, tt.head); (err == nil) != tt.ok {
			t.Errorf("payload %d, head %d: capacity %d, error %v", tt.payload, tt.head, capacity, err)
		}
	}
}
