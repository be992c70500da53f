package wire

import (
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall/internal/roster"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// bytesField is a field of a message: a string or a message.
func bytesField(number protowire.Number, parts ...string) string {
	return string(protowire.AppendString(protowire.AppendTag(nil, number, protowire.BytesType), strings.Join(parts, "")))
}

// numberField is a field of a message: a number or an enum's value.
func numberField(number protowire.Number, value uint64) string {
	return string(protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), value))
}

func group(number protowire.Number, inner string) string {
	return string(protowire.AppendTag(nil, number, protowire.StartGroupType)) + inner +
		string(protowire.AppendTag(nil, number, protowire.EndGroupType))
}

var (
	pbDate    = bytesField(1, numberField(1, 1_795_381_200))
	pbLogin   = numberField(2, 1)
	pbLogout  = numberField(2, 2)
	pbBoot    = numberField(2, 3)
	pbPresent = numberField(2, 5)
	pbMachine = bytesField(3, "m.example.com")
	pbUser    = bytesField(4, "lane")
	pbGood    = pbDate + pbLogin + pbMachine + pbUser
	pbOn      = pbDate + pbPresent + pbMachine // a present without sessions
)

const (
	minusOne = math.MaxUint64
	saysPB   = rollcallv1.ContentTypeProtobuf
)

func pbSession(parts ...string) string { return bytesField(9, parts...) }

