package query

import (
	"reflect"
	"testing"
	"time"

	"rollcall/internal/api"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

func TestStatus(t *testing.T) {
	r := kit.Seed()
	end := r.Status().Position
	end.Place += 2
	r.Fold(&roster.Batch{End: end, Missing: roster.Gap})
	kit.Feed(r, kit.Login("a", "lane"))
	s := source(r)
	s.SilentAfter = time.Hour // today is long after
	nc := serve(t, s)
	got := pagesOf[api.StatusAnswer](t, nc, "status", api.StatusRequest{})
	now := r.Status()
	want := []api.StatusAnswer{{
		Head: api.Head{
			When: got[0].When, Stream: "ROLLCALL_EVENTS", Sequence: 9, Place: 9, Reasons: []string{"gap"},
			Unsettled: 4, SettlesAfter: timeOf(now.SettlesAfter()), CompleteAfter: now.CompleteAfter.Time(),
		},
		Version: "v1.2.3", CaughtUp: true, AcceptLoss: 8, Machines: 4, Silent: 4, Users: 1, OnSeveral: 1, Sessions: 2,
		Fates: got[0].Fates, Limits: limitsOf(r.Settings()),
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	f := got[0].Fates
	if st := r.Status(); f != (api.Fates{Applied: st.Fates[roster.Applied], Superseded: st.Fates[roster.Superseded], DeadLettered: st.Fates[roster.DeadLettered], Lost: 2}) ||
		f.Applied+f.Superseded+f.DeadLettered+f.Lost != 9 {
		t.Errorf("fates %+v", f)
	}
}

// TestStatusBeforeCaughtUp: the status is answered even when the service isn't
// ready.
func TestStatusBeforeCaughtUp(t *testing.T) {
	s := source(kit.Seed())
	s.CaughtUp = func() bool { return false }
	nc := serve(t, s)
	got := pagesOf[api.StatusAnswer](t, nc, "status", api.StatusRequest{})[0]
	if got.CaughtUp || got.Complete || !reflect.DeepEqual(got.Reasons, []string{"replaying"}) {
		t.Errorf("got %+v", got)
	}
}

// TestStatusWhileStale: while the state of the stream is unknown, there is no lag in
// the status, but the failing checks are.
func TestStatusWhileStale(t *testing.T) {
	s := source(kit.Seed())
	stale := true
	s.Stale = func() bool { return stale }
	service := New(Config{Source: s, Lag: func() uint64 { return 3 }, Checks: func() []api.Check { return []api.Check{{Name: "nats", State: "away"}} }})
	got := func() (a api.StatusAnswer) {
		t.Helper()
		page, err := service.status(t.Context(), new(statusRequest))
		if err == nil {
			a, err = api.Decode[api.StatusAnswer](page)
		}
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := got(); a.CaughtUp || a.Complete || a.Lag != nil || !reflect.DeepEqual(a.Reasons, []string{"stale"}) ||
		!reflect.DeepEqual(a.Failing, []api.Check{{Name: "nats", State: "away"}}) {
		t.Errorf("got %+v", a)
	}
	stale = false
	if a := got(); !a.CaughtUp || !a.Complete || a.Lag == nil || *a.Lag != 3 {
		t.Errorf("got %+v", a)
	}
}
