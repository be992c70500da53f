package wire

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
	"unsafe"

	"rollcall/internal/roster"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

func TestNoAllocations(t *testing.T) {
	full := roster.Event{Date: realEvent.Date, Type: roster.Present, Machine: realEvent.Machine}
	for i := range fewEntries {
		full.Sessions = append(full.Sessions, roster.Session{User: "j.smith42", ID: fmt.Sprint("c", i), Since: 1e18, Terminal: "pts/0"})
	}
	d := NewDecoder(testSubjects(t))
	for _, want := range []roster.Event{realEvent, full} {
		for name, payload := range map[string][]byte{"json": AppendJSON(nil, &want), "protobuf": AppendProtobuf(nil, &want)} {
			for _, subject := range []string{"", "rollcall.events", realSubject} {
				var e roster.Event
				allocs := testing.AllocsPerRun(100, func() {
					if refusal := d.Decode(subject, "", payload, &e); refusal != nil {
						t.Fatal(refusal)
					}
				})
				if allocs != 0 {
					t.Errorf("%v in %s on %q: %v allocations, want none", want.Type, name, subject, allocs)
				}
			}
		}
	}
}

// TestEventsDoNotShareMemory: a batch is decoded before any of its events is
// folded, so the strings of an event must not be in memory that the next one
// reuses. Those without escapes are parts of the payload.
func TestEventsDoNotShareMemory(t *testing.T) {
	d := NewDecoder(testSubjects(t))
	events := make([]roster.Event, 100)
	payloads := make([]string, len(events))
	for i := range events {
		payloads[i] = with("machine", fmt.Sprintf(`"m%d"`, i), "user", fmt.Sprintf(`"\u0075%d"`, i))
		if refusal := d.Decode("", "", unsafe.Slice(unsafe.StringData(payloads[i]), len(payloads[i])), &events[i]); refusal != nil {
			t.Fatal(refusal)
		}
	}
	for i, e := range events {
		want := login(machine(fmt.Sprint("m", i)), user(fmt.Sprint("u", i)))
		sameEvent(t, &e, &want)
		payload := payloads[i]
		at := uintptr(unsafe.Pointer(unsafe.StringData(e.Machine))) - uintptr(unsafe.Pointer(unsafe.StringData(payload)))
		if at >= uintptr(len(payload)) {
			t.Errorf("machine of event %d is not a part of its payload", i)
		}
	}
}

// TestSessionsMemoryReused: the memory of sessions is reused unless it is large,
// and keeps no payload alive.
func TestSessionsMemoryReused(t *testing.T) {
	d := NewDecoder(testSubjects(t))
	var e roster.Event
	decode := func(payload string) {
		t.Helper()
		if refusal := d.Decode("", "", []byte(payload), &e); refusal != nil {
			t.Fatal(refusal)
		}
	}
	decode(present("[" + entries(100) + "]"))
	memory := unsafe.SliceData(e.Sessions)
	decode(present("[" + entries(50) + "]"))
	if len(e.Sessions) != 50 || unsafe.SliceData(e.Sessions) != memory {
		t.Errorf("%d sessions, want 50 in the same memory", len(e.Sessions))
	}
	for i, s := range e.Sessions[:cap(e.Sessions)][50:] {
		if s != (roster.Session{}) {
			t.Fatalf("%+v of the event before is left at %d", s, 50+i)
		}
	}
	decode(good)
	if unsafe.SliceData(e.Sessions) != memory || e.Sessions[:1][0] != (roster.Session{}) {
		t.Error("a login lost the memory of sessions, or left a session in it")
	}
	decode(with("sessions", "["+entries(5000)+"]"))
	if cap(e.Sessions) > keptSessions {
		t.Errorf("a login keeps memory for %d sessions, want at most %d", cap(e.Sessions), keptSessions)
	}
}

// TestManySessions: checking the largest list for duplicates takes linear time:
// comparing 16,000 entries pairwise would take seconds.
func TestManySessions(t *testing.T) {
	var list strings.Builder
	n := 0
	for ; list.Len() < 250<<10; n++ {
		fmt.Fprintf(&list, `,{"user":"%x"}`, n)
	}
	var e roster.Event
	payload := []byte(present("[" + list.String()[1:] + "]"))
	refusal := NewDecoder(testSubjects(t)).Decode("", "", payload, &e)
	if refusal != nil || len(e.Sessions) != n || e.Sessions[n-1].User != fmt.Sprintf("%x", n-1) {
		t.Fatalf("%d sessions and %v, want %d", len(e.Sessions), refusal, n)
	}
}

// TestAppendKeepsInvalid: an event that is not valid is refused after encoding,
// too: nothing is repaired.
func TestAppendKeepsInvalid(t *testing.T) {
	d := NewDecoder(testSubjects(t))
	for want, name := range map[roster.Reason]string{
		roster.Malformed: "l\xffne", roster.BadName: "lane\x00", roster.MissingField: "",
	} {
		e := login(user(name))
		for _, payload := range [][]byte{AppendJSON(nil, &e), AppendProtobuf(nil, &e)} {
			var got roster.Event
			if refusal := d.Decode("", "", payload, &got); refusal == nil || refusal.Reason != want {
				t.Errorf("%q: %v, want %s", payload, refusal, want)
			}
		}
	}
}

func TestAppendJSON(t *testing.T) {
	e := login(typed(roster.Present, roster.Session{User: `a"\` + "\x01é"}, roster.Session{User: "b", ID: "1", Since: 1_500_000_000}, roster.Session{}))
	want := `{"date":"2026-11-22T21:00:00Z","type":"present","machine":"m.example.com","sessions":[` +
		`{"user":"a\"\\\u0001é"},{"user":"b","session":"1","since":"1970-01-01T00:00:01.5Z"},{}]}`
	if got := string(AppendJSON([]byte("x"), &e)); got != "x"+want {
		t.Errorf("got  %s\nwant x%s", got, want)
	}
}

func TestCut(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "12345678": "12345678", "123456789": "12345…", "1234é67890": "1234…", "\U0001F600\U0001F600\U0001F600": "\U0001F600…",
		"\x80\x80\x80\x80\x80\x80\x80\x80\x80": "\x80…",
	} {
		if got := cut(text, 8); got != want || len(got) > 8 || utf8.ValidString(text) && !utf8.ValidString(got) {
			t.Errorf("cut(%q) is %q, want %q", text, got, want)
		}
	}
}

func TestOtherBaseSubject(t *testing.T) {
	subjects, err := rollcallv1.NewSubjects("ops.who-is")
	if err != nil {
		t.Fatal(err)
	}
	d := NewDecoder(subjects)
	var e roster.Event
	if refusal := d.Decode("ops.who-is.events.m.example.com", "", []byte(good), &e); refusal != nil {
		t.Error(refusal)
	}
	refusal := d.Decode("rollcall.events.m.example.com", "", []byte(good), &e)
	if refusal == nil || refusal.Reason != roster.Identity {
		t.Errorf("%v, want identity", refusal)
	}
}
