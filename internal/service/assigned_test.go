package service

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/stream"
	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// TestAssignedPlaces: the greatest place that was assigned is that of the last report
// or of one of the last dead letters, which are stored in any order. Messages that are not
// rollcall's are ignored, and so is a missing stream.
func TestAssignedPlaces(t *testing.T) {
	s := kit.StartServer(t)
	js := kit.JetStream(t, kit.Conn(t, s.URL))
	subjects, err := rollcallv1.NewSubjects("a.base")
	if err != nil {
		t.Fatal(err)
	}
	g := &assignedPlaces{js.Conn(), jetstream.DefaultAPIPrefix, subjects, "REPORTS", "LETTERS", kit.Logger(t), stream.AssignedPlace{}}
	want := func(want uint64) {
		t.Helper()
		all, err := g.places(t.Context())
		var got uint64
		for _, a := range all {
			got = max(got, a.Place)
			receipt := time.Date(2020, 1, 21, 0, 0, 0, 1, time.UTC)
			if a.Place == 7 || a.Place == 50 { // a report has no receipt
				receipt = time.Unix(0, 0)
			}
			if a.Sequence != 3 || !a.Receipt.Time().Equal(receipt) || time.Since(a.Stored.Time()) > time.Hour {
				t.Errorf("%+v", a)
			}
		}
		if got != want || err != nil {
			t.Errorf("place %d, %v; want %d", got, err, want)
		}
	}
	publish := func(subject, payload string) {
		t.Helper()
		m := &nats.Msg{Subject: subject, Data: []byte(payload), Header: nats.Header{rollcallv1.HeaderSequence: {"3"}, rollcallv1.HeaderReceipt: {"2020-01-21T00:00:00.000000001Z"}}}
		if _, err := js.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	want(0) // no stream
	for name, subjects := range map[string][]string{"REPORTS": {"a.base.reports", "a.base.reports.>"}, "LETTERS": {"a.base.deadletters.>", "other.>"}} {
		if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: subjects, AllowDirect: true}); err != nil {
			t.Fatal(err)
		}
	}
	want(0) // nothing in them
	publish("a.base.reports", `{"report":"x","sequence":3,"place":7}`)
	publish("a.base.reports.2", `{"sequence":3,"place":70}`) // another page, of another time
	want(7)
	for _, place := range []int{12, 40, 39} {
		publish(fmt.Sprintf("a.base.deadletters.%d", place), "")
	}
	want(40)
	publish("a.base.deadletters.41.2", "")
	publish("a.base.deadletters.strange", "")
	publish("a.base.deadletters.99999999999999999999", "")
	publish("a.base.deadletters.9007199254740993", "") // 2^53 + 1
	publish("other.deadletters.1000", "")
	want(41)
	publish("a.base.reports", "no report")
	want(41)
	publish("a.base.reports", `{"sequence":3,"place":50}`)
	want(50)
}