var refusedProtobuf = []refused{
	// Not one message.
	{what: "protobuf truncated in a string", payload: pbGood[:len(pbGood)-1], reason: roster.Malformed, says: "ends too early"},
	{what: "protobuf truncated in a tag", payload: pbGood + "\x80", reason: roster.Malformed, says: "ends too early"},
	{what: "protobuf truncated in a number", payload: pbGood + "\x10\xff", reason: roster.Malformed, says: "ends too early"},
	{what: "protobuf truncated after a tag", payload: pbGood + "\x22", reason: roster.Malformed, says: "ends too early"},
	{what: "protobuf truncated in an unknown field", payload: pbGood + "\xa2\x06\x05ab", reason: roster.Malformed, says: "ends too early"},
	{what: "length beyond the end", payload: pbGood + "\x22\xff\xff\xff\xff\x0f", reason: roster.Malformed, says: "ends too early"},
	{what: "number of 11 bytes", payload: pbGood + "\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", reason: roster.Malformed, says: "no protobuf"},
	{what: "number above 64 bits", payload: pbGood + "\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", reason: roster.Malformed, says: "no protobuf"},
	{what: "field 0", payload: pbGood + "\x00\x00", reason: roster.Malformed, says: "no protobuf"},
	{what: "field above the greatest", payload: pbGood + string(protowire.AppendVarint(nil, (1<<29)<<3)) + "\x00", reason: roster.Malformed, says: "no field has the number 536870912"},
	{what: "field above 32 bits", payload: pbGood + string(protowire.AppendVarint(nil, 1<<40)) + "\x00", reason: roster.Malformed, says: "no protobuf"},
	{what: "wire type 6", payload: pbGood + "\xa6\x06", reason: roster.Malformed, says: "no protobuf"},
	{what: "wire type 7", payload: pbGood + "\xa7\x06", reason: roster.Malformed, says: "no protobuf"},
	{what: "end of a group that has no start", payload: pbGood + "\xa4\x06", reason: roster.Malformed, says: "no protobuf"},
	{what: "group without end", payload: pbGood + "\xa3\x06", reason: roster.Malformed, says: "ends too early"},
	{what: "end of another group", payload: pbGood + "\xa3\x06\xac\x06", reason: roster.Malformed, says: "no protobuf"},
	{what: "groups too deep", payload: pbGood + strings.Repeat("\xa3\x06", 10_010) + strings.Repeat("\xa4\x06", 10_010), reason: roster.Malformed},
	{what: "NUL bytes", payload: strings.Repeat("\x00", 20), reason: roster.Malformed, says: "byte 0: no protobuf"},
	{what: "0xff bytes", payload: strings.Repeat("\xff", 20), reason: roster.Malformed, says: "byte 0: no protobuf"},
	{what: "protobuf in base64", payload: "CgYI0M6I2AYQARoNbS5leGFtcGxlLmNvbSIEbGFuZQ==", reason: roster.Malformed},
	{what: "length before the message", payload: string(protowire.AppendString(nil, pbGood)), reason: roster.Malformed},
	{what: "NUL bytes after", payload: pbGood + "\x00\x00\x00", reason: roster.Malformed},
	{what: "JSON after", payload: pbGood + good, reason: roster.Malformed},
	{what: "protobuf said, JSON list", contentType: saysPB, payload: `[` + good + `]`, reason: roster.Malformed, says: "byte 0: "},

	// Known fields of another wire type.
	{what: "date a number", payload: numberField(1, 1_795_381_200) + pbLogin + pbMachine + pbUser, reason: roster.Malformed, says: "byte 0: date has the wire type 0, want 2"},
	{what: "type a string", payload: pbDate + bytesField(2, "login") + pbMachine + pbUser, reason: roster.Malformed, says: "byte 8: type has the wire type 2, want 0"},
	{what: "machine a number", payload: pbGood + numberField(3, 1), reason: roster.Malformed, says: "machine has the wire type 0"},
	{what: "user a fixed32", payload: pbGood + "\x25aaaa", reason: roster.Malformed, says: "user has the wire type 5"},
	{what: "session a fixed64", payload: pbGood + "\x29aaaaaaaa", reason: roster.Malformed, says: "session has the wire type 1"},
	{what: "terminal a group", payload: pbGood + group(6, ""), reason: roster.Malformed, says: "terminal has the wire type 3"},
	{what: "remote a number", payload: pbGood + numberField(7, 0), reason: roster.Malformed, says: "remote has the wire type 0"},
	{what: "service a number", payload: pbGood + numberField(8, 0), reason: roster.Malformed, says: "service has the wire type 0"},
	{what: "sessions a number", payload: pbOn + numberField(9, 0), reason: roster.Malformed, says: "sessions has the wire type 0"},
	{what: "sessions a number in a login", payload: pbGood + numberField(9, 0), reason: roster.Malformed, says: "sessions has the wire type 0"},
	{what: "seconds a string", payload: bytesField(1, bytesField(1, "x")) + pbLogin + pbMachine + pbUser, reason: roster.Malformed, says: "byte 2: seconds has the wire type 2"},
	{what: "nanos a fixed32", payload: bytesField(1, "\x15aaaa") + pbLogin + pbMachine + pbUser, reason: roster.Malformed, says: "byte 2: nanos has the wire type 5"},
	{what: "user of an entry a number", payload: pbOn + pbSession(numberField(1, 7)), reason: roster.Malformed, says: "user has the wire type 0"},
	{what: "since a number", payload: pbOn + pbSession(bytesField(1, "a"), numberField(3, 7)), reason: roster.Malformed, says: "since has the wire type 0"},
	{what: "seconds of since a string", payload: pbOn + pbSession(bytesField(1, "a"), bytesField(3, bytesField(1, "x"))), reason: roster.Malformed, says: "seconds has the wire type 2"},

	// Strings and messages inside.
	{what: "machine not UTF-8", payload: pbGood + bytesField(3, "\xff"), reason: roster.Malformed, says: "machine is not valid UTF-8"},
	{what: "user not UTF-8", payload: pbGood + bytesField(4, "l\xc0\xafne"), reason: roster.Malformed, says: "user is not valid UTF-8"},
	{what: "user a surrogate", payload: pbGood + bytesField(4, "\xed\xa0\x80"), reason: roster.Malformed, says: "user is not valid UTF-8"},
	{what: "service not UTF-8", payload: pbGood + bytesField(8, "\x80"), reason: roster.Malformed, says: "service is not valid UTF-8"},
	{what: "not UTF-8, and a later one", payload: pbDate + pbLogin + pbMachine + bytesField(4, "\xff") + pbUser, reason: roster.Malformed, says: "user is not valid UTF-8"},
	{what: "user of a boot not UTF-8", payload: pbDate + pbBoot + pbMachine + bytesField(4, "\xff"), reason: roster.Malformed, says: "user is not valid UTF-8"},
	{what: "user of an entry not UTF-8", payload: pbOn + pbSession(bytesField(1, "\xff")), reason: roster.Malformed, says: "user is not valid UTF-8"},
	{what: "entry truncated", payload: pbOn + pbSession("\x0a"), reason: roster.Malformed, says: "ends too early"},
	{what: "entry truncated in a login", payload: pbGood + pbSession("\x0a"), reason: roster.Malformed, says: "ends too early"},
	{what: "date truncated", payload: bytesField(1, "\x08") + pbLogin + pbMachine + pbUser, reason: roster.Malformed, says: "byte 2: the protobuf ends too early"},
	{what: "unknown field of a date malformed", payload: bytesField(1, "\x1f") + pbLogin + pbMachine + pbUser, reason: roster.Malformed, says: "no protobuf"},
	{what: "session twice in protobuf", payload: pbOn + pbSession(bytesField(1, "a"), bytesField(2, "1")) + pbSession(bytesField(1, "b"), bytesField(2, "1")), reason: roster.Malformed, says: "sessions[0] and sessions[1]"},
	{what: "user twice in protobuf", payload: pbOn + pbSession(bytesField(1, "a")) + pbSession(bytesField(1, "a"), bytesField(2)), reason: roster.Malformed, says: "sessions[0] and sessions[1]"},

	// Missing, unknown and bad.
	{what: "nothing", payload: "", reason: roster.MissingField, says: "date: missing"},
	{what: "nothing, said to be protobuf", contentType: saysPB, payload: "", reason: roster.MissingField, says: "date: missing"},
	{what: "unknown fields only", payload: numberField(100, 1), reason: roster.MissingField, says: "date: missing"},
	{what: "no date in protobuf", payload: pbLogin + pbMachine + pbUser, reason: roster.MissingField, says: "date: missing"},
	{what: "no type in protobuf", payload: pbDate + pbMachine + pbUser, reason: roster.MissingField, says: "type: missing"},
	{what: "type 0", payload: pbDate + numberField(2, 0) + pbMachine + pbUser, reason: roster.MissingField, says: "type: missing"},
	{what: "type 0 at last", payload: pbGood + numberField(2, 0), reason: roster.MissingField, says: "type: missing"},
	{what: "type 0 in 32 bits", payload: pbGood + numberField(2, 1<<32), reason: roster.MissingField, says: "type: missing"},
	{what: "no machine in protobuf", payload: pbDate + pbLogin + pbUser, reason: roster.MissingField, says: "machine: missing"},
	{what: "machine empty at last", payload: pbGood + bytesField(3), reason: roster.MissingField, says: "machine: missing"},
	{what: "no user in protobuf", payload: pbDate + pbLogin + pbMachine, reason: roster.MissingField, says: "user: missing"},
	{what: "user empty at last", payload: pbGood + bytesField(4), reason: roster.MissingField, says: "user: missing"},
	{what: "logout of nobody", payload: pbDate + pbLogout + pbMachine, reason: roster.MissingField, says: "user: missing"},
	{what: "entry of nobody", payload: pbOn + pbSession(bytesField(2, "1")), reason: roster.MissingField, says: "sessions[0].user: missing"},
	{what: "type 6", payload: pbDate + numberField(2, 6) + pbMachine, reason: roster.UnknownType, says: `type: "6"`},
	{what: "type −1", payload: pbDate + numberField(2, minusOne) + pbMachine, reason: roster.UnknownType, says: `type: "-1"`},
	{what: "type 6 at last", payload: pbGood + numberField(2, 6), reason: roster.UnknownType, says: `type: "6"`},
	{what: "seconds −1", payload: bytesField(1, numberField(1, minusOne)) + pbLogin + pbMachine + pbUser, reason: roster.BadDate, says: "date: -1 seconds and 0 nanoseconds: " + outOfRange},
	{what: "first second of 2262", payload: bytesField(1, numberField(1, 9_214_646_400)) + pbLogin + pbMachine + pbUser, reason: roster.BadDate, says: outOfRange},
	{what: "most seconds", payload: bytesField(1, numberField(1, math.MaxInt64)) + pbLogin + pbMachine + pbUser, reason: roster.BadDate, says: outOfRange},
	{what: "milliseconds for seconds", payload: bytesField(1, numberField(1, 1_795_381_200_000)) + pbLogin + pbMachine + pbUser, reason: roster.BadDate, says: outOfRange},
	{what: "a second in nanos", payload: bytesField(1, numberField(2, 1_000_000_000)) + pbLogin + pbMachine + pbUser, reason: roster.BadDate, says: "nanoseconds"},
	{what: "nanos −1", payload: bytesField(1, numberField(1, 5), numberField(2, minusOne)) + pbLogin + pbMachine + pbUser, reason: roster.BadDate, says: "5 seconds and -1 nanoseconds"},
	{what: "since with bad nanos", payload: pbOn + pbSession(bytesField(1, "a")) + pbSession(bytesField(1, "b"), bytesField(3, numberField(2, minusOne))), reason: roster.BadDate, says: "sessions[1].since: "},
	{what: "machine of 256 bytes in protobuf", payload: pbGood + bytesField(3, strings.Repeat("m", 256)), reason: roster.BadName, says: "machine: 256 bytes"},
	{what: "line feed in protobuf", payload: pbGood + bytesField(4, "a\nb"), reason: roster.BadName, says: "user: control character U+000A at byte 1"},
	{what: "override in an entry in protobuf", payload: pbOn + pbSession(bytesField(1, "a"), bytesField(5, "\u202e")), reason: roster.BadName, says: "sessions[0].remote: invisible character U+202E at byte 0"},
	{what: "another machine in protobuf", subject: "rollcall.events.web", payload: pbGood, reason: roster.Identity},
	{what: "too long in protobuf", payload: pbGood + bytesField(100, strings.Repeat("x", 256<<10)), reason: roster.Oversize},
	{what: "malformed at the end before missing", payload: numberField(2, 0) + "\x00", reason: roster.Malformed},
	{what: "missing before bad date in protobuf", payload: bytesField(1, numberField(2, minusOne)) + pbLogin + pbMachine, reason: roster.MissingField},
	{what: "protobuf said to be JSON", contentType: rollcallv1.ContentTypeJSON, payload: pbGood, reason: roster.Malformed},
}

