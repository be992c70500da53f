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
	"rollcall/proto/rollcall/v1/rollcallpb"
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
	pbDate         = bytesField(1, numberField(1, 1_795_381_200))
	pbLogin        = numberField(2, 1)
	pbLogout       = numberField(2, 2)
	pbBoot         = numberField(2, 3)
	pbPresent      = numberField(2, 5)
	pbMachine      = bytesField(3, "m.example.com")
	pbUser         = bytesField(4, "lane")
	pbGood         = pbDate + pbLogin + pbMachine + pbUser
	pbPresentAlone = pbDate + pbPresent + pbMachine // a present without sessions
)

const (
	minusOne = math.MaxUint64
	typePB   = rollcallv1.ContentTypeProtobuf
)

func pbSession(parts ...string) string { return bytesField(9, parts...) }

var refusedProtobuf = []refused{
	// Not one message.
	{name: "protobuf truncated in a string", payload: pbGood[:len(pbGood)-1], reason: roster.Malformed, problem: "ends too early"},
	{name: "protobuf truncated in a tag", payload: pbGood + "\x80", reason: roster.Malformed, problem: "ends too early"},
	{name: "protobuf truncated in a number", payload: pbGood + "\x10\xff", reason: roster.Malformed, problem: "ends too early"},
	{name: "protobuf truncated after a tag", payload: pbGood + "\x22", reason: roster.Malformed, problem: "ends too early"},
	{name: "protobuf truncated in an unknown field", payload: pbGood + "\xa2\x06\x05ab", reason: roster.Malformed, problem: "ends too early"},
	{name: "length beyond the end", payload: pbGood + "\x22\xff\xff\xff\xff\x0f", reason: roster.Malformed, problem: "ends too early"},
	{name: "number of 11 bytes", payload: pbGood + "\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", reason: roster.Malformed, problem: "not valid protobuf"},
	{name: "number above 64 bits", payload: pbGood + "\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", reason: roster.Malformed, problem: "not valid protobuf"},
	{name: "field 0", payload: pbGood + "\x00\x00", reason: roster.Malformed, problem: "not valid protobuf"},
	{name: "field above the greatest", payload: pbGood + string(protowire.AppendVarint(nil, (1<<29)<<3)) + "\x00", reason: roster.Malformed, problem: "invalid field number 536870912"},
	{name: "field above 32 bits", payload: pbGood + string(protowire.AppendVarint(nil, 1<<40)) + "\x00", reason: roster.Malformed, problem: "not valid protobuf"},
	{name: "wire type 6", payload: pbGood + "\xa6\x06", reason: roster.Malformed, problem: "not valid protobuf"},
	{name: "wire type 7", payload: pbGood + "\xa7\x06", reason: roster.Malformed, problem: "not valid protobuf"},
	{name: "end of a group that has no start", payload: pbGood + "\xa4\x06", reason: roster.Malformed, problem: "not valid protobuf"},
	{name: "group without end", payload: pbGood + "\xa3\x06", reason: roster.Malformed, problem: "ends too early"},
	{name: "end of another group", payload: pbGood + "\xa3\x06\xac\x06", reason: roster.Malformed, problem: "not valid protobuf"},
	{name: "groups too deep", payload: pbGood + strings.Repeat("\xa3\x06", 10_010) + strings.Repeat("\xa4\x06", 10_010), reason: roster.Malformed},
	{name: "NUL bytes", payload: strings.Repeat("\x00", 20), reason: roster.Malformed, problem: "byte 0: not valid protobuf"},
	{name: "0xff bytes", payload: strings.Repeat("\xff", 20), reason: roster.Malformed, problem: "byte 0: not valid protobuf"},
	{name: "protobuf in base64", payload: "CgYI0M6I2AYQARoNbS5leGFtcGxlLmNvbSIEbGFuZQ==", reason: roster.Malformed},
	{name: "length before the message", payload: string(protowire.AppendString(nil, pbGood)), reason: roster.Malformed},
	{name: "NUL bytes after", payload: pbGood + "\x00\x00\x00", reason: roster.Malformed},
	{name: "JSON after", payload: pbGood + good, reason: roster.Malformed},
	{name: "protobuf said, JSON list", contentType: typePB, payload: `[` + good + `]`, reason: roster.Malformed, problem: "byte 0: "},

	// Known fields of another wire type.
	{name: "date a number", payload: numberField(1, 1_795_381_200) + pbLogin + pbMachine + pbUser, reason: roster.Malformed, problem: "byte 0: date has the wire type 0, want 2"},
	{name: "type a string", payload: pbDate + bytesField(2, "login") + pbMachine + pbUser, reason: roster.Malformed, problem: "byte 8: type has the wire type 2, want 0"},
	{name: "machine a number", payload: pbGood + numberField(3, 1), reason: roster.Malformed, problem: "machine has the wire type 0"},
	{name: "user a fixed32", payload: pbGood + "\x25aaaa", reason: roster.Malformed, problem: "user has the wire type 5"},
	{name: "session a fixed64", payload: pbGood + "\x29aaaaaaaa", reason: roster.Malformed, problem: "session has the wire type 1"},
	{name: "terminal a group", payload: pbGood + group(6, ""), reason: roster.Malformed, problem: "terminal has the wire type 3"},
	{name: "remote a number", payload: pbGood + numberField(7, 0), reason: roster.Malformed, problem: "remote has the wire type 0"},
	{name: "service a number", payload: pbGood + numberField(8, 0), reason: roster.Malformed, problem: "service has the wire type 0"},
	{name: "sessions a number", payload: pbPresentAlone + numberField(9, 0), reason: roster.Malformed, problem: "sessions has the wire type 0"},
	{name: "sessions a number in a login", payload: pbGood + numberField(9, 0), reason: roster.Malformed, problem: "sessions has the wire type 0"},
	{name: "seconds a string", payload: bytesField(1, bytesField(1, "x")) + pbLogin + pbMachine + pbUser, reason: roster.Malformed, problem: "byte 2: seconds has the wire type 2"},
	{name: "nanos a fixed32", payload: bytesField(1, "\x15aaaa") + pbLogin + pbMachine + pbUser, reason: roster.Malformed, problem: "byte 2: nanos has the wire type 5"},
	{name: "user of an entry a number", payload: pbPresentAlone + pbSession(numberField(1, 7)), reason: roster.Malformed, problem: "user has the wire type 0"},
	{name: "since a number", payload: pbPresentAlone + pbSession(bytesField(1, "a"), numberField(3, 7)), reason: roster.Malformed, problem: "since has the wire type 0"},
	{name: "seconds of since a string", payload: pbPresentAlone + pbSession(bytesField(1, "a"), bytesField(3, bytesField(1, "x"))), reason: roster.Malformed, problem: "seconds has the wire type 2"},

	// Strings and messages inside.
	{name: "machine not UTF-8", payload: pbGood + bytesField(3, "\xff"), reason: roster.Malformed, problem: "machine is not valid UTF-8"},
	{name: "user not UTF-8", payload: pbGood + bytesField(4, "l\xc0\xafne"), reason: roster.Malformed, problem: "user is not valid UTF-8"},
	{name: "user a surrogate", payload: pbGood + bytesField(4, "\xed\xa0\x80"), reason: roster.Malformed, problem: "user is not valid UTF-8"},
	{name: "service not UTF-8", payload: pbGood + bytesField(8, "\x80"), reason: roster.Malformed, problem: "service is not valid UTF-8"},
	{name: "not UTF-8, and a later one", payload: pbDate + pbLogin + pbMachine + bytesField(4, "\xff") + pbUser, reason: roster.Malformed, problem: "user is not valid UTF-8"},
	{name: "user of a boot not UTF-8", payload: pbDate + pbBoot + pbMachine + bytesField(4, "\xff"), reason: roster.Malformed, problem: "user is not valid UTF-8"},
	{name: "user of an entry not UTF-8", payload: pbPresentAlone + pbSession(bytesField(1, "\xff")), reason: roster.Malformed, problem: "user is not valid UTF-8"},
	{name: "entry truncated", payload: pbPresentAlone + pbSession("\x0a"), reason: roster.Malformed, problem: "ends too early"},
	{name: "entry truncated in a login", payload: pbGood + pbSession("\x0a"), reason: roster.Malformed, problem: "ends too early"},
	{name: "date truncated", payload: bytesField(1, "\x08") + pbLogin + pbMachine + pbUser, reason: roster.Malformed, problem: "byte 2: the protobuf ends too early"},
	{name: "unknown field of a date malformed", payload: bytesField(1, "\x1f") + pbLogin + pbMachine + pbUser, reason: roster.Malformed, problem: "not valid protobuf"},
	{name: "session twice in protobuf", payload: pbPresentAlone + pbSession(bytesField(1, "a"), bytesField(2, "1")) + pbSession(bytesField(1, "b"), bytesField(2, "1")), reason: roster.Malformed, problem: "sessions[0] and sessions[1]"},
	{name: "user twice in protobuf", payload: pbPresentAlone + pbSession(bytesField(1, "a")) + pbSession(bytesField(1, "a"), bytesField(2)), reason: roster.Malformed, problem: "sessions[0] and sessions[1]"},

	// Missing, unknown and bad.
	{name: "nothing", payload: "", reason: roster.MissingField, problem: "date: missing"},
	{name: "nothing, said to be protobuf", contentType: typePB, payload: "", reason: roster.MissingField, problem: "date: missing"},
	{name: "unknown fields only", payload: numberField(100, 1), reason: roster.MissingField, problem: "date: missing"},
	{name: "no date in protobuf", payload: pbLogin + pbMachine + pbUser, reason: roster.MissingField, problem: "date: missing"},
	{name: "no type in protobuf", payload: pbDate + pbMachine + pbUser, reason: roster.MissingField, problem: "type: missing"},
	{name: "type 0", payload: pbDate + numberField(2, 0) + pbMachine + pbUser, reason: roster.MissingField, problem: "type: missing"},
	{name: "type 0 at last", payload: pbGood + numberField(2, 0), reason: roster.MissingField, problem: "type: missing"},
	{name: "type 0 in 32 bits", payload: pbGood + numberField(2, 1<<32), reason: roster.MissingField, problem: "type: missing"},
	{name: "no machine in protobuf", payload: pbDate + pbLogin + pbUser, reason: roster.MissingField, problem: "machine: missing"},
	{name: "machine empty at last", payload: pbGood + bytesField(3), reason: roster.MissingField, problem: "machine: missing"},
	{name: "no user in protobuf", payload: pbDate + pbLogin + pbMachine, reason: roster.MissingField, problem: "user: missing"},
	{name: "user empty at last", payload: pbGood + bytesField(4), reason: roster.MissingField, problem: "user: missing"},
	{name: "logout of nobody", payload: pbDate + pbLogout + pbMachine, reason: roster.MissingField, problem: "user: missing"},
	{name: "entry of nobody", payload: pbPresentAlone + pbSession(bytesField(2, "1")), reason: roster.MissingField, problem: "sessions[0].user: missing"},
	{name: "type 6", payload: pbDate + numberField(2, 6) + pbMachine, reason: roster.UnknownType, problem: `type: "6"`},
	{name: "type −1", payload: pbDate + numberField(2, minusOne) + pbMachine, reason: roster.UnknownType, problem: `type: "-1"`},
	{name: "type 6 at last", payload: pbGood + numberField(2, 6), reason: roster.UnknownType, problem: `type: "6"`},
	{name: "seconds −1", payload: bytesField(1, numberField(1, minusOne)) + pbLogin + pbMachine + pbUser, reason: roster.BadDate, problem: "date: -1 seconds and 0 nanoseconds: " + outOfRange},
	{name: "first second of 2262", payload: bytesField(1, numberField(1, 9_214_646_400)) + pbLogin + pbMachine + pbUser, reason: roster.BadDate, problem: outOfRange},
	{name: "most seconds", payload: bytesField(1, numberField(1, math.MaxInt64)) + pbLogin + pbMachine + pbUser, reason: roster.BadDate, problem: outOfRange},
	{name: "milliseconds for seconds", payload: bytesField(1, numberField(1, 1_795_381_200_000)) + pbLogin + pbMachine + pbUser, reason: roster.BadDate, problem: outOfRange},
	{name: "a second in nanos", payload: bytesField(1, numberField(2, 1_000_000_000)) + pbLogin + pbMachine + pbUser, reason: roster.BadDate, problem: "nanoseconds"},
	{name: "nanos −1", payload: bytesField(1, numberField(1, 5), numberField(2, minusOne)) + pbLogin + pbMachine + pbUser, reason: roster.BadDate, problem: "5 seconds and -1 nanoseconds"},
	{name: "since with bad nanos", payload: pbPresentAlone + pbSession(bytesField(1, "a")) + pbSession(bytesField(1, "b"), bytesField(3, numberField(2, minusOne))), reason: roster.BadDate, problem: "sessions[1].since: "},
	{name: "machine of 256 bytes in protobuf", payload: pbGood + bytesField(3, strings.Repeat("m", 256)), reason: roster.BadName, problem: "machine: 256 bytes"},
	{name: "line feed in protobuf", payload: pbGood + bytesField(4, "a\nb"), reason: roster.BadName, problem: "user: control character U+000A at byte 1"},
	{name: "override in an entry in protobuf", payload: pbPresentAlone + pbSession(bytesField(1, "a"), bytesField(5, "\u202e")), reason: roster.BadName, problem: "sessions[0].remote: invisible character U+202E at byte 0"},
	{name: "another machine in protobuf", subject: "rollcall.events.web", payload: pbGood, reason: roster.Identity},
	{name: "too long in protobuf", payload: pbGood + bytesField(100, strings.Repeat("x", 256<<10)), reason: roster.Oversize},
	{name: "malformed at the end before missing", payload: numberField(2, 0) + "\x00", reason: roster.Malformed},
	{name: "missing before bad date in protobuf", payload: bytesField(1, numberField(2, minusOne)) + pbLogin + pbMachine, reason: roster.MissingField},
	{name: "protobuf said to be JSON", contentType: rollcallv1.ContentTypeJSON, payload: pbGood, reason: roster.Malformed},
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
		{"content type protobuf", typePB, pbGood, login},
		{"content type x-protobuf", rollcallv1.ContentTypeXProtobuf, pbGood, login},
		{"with a parameter", `Application/Protobuf; messageType="rollcall.v1.Event"`, pbGood, login},
		{"fields in another order", "", pbUser + pbMachine + pbLogin + pbDate, login},
		{"unknown fields of all wire types", "", pbGood + numberField(100, 1) + bytesField(101, "\xff") + group(102, group(103, numberField(1, 1))) + "\xbd\x06aaaa" + "\xb9\x06aaaaaaaa", login},
		{"greatest field", "", pbGood + numberField(protowire.MaxValidNumber, 1), login},
		{"the last of repeated fields counts", "", bytesField(3, "other") + bytesField(4, "other") + pbBoot + pbGood, login},
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
		{"present with nobody", "", pbPresentAlone, changed(func(e *roster.Event) { e.Type, e.Session = roster.Present, roster.Session{} })},
		{"present", "", pbPresentAlone + pbUser + pbSession(bytesField(1, "x"), bytesField(1, "a"), bytesField(2, "1"), bytesField(3, numberField(1, 2)), bytesField(3, numberField(2, 3)), bytesField(4, "t"), bytesField(5, "r"), bytesField(6, "s"), numberField(99, 1)) + pbSession(bytesField(1, "a")), changed(func(e *roster.Event) {
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
	message := rollcallpb.Event{
		Date: timestamppb.New(realEvent.Date.Time()), Type: rollcallpb.EventType_EVENT_TYPE_LOGIN, Machine: realEvent.Machine,
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
