package ingest

import (
	"context"
	"testing"
	"time"

	"rollcall/internal/roster"
	"rollcall/internal/stream"
)

// TestAwaitStoredWaitsForJudging: the roster reaches a place before the letters up to
// it are queued. No snapshot may be committed in between.
func TestAwaitStoredWaitsForJudging(t *testing.T) {
	s := newSetup(t)
	s.store()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.letters.AwaitStored(ctx, 1); err == nil {
		t.Fatal("settled up to place 1 before anything was folded")
	}
	s.send(event("bad"))
	s.awaitStored()
	s.letter(1)
}

// TestPlaceAssignedTwice: a place that was assigned again after a crash, to a
// message of another stream, has the letters of both messages, each stored once
// however often it is read.
func TestPlaceAssignedTwice(t *testing.T) {
	s := newSetup(t)
	s.store()
	why := &roster.Refusal{Reason: roster.Malformed, Problem: "not JSON", Remedy: "send JSON"}
	for range 2 {
		for i, text := range []string{"first", "second"} {
			m := stream.Message{Msg: event(text), Sequence: 1, Place: 1, Receipt: receipt + roster.Time(i)}
			s.letters.Put(&m, why)
			s.letters.Judged(1)
			s.place = 1
			s.awaitStored()
		}
	}
	for subject, want := range map[string]string{"rollcall.deadletters.1": "first", "rollcall.deadletters.1.2": "second"} {
		if msg, err := s.stored.GetLastMsgForSubject(t.Context(), subject); err != nil || string(msg.Data) != want {
			t.Errorf("%s: %v, %v, want %s", subject, msg, err, want)
		}
	}
	if info, err := s.stored.Info(t.Context()); err != nil || info.State.Msgs != 2 {
		t.Errorf("%d letters stored, want 2 (%v)", info.State.Msgs, err)
	}
}