func TestAcceptedProtobuf(t *testing.T) {
	login := roster.Event{Date: 1_795_381_200e9, Type: roster.Login, Machine: "m.example.com", Session: roster.Session{User: "lane"}}
	changed := func(change func(e *roster.Event)) roster.Event {
		e := login
		change(&e)
		return e
	}
	cases := []struct {
		what, contentType, payload string
		want                       roster.Event
	}{
		{"login", "", pbGood, login},
		{"said to be protobuf", saysPB, pbGood, login},
		{"said to be protobuf by its older name", rollcallv1.ContentTypeXProtobuf, pbGood, login},
		{"with a parameter", `Application/Protobuf; messageType="rollcall.v1.Event"`, pbGood, login},
		{"fields in another order", "", pbUser + pbMachine + pbLogin + pbDate, login},
		{"unknown fields of all wire types", "", pbGood + numberField(100, 1) + bytesField(101, "\xff") + group(102, group(103, numberField(1, 1))) + "\xbd\x06aaaa" + "\xb9\x06aaaaaaaa", login},
		{"greatest field", "", pbGood + numberField(protowire.MaxValidNumber, 1), login},
		{"of fields that stand twice the last", "", bytesField(3, "other") + bytesField(4, "other") + pbBoot + pbGood, login},
		{"a date in two parts", "", bytesField(1, numberField(1, 7), numberField(2, 5)) + pbGood, changed(func(e *roster.Event) { e.Date += 5 })},
		{"a date with an unknown field", "", pbGood + bytesField(1, numberField(9, 7)), login},
		{"a date that is all zero", "", bytesField(1) + pbLogin + pbMachine + pbUser, changed(func(e *roster.Event) { e.Date = 0 })},
		{"the last date", "", pbGood + bytesField(1, numberField(1, 9_214_646_399), numberField(2, 999_999_999)), changed(func(e *roster.Event) { e.Date = roster.MaxDate })},
		{"type 1 in 32 bits", "", pbGood + numberField(2, 1<<32+1), login},
		{"numbers longer than needed", "", pbDate + "\x90\x00\x81\x80\x00" + pbMachine + pbUser, login},
		{"empty optional fields", "", pbGood + bytesField(5) + bytesField(6) + bytesField(7) + bytesField(8), login},
		{"bad date of an entry in a login", "", pbGood + pbSession(bytesField(3, numberField(2, minusOne))), login},
		{"entries without user in a login", "", pbGood + pbSession() + pbSession(), login},
		{"bad user of a boot", "", pbDate + pbBoot + pbMachine + bytesField(4, "\n"), changed(func(e *roster.Event) { e.Type, e.Session = roster.Boot, roster.Session{} })},
		{"present with nobody", "", pbOn, changed(func(e *roster.Event) { e.Type, e.Session = roster.Present, roster.Session{} })},
		{"present", "", pbOn + pbUser + pbSession(bytesField(1, "x"), bytesField(1, "a"), bytesField(2, "1"), bytesField(3, numberField(1, 2)), bytesField(3, numberField(2, 3)), bytesField(4, "t"), bytesField(5, "r"), bytesField(6, "s"), numberField(99, 1)) + pbSession(bytesField(1, "a")), changed(func(e *roster.Event) {
			e.Type, e.Session = roster.Present, roster.Session{}
			e.Sessions = []roster.Session{{User: "a", ID: "1", Since: 2e9 + 3, Terminal: "t", Remote: "r", Service: "s"}, {User: "a"}}
		})},
		{"as long as allowed", "", pbGood + bytesField(100, strings.Repeat("x", 256<<10-len(pbGood)-5)), login},
	}
	d := NewDecoder(testSubjects(t))
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			var e roster.Event
			if refusal := d.Decode("rollcall.events.m.example.com", c.contentType, []byte(c.payload), &e); refusal != nil {
				t.Fatalf("refused: %v", refusal)
			}
			sameEvent(t, &e, &c.want)
		})
	}
}

// What AppendProtobuf writes is what the generated code writes, byte for byte.
func TestAppendProtobufAsGenerated(t *testing.T) {
	message := rollcallv1.Event{
		Date: timestamppb.New(realEvent.Date.Time()), Type: rollcallv1.EventType_EVENT_TYPE_LOGIN, Machine: realEvent.Machine,
		User: realEvent.Session.User, Session: realEvent.Session.ID, Terminal: realEvent.Session.Terminal,
		Remote: realEvent.Session.Remote, Service: realEvent.Session.Service,
	}
	want, err := proto.MarshalOptions{Deterministic: true}.Marshal(&message)
	if err != nil {
		t.Fatal(err)
	}
	if got := AppendProtobuf(nil, &realEvent); string(got) != string(want) {
		t.Errorf("AppendProtobuf: %q\nwant %q", got, want)
	}
}
