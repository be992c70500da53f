package faults

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// oracle is the expected result of reading a stream, computed like the script that
// rollcall grew out of: sort the accepted events by date, fold them one by one.
type oracle struct {
	last    uint64            // the last message's sequence
	refused map[uint64]string // reasons by sequence
	report  string            // as "rollcall report" prints it
}

// readOracle reads the whole stream and computes its oracle.
func readOracle(t *testing.T, js jetstream.JetStream) *oracle {
	t.Helper()
	o := &oracle{refused: make(map[uint64]string)}
	var accepted []event
	newest := make(map[string]time.Time)
	for msg := range read(t, js, rollcallv1.DefaultEventsStream) {
		var e event
		if err := json.Unmarshal([]byte(msg.Headers().Get(headerMeaning)), &e); err != nil {
			t.Fatal(err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		o.last = meta.Sequence.Stream
		bad := msg.Headers().Get(headerBad)
		was, known := newest[e.Machine]
		switch {
		case bad != "":
		case e.Date.After(meta.Timestamp.Add(skew)):
			bad = "future"
		case known && e.Date.Before(was.Add(-lateness)):
			bad = "late"
		}
		if bad != "" {
			o.refused[o.last] = bad
			continue
		}
		if e.Date.After(was) {
			newest[e.Machine] = e.Date
		}
		accepted = append(accepted, e)
	}
	o.report = fold(accepted)
	return o
}

// fold returns the report after all events.
func fold(events []event) string {
	sort.SliceStable(events, func(i, j int) bool { return events[i].Date.Before(events[j].Date) })
	roster := make(map[string]map[stay]string) // machine → session → user
	for _, e := range events {
		if roster[e.Machine] == nil {
			roster[e.Machine] = make(map[stay]string)
		}
		sessions := roster[e.Machine]
		switch e.Type {
		case "login":
			sessions[name(e.User, e.Session)] = e.User
		case "logout":
			maps.DeleteFunc(sessions, func(s stay, user string) bool {
				return e.Session != "" && s.Session == e.Session || e.Session == "" && user == e.User
			})
		default:
			clear(sessions)
			for _, s := range e.Sessions {
				sessions[name(s.User, s.Session)] = s.User
			}
		}
	}
	var report strings.Builder
	for _, machine := range slices.Sorted(maps.Keys(roster)) {
		users := slices.Compact(slices.Sorted(maps.Values(roster[machine])))
		if len(users) > 0 {
			report.WriteString(machine + ": " + strings.Join(users, ", ") + "\n")
		}
	}
	return report.String()
}

// name returns the key of a session on its machine: its own name, or else its user's.
func name(user, session string) stay {
	if session != "" {
		return stay{Session: session}
	}
	return stay{User: user}
}

// read yields the messages that a stream has now, from the first one on. Creating the
// consumer is retried: a cluster may be electing a leader.
func read(t *testing.T, js jetstream.JetStream, stream string) func(func(jetstream.Msg) bool) {
	return func(yield func(jetstream.Msg) bool) {
		t.Helper()
		var consumer jetstream.Consumer
		kit.Eventually(t, func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			var err error
			consumer, err = js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{})
			return err == nil
		}, stream+" can be read")
		left := consumer.CachedInfo().NumPending
		if left == 0 {
			return
		}
		messages, err := consumer.Messages()
		if err != nil {
			t.Fatalf("reading %s: %v", stream, err)
		}
		defer messages.Stop()
		for ; left > 0; left-- {
			msg, err := messages.Next(jetstream.NextMaxWait(20 * time.Second))
			if err != nil {
				t.Fatalf("reading %s, with %d messages left: %v", stream, left, err)
			}
			if !yield(msg) {
				return
			}
		}
	}
}

// wantUndisturbed compares a rollcall that has gone through faults, or was started after
// them, with the oracle and with a rollcall that now reads the same stream undisturbed.
// It returns the end that both reach.
func wantUndisturbed(t *testing.T, p *process, url string) end {
	t.Helper()
	js := kit.JetStream(t, kit.Conn(t, url))
	o := readOracle(t, js)
	p.awaitPlace(o.last)
	digest, fates := p.digest(o.last), p.fates()
	kit.Eventually(t, func() bool { return p.report(url) == o.report },
		"the report equals the oracle's:\n"+o.report)
	wantFates(t, o, fates)
	dropped := p.metric("rollcall_dead_letters_dropped_total")
	wantLetters(t, js, o, dropped)
	for _, kind := range []string{"recreated", "restored"} {
		if n := p.metric(`rollcall_incarnations_total{kind="` + kind + `"}`); n != 0 {
			t.Errorf("the stream was found to be %s %d times, want 0", kind, n)
		}
	}
	plain := serve(t, t.TempDir(), url)
	plain.awaitPlace(o.last)
	undisturbed := end{o.last, plain.digest(o.last)}
	if digest != undisturbed.digest {
		t.Errorf("at place %d the state_digest is %s, undisturbed %s", o.last, digest, undisturbed.digest)
	}
	if want := plain.fates(); !maps.Equal(fates, want) {
		t.Errorf("the fates are %v, undisturbed %v", fates, want)
	}
	wantSameStays(t, p, plain, o.last)
	t.Logf("compared %d messages, %d of them refused; %d dead letters dropped", o.last, len(o.refused), dropped)
	return undisturbed
}

// end is the state after reading a stream.
type end struct {
	place  uint64
	digest string
}

// wantFates checks that every place has one fate, and that they are the oracle's.
func wantFates(t *testing.T, o *oracle, fates map[string]int) {
	t.Helper()
	accepted := fates["applied"] + fates["superseded"]
	if refused := len(o.refused); accepted+refused != int(o.last) || fates["dead_lettered"] != refused || fates["lost"] != 0 {
		t.Errorf("the fates are %v; want %d of %d messages refused", fates, refused, o.last)
	}
}

// wantLetters checks that each refused message has a dead letter, with its reason, that
// was stored exactly once. As many may be missing as rollcall counted as dropped: it drops
// some if very many are refused at once.
func wantLetters(t *testing.T, js jetstream.JetStream, o *oracle, dropped int) {
	t.Helper()
	refused := maps.Clone(o.refused)
	for msg := range read(t, js, rollcallv1.DefaultDeadLettersStream) {
		var seq uint64
		if err := json.Unmarshal([]byte(msg.Headers().Get(rollcallv1.HeaderSequence)), &seq); err != nil {
			t.Fatal(err)
		}
		reason := msg.Headers().Get(rollcallv1.HeaderReason)
		if want := refused[seq]; reason != want {
			t.Errorf("the dead letter of message %d has the reason %q, want %q", seq, reason, want)
		}
		delete(refused, seq)
	}
	if len(refused) != dropped {
		some := slices.Sorted(maps.Keys(refused))
		t.Errorf("%d refused messages have no dead letter, want %d, those that were dropped: %v", len(refused), dropped, some[:min(len(some), 20)])
	}
	// A dead letter stored twice replaces the first, but moves the last sequence.
	var stored uint64
	kit.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		stream, err := js.Stream(ctx, rollcallv1.DefaultDeadLettersStream)
		if err == nil {
			stored = stream.CachedInfo().State.LastSeq
		}
		return err == nil
	}, "the server returns the state of the stream of dead letters")
	if stored != uint64(len(o.refused)-dropped) {
		t.Errorf("%d dead letters were stored for %d refused messages, of which %d were dropped", stored, len(o.refused), dropped)
	}
}
