package wire

import (
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"rollcall/internal/roster"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// seed adds a payload, unless it is so long that mutating it takes long.
func seed(f *testing.F, payload string) {
	if len(payload) < 4<<10 {
		f.Add([]byte(payload))
	}
}

func FuzzJSON(f *testing.F) {
	for _, c := range refusedJSON {
		seed(f, c.payload)
	}
	for _, c := range acceptedJSON {
		seed(f, c.payload)
	}
	d := NewDecoder(testSubjects(f))
	f.Fuzz(func(t *testing.T, payload []byte) {
		plain := plainJSON(payload, eventKeys)
		agree(t, d, rollcallv1.ContentTypeJSON, payload, &plain)
	})
}

func FuzzProtobuf(f *testing.F) {
	for _, c := range refusedProtobuf {
		seed(f, c.payload)
	}
	for _, c := range acceptedJSON {
		seed(f, string(AppendProtobuf(nil, &c.event)))
	}
	d := NewDecoder(testSubjects(f))
	f.Fuzz(func(t *testing.T, payload []byte) {
		plain := plainProtobuf(payload)
		agree(t, d, rollcallv1.ContentTypeProtobuf, payload, &plain)
	})
}

// agree decodes a payload, compares the result with the oracle, and checks that an
// accepted event survives both encodings.
func agree(t *testing.T, d *Decoder, contentType string, payload []byte, plain *plainEvent) {
	t.Helper()
	before := string(payload)
	wantReason, want := plain.verdict()
	if len(payload) > rollcallv1.MaxPayload {
		wantReason = roster.Oversize
	}
	var e roster.Event
	refusal := d.Decode("", contentType, payload, &e)
	if string(payload) != before {
		t.Fatal("the payload was changed")
	}
	if refusal != nil {
		checkPrintable(t, refusal)
		if refusal.Reason != wantReason {
			t.Fatalf("refused: %v; want %q", refusal, wantReason)
		}
		return
	}
	if wantReason != "" {
		t.Fatalf("accepted %+v; want %s", e, wantReason)
	}
	sameEvent(t, &e, &want)
	roundTrip(t, d, rollcallv1.ContentTypeJSON, AppendJSON(nil, &e), &e)
	roundTrip(t, d, rollcallv1.ContentTypeProtobuf, AppendProtobuf(nil, &e), &e)
}

// roundTrip decodes an encoded event and compares it with the event, unless the
// encoding is too long.
func roundTrip(t *testing.T, d *Decoder, contentType string, encoded []byte, want *roster.Event) {
	t.Helper()
	if len(encoded) > rollcallv1.MaxPayload {
		return
	}
	var e roster.Event
	if refusal := d.Decode("", contentType, encoded, &e); refusal != nil {
		t.Fatalf("%s %q refused: %v", contentType, encoded, refusal)
	}
	sameEvent(t, &e, want)
}

// sameEvent compares events; an empty list of sessions equals none.
func sameEvent(t *testing.T, got, want *roster.Event) {
	t.Helper()
	g, w := *got, *want
	if len(g.Sessions) == 0 && len(w.Sessions) == 0 {
		g.Sessions, w.Sessions = nil, nil
	}
	if !reflect.DeepEqual(g, w) {
		t.Fatalf("event:\n%+v\nwant:\n%+v", g, w)
	}
}

// checkPrintable checks that a refusal fits a header and prints on one line.
func checkPrintable(t *testing.T, r *roster.Refusal) {
	t.Helper()
	if r.Problem == "" || r.Remedy == "" {
		t.Errorf("refusal without problem or remedy: %#v", r)
	}
	if len(r.Problem) > maxProblem || len(r.Remedy) > maxProblem {
		t.Errorf("refusal of %d and %d bytes: %v", len(r.Problem), len(r.Remedy), r)
	}
	for _, s := range []string{r.Problem, r.Remedy} {
		if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("refusal does not print on one line: %q", s)
		}
	}
}

// hasKnownNumber reports whether one of the fields that the generated code did not
// know has a number up to the greatest known: then it had another wire type.
func hasKnownNumber(unknown []byte, greatest protowire.Number) bool {
	for len(unknown) > 0 {
		number, _, n := protowire.ConsumeField(unknown)
		if number <= greatest {
			return true
		}
		unknown = unknown[n:]
	}
	return false
}
