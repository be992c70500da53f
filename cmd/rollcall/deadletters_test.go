package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"rollcall/internal/client"
	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
	"rollcall/proto/rollcall/v1/rollcallpb"
)

// lettersOf starts a server whose stream of dead letters has these, and sets NATS_URL to
// it.
func lettersOf(t *testing.T, letters ...*nats.Msg) {
	t.Helper()
	s := kit.StartServer(t)
	kit.Environment(t, map[string]string{"NATS_URL": s.URL, "ROLLCALL_DEADLETTERS_STREAM": "LETTERS"})
	js := kit.JetStream(t, kit.Conn(t, s.URL))
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "LETTERS", Subjects: []string{"rollcall.deadletters.>", "other"}, AllowDirect: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range append([]*nats.Msg{nats.NewMsg("other")}, letters...) {
		if _, err := js.PublishMsg(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
}

// deadLetter is the letter of the message at a place.
func deadLetter(place int, reason, detail, subject, payload string) *nats.Msg {
	m := nats.NewMsg(fmt.Sprintf("rollcall.deadletters.%d", place))
	m.Data = []byte(payload)
	for key, value := range map[string]string{
		rollcallv1.HeaderReason: reason, rollcallv1.HeaderDetail: detail, rollcallv1.HeaderStream: "EVENTS",
		rollcallv1.HeaderSubject: subject, rollcallv1.HeaderSequence: fmt.Sprint(place),
		rollcallv1.HeaderReceipt: fmt.Sprintf("2026-11-22T21:00:%02d.5Z", place), rollcallv1.HeaderSize: fmt.Sprint(len(payload)),
	} {
		m.Header.Set(key, value)
	}
	return m
}

func TestDeadLetters(t *testing.T) {
	inProtobuf, err := proto.Marshal(&rollcallpb.Event{Machine: "web2"})
	if err != nil {
		t.Fatal(err)
	}
	again := deadLetter(4, "late", "date: more than 720h before the newest", "rollcall.events", "{}")
	again.Subject += ".2"
	strange := nats.NewMsg("rollcall.deadletters.strange")
	lettersOf(
		t,
		deadLetter(12, "bad_date", "date: missing: add when it happened: 2006-01-02T15:04:05.999Z, from 1970 to 2261", "rollcall.events.web1", "{}"),
		deadLetter(4, "malformed", "byte 0: no JSON and no protobuf: send an event", "rollcall.events", "\xff"),
		deadLetter(7, "identity", "subject and payload differ: send it to rollcall.events.web2", "rollcall.events.db1", string(inProtobuf)),
		deadLetter(9, "missing_field", "user: missing: give it", "rollcall.events", string(inProtobuf)),
		deadLetter(8, "bad_name", "user: a control character", "rollcall.events", `{"machine":"web1","user":"\u0007"}`),
		again,
		strange,
	)
	for name, args := range map[string]string{
		"deadletters":         "deadletters --utc",
		"deadletters.json":    "deadletters --output json",
		"deadletters-reason":  "deadletters --utc --reason late",
		"deadletters-machine": "deadletters --utc --machine web1",
		"deadletters-none":    "deadletters --machine nobody",
	} {
		if strings.Contains(name, ".") {
			golden(t, name, rollcall(t.Context(), nil, strings.Fields(args)...))
		} else {
			goldenViews(t, name, args)
		}
	}
	got := rollcall(t.Context(), nil, "deadletters", "--limit", "2", "--utc")
	if got.err != "rollcall: deadletters: printed the latest 2 of 7; --limit prints more\n" || !strings.HasPrefix(got.out, "9\t") ||
		!strings.Contains(got.out, "\n12\t") {
		t.Errorf("%+v", got)
	}
}

func TestNoDeadLetters(t *testing.T) {
	lettersOf(t)
	rollcall(t.Context(), nil, "deadletters").check(t, exitDone, "", "no dead letters\n")
	s := kit.StartServer(t)
	kit.Environment(t, map[string]string{"NATS_URL": s.URL})
	rollcall(t.Context(), nil, "deadletters").check(t, exitFailed, "",
		"rollcall: deadletters: no stream ROLLCALL_DEADLETTERS that allows direct gets: start \"rollcall serve\", which creates it, "+
			"or set ROLLCALL_DEADLETTERS_STREAM to its name (NATS_URL="+s.URL+")\n")
	for _, args := range []string{"--reason=none", "--limit=0", "--limit=x", "x"} {
		if r := rollcall(t.Context(), nil, "deadletters", args); r.code != exitUsage {
			t.Errorf("%s: %+v", args, r)
		}
	}
}

// Whatever the order, the letters kept are those with the greatest places.
func TestLatest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		places := rapid.SliceOf(rapid.Uint64Range(0, 50)).Draw(t, "places")
		l := latest{most: rapid.IntRange(1, 5).Draw(t, "most")}
		for _, place := range places {
			l.add(client.DeadLetter{Place: place})
		}
		var got []uint64
		for _, one := range l.inOrder() {
			got = append(got, one.Place)
		}
		want := slices.Sorted(slices.Values(places))
		if want = want[max(0, len(want)-l.most):]; !slices.Equal(got, want) || l.count != len(places) {
			t.Fatalf("got %v of %d, want %v of %d", got, l.count, want, len(places))
		}
	})
}
